"""A fitted model as the folder of files that MLflow keeps, and such a folder as a model again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature, unwrap
from pathlib import Path
from typing import Any

from backbeat.errors import ContractBroken, InvalidData, UnmetNeed, UserCodeFailed
from backbeat.registry.trust import check_loadable, untrusted

__all__ = ["LoadedModel", "read_model", "write_model"]

_SKOPS_SINCE = "3.9"


class LoadedModel:
    """A model that scores data frames.

    Args:
        pyfunc: What MLflow loaded.
        name: What people call it, for messages.

    Attributes:
        columns: The columns that it was trained on, in order; None where it does not say.
    """

    def __init__(self, pyfunc: Any, name: str) -> None:
        self._pyfunc = pyfunc
        self._name = name
        inputs = pyfunc.metadata.get_input_schema()
        named = inputs is not None and inputs.has_input_names() and not inputs.is_tensor_spec()
        self.columns: tuple[str, ...] | None = tuple(inputs.input_names()) if named else None
        # MLflow widens int32 to double but calls int64 to double unsafe
        self._doubles = (
            [column.name for column in inputs.inputs if column.type.name == "double"]
            if named
            else []
        )

    def predict(self, frame: Any) -> Any:
        """Score a data frame.

        Args:
            frame: `pandas.DataFrame` with at least the columns that the model was trained on.

        Returns:
            One prediction a row, in the form that the model gives: an array, a frame or a list.

        Raises:
            ContractBroken: A column is missing or of another type; a retry will not help.
            UserCodeFailed: The model itself raised; a retry will not help.
        """
        from mlflow.exceptions import MlflowException

        try:
            return self._pyfunc.predict(self._widened(frame))
        except MlflowException as error:
            # the message quotes rows of the data, which must not end up in logs
            reason = str(error).rpartition("Error: ")[2].splitlines()[0]
        except Exception as error:
            raise UserCodeFailed(
                f"{self._name} could not score: {type(error).__name__}: {error}.",
                hint="score a few of these rows in a notebook; the model itself raised",
            ) from error
        raise ContractBroken(
            f"The rows do not have the columns that {self._name} was trained on: {reason}",
            hint="give it the columns of its training data, of the same types",
        )

    def _widened(self, frame: Any) -> Any:
        from pandas.api.types import is_integer_dtype

        widen = {
            name: "float64"
            for name in self._doubles
            if name in frame.columns and is_integer_dtype(frame[name].dtype)
        }
        return frame.astype(widen) if widen else frame


def write_model(model: Any, folder: Path, *, predict: str, sample: Any, allow_pickle: bool) -> None:
    """Write a fitted model into a folder that does not exist yet, as skops where that is possible.

    Args:
        model: A fitted scikit-learn estimator or pipeline.
        folder: Where the MLmodel file and those beside it go.
        predict: `predict` or `predict_proba`, what scoring will call.
        sample: A few input rows, `pandas.DataFrame`; their columns become the signature. No row
            is written: a model travels further than its data may.
        allow_pickle: Whether a model that skops cannot hold safely is pickled instead.

    Raises:
        UserCodeFailed: It lacks the method, cannot score the sample, or would have to be pickled.
        UnmetNeed: The installed MLflow is older than its skops support.
    """
    import mlflow.sklearn

    trusted = _types_to_trust(model, allow_pickle=allow_pickle)
    as_skops = trusted is not None
    if as_skops:
        _needs_skops_support()
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops" if as_skops else "cloudpickle",
        signature=_signature(model, predict, sample),
        pyfunc_predict_fn=predict,
        # stated, as MLflow would load the model in a second interpreter to infer them
        pip_requirements=_requirements("skops" if as_skops else "cloudpickle"),
        **({"skops_trusted_types": trusted} if as_skops else {}),
    )


def read_model(folder: Path, *, name: str, allow_pickle: bool) -> LoadedModel:
    """Load a model from the folder that MLflow keeps it in; nothing is unpacked before it is safe.

    Raises:
        Refused: Loading it could run code of its author, and pickles are not allowed.
        InvalidData: The files are damaged or not a model that scores data frames.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    file = folder / "MLmodel"
    try:
        flavors: Mapping[str, Mapping[str, Any]] = Model.load(str(file)).flavors
    except Exception as error:
        raise InvalidData(
            f"{name} has no readable MLmodel file: {type(error).__name__}: {error}.",
            hint="register it again from a run that ended well",
        ) from error
    if not allow_pickle:
        check_loadable(flavors, name=name)
        _needs_skops_support()
    try:
        # without its wrapper, which restarts MLflow's tracing at the process's own tracking URI
        load = unwrap(mlflow.pyfunc.load_model)
        loaded = load(str(folder), suppress_warnings=True)
    except (UnmetNeed, ImportError):
        raise
    except Exception as error:
        raise InvalidData(
            f"{name} could not be loaded: {type(error).__name__}: {error}.",
            hint="compare the library versions in its requirements.txt with those installed here",
        ) from error
    return LoadedModel(loaded, name)


def _types_to_trust(model: Any, *, allow_pickle: bool) -> Sequence[str] | None:
    """The types that skops must be told to trust; None where the model has to be pickled."""
    import skops.io

    try:
        types = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    except Exception as error:
        if allow_pickle:
            return None
        raise UserCodeFailed(
            f"skops cannot hold this {type(model).__name__}: {type(error).__name__}: {error}.",
            hint="build it of scikit-learn's estimators, without lambdas or inner functions",
        ) from error
    unknown = untrusted(types)
    if not unknown:
        return list(types)
    if allow_pickle:
        return None
    raise UserCodeFailed(
        f"The model holds types that are not well known: {', '.join(unknown)}; it could only be "
        "kept by trusting code, as a pickle does.",
        hint="build it of scikit-learn's estimators, or set allow_pickle=True on the registry",
    )


def _signature(model: Any, predict: str, sample: Any) -> Any:
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, DataType, Schema

    method = getattr(model, predict, None)
    if method is None:
        raise UserCodeFailed(
            f"This {type(model).__name__} has no `{predict}` method.",
            hint="return a model that has it, or ask for the method that it has",
        )
    try:
        found = infer_signature(sample, method(sample))
    except Exception as error:
        raise UserCodeFailed(
            f"The model cannot score the sample: {type(error).__name__}: {error}.",
            hint="return a fitted model that takes the feature columns as a data frame",
        ) from error
    if found.inputs is not None and not found.inputs.is_tensor_spec():
        # integers with a null in them arrive as floats one night; declared double, both pass
        integers = (DataType.integer, DataType.long)
        found.inputs = Schema(
            [
                ColSpec(DataType.double, column.name, column.required)
                if column.type in integers
                else column
                for column in found.inputs.inputs
            ]
        )
    return found


def _requirements(writer: str) -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("numpy", "pandas", "scikit-learn", writer)]


def _needs_skops_support() -> None:
    import mlflow.sklearn

    if "skops_trusted_types" not in signature(mlflow.sklearn.save_model).parameters:
        raise UnmetNeed(
            f"MLflow {mlflow.__version__} cannot keep models as skops; that came with "
            f"{_SKOPS_SINCE}, and pickles are not allowed.",
            hint=f'install a newer one: pip install "mlflow-skinny>={_SKOPS_SINCE}"',
        )
