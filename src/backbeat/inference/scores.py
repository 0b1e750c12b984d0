"""Whatever a model's predict gives, as one number a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["as_scores"]


def as_scores(prediction: Any, rows: int) -> NDArray[np.float64]:
    """Bring a prediction into the form of one float a row.

    Args:
        prediction: `numpy.ndarray`, `pandas.DataFrame` or `Series`, `pyarrow` array or list of
            shape (rows,), (rows, 1) or (rows, 2); of two columns, as `predict_proba` gives them
            for two classes, the last is the positive class.
        rows: Number of rows that were scored.

    Returns:
        Array of shape (rows,), without NaN.

    Raises:
        InvalidData: Another number of rows or columns, NaN, an infinity, or no numbers at all; a
            retry will not help.
    """
    import numpy as np

    try:
        array = np.asarray(prediction, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidData(
            f"The model gave a {type(prediction).__name__} that is not made of numbers: {error}.",
            hint="score with `predict_proba`, or train on numeric labels",
        ) from error
    if array.ndim == 0 or array.shape[0] != rows:
        raise InvalidData(
            f"The model gave {array.shape[0] if array.ndim else 'one value'} for {rows} rows.",
            hint="return one prediction for each row, in their order",
        )
    columns = array.shape[1] if array.ndim == 2 else 1  # noqa: PLR2004 - a table has two axes
    if array.ndim > 2 or columns not in {1, 2}:  # noqa: PLR2004 - the same
        raise InvalidData(
            f"The model gave an array of shape {array.shape}; a score is one number a row.",
            hint="for more than two classes, wrap the model so that it gives one number a row",
        )
    scores = np.ascontiguousarray(array if array.ndim == 1 else array[:, -1])
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise InvalidData(
            f"The model gave NaN or an infinity for {bad} of {rows} rows.",
            hint="look for nulls in the features that the model cannot take",
        )
    return scores
