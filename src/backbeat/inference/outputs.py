"""Whatever a model's predict gives, as columns: one row for each that it was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidAnswer
from backbeat.inference.protocols.json_answers import OUTPUT, as_outputs

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.address import Endpoint

__all__ = ["outputs_of"]


def outputs_of(endpoint: Endpoint, prediction: Any, rows: int) -> pa.RecordBatch:
    """Bring a prediction into the form that a served model's answer has.

    Args:
        endpoint: The model, for messages.
        prediction: `pandas.DataFrame` or `Series`, `numpy.ndarray`, a list, or a dict of columns.
        rows: How many rows were asked about.

    Returns:
        A column for each of a frame; else one called `prediction`, a FixedSizeList of vectors.

    Raises:
        InvalidAnswer: There are more or fewer rows, or they are not alike.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if isinstance(prediction, pd.Series):
        prediction = prediction.to_numpy()
    if isinstance(prediction, pd.DataFrame):
        columns = {
            str(name): prediction.iloc[:, at].to_numpy()
            for at, name in enumerate(prediction.columns)
        }
    elif isinstance(prediction, np.ndarray):
        columns = {OUTPUT: prediction}
    elif isinstance(prediction, dict):
        columns = {str(name): np.asarray(values) for name, values in prediction.items()}
    else:
        return as_outputs(endpoint, prediction, rows)
    for values in columns.values():
        if values.ndim == 0 or len(values) != rows:
            raise InvalidAnswer(
                f"{endpoint.authority} gave {len(values) if values.ndim else 'one value'} for "
                f"{rows} rows.",
                hint="let the model return one prediction a row, in their order",
            )
    if all(values.dtype.kind in "fiub" and values.ndim <= 2 for values in columns.values()):  # noqa: PLR2004 - rows and outputs
        return pa.record_batch({name: _array(values) for name, values in columns.items()})
    listed = {name: values.tolist() for name, values in columns.items()}
    return as_outputs(endpoint, listed, rows)


def _array(values: Any) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    plain = np.ascontiguousarray(values)
    if plain.ndim == 1:
        return pa.array(plain)
    return pa.FixedSizeListArray.from_arrays(pa.array(plain.reshape(-1)), plain.shape[1])
