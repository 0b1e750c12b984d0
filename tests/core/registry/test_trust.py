from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import Refused, UnmetNeed, UserCodeFailed
from backbeat.registry import MlflowRegistry
from backbeat.registry.trust import check_loadable, untrusted

SKOPS = {
    "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.skops"},
    "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "code": None},
}


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize(
    "name",
    [
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "scipy.interpolate._bsplines.BSpline",
        "collections.OrderedDict",
    ],
)
def test_types_of_the_numeric_libraries_are_trusted(name: str) -> None:
    """What estimators are made of needs nobody's permission."""
    assert untrusted([name]) == []


@pytest.mark.parametrize(
    "name",
    [
        "posix.system",
        "builtins.eval",
        "functools.partial",
        "sklearnish.Model",
        "sklearn.base.no_such_thing",
        "sklearn.utils._show_versions.sys",
        "numpy.load",
        "numpy.genfromtxt",
        "numpy.testing._private.utils.runstring",
        "sklearn.datasets._base.load_files",
    ],
)
def test_everything_else_is_not_trusted(name: str) -> None:
    """Foreign code, and what such a library imported or does to files, is named."""
    assert untrusted([name]) == [name]


def test_a_plain_skops_model_may_be_loaded() -> None:
    """The files that backbeat writes pass."""
    check_loadable(SKOPS, name="flights")


@pytest.mark.parametrize(
    ("flavor", "change"),
    [
        ("sklearn", {"serialization_format": "pickle"}),
        ("sklearn", {"serialization_format": "cloudpickle"}),
        ("sklearn", {"skops_trusted_types": ["posix.system"]}),
        ("sklearn", {"code": "code"}),
        ("sklearn", {"pickled_model": "other.skops"}),
        ("python_function", {"code": "code"}),
        ("python_function", {"data": "model.pkl"}),
        ("python_function", {"model_path": "../model.skops"}),
        ("python_function", {"loader_module": "mlflow.pyfunc.model"}),
        ("python_function", {"loader_module": "os"}),
    ],
)
def test_a_model_that_could_run_code_is_refused(flavor: str, change: dict[str, Any]) -> None:
    """Each way to have code run at loading is refused by the MLmodel file alone."""
    flavors = {
        name: {**values, **(change if name == flavor else {})} for name, values in SKOPS.items()
    }
    with pytest.raises(Refused, match="flights"):
        check_loadable(flavors, name="flights")


@pytest.mark.parametrize("written_as", ["pickle", "cloudpickle"])
def test_nothing_is_unpickled_before_it_is_refused(
    registry: MlflowRegistry, client: Any, name: str, tmp_path: Path, written_as: str
) -> None:
    """A pickled version is refused with the setting's name, and its payload has not run."""
    import mlflow.sklearn

    canary = tmp_path / "canary"
    files = tmp_path / "files"
    mlflow.sklearn.save_model(
        Canary(canary), str(files), serialization_format=written_as, pip_requirements=["numpy"]
    )
    description = (files / "MLmodel").read_text()
    if "python_function" not in description:
        (files / "MLmodel").write_text(
            description.replace(
                "flavors:\n",
                "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
                "    model_path: model.pkl\n    predict_fn: predict\n",
            )
        )
    canary.unlink(missing_ok=True)
    payload = (files / "model.pkl").read_bytes()
    pickle.loads(payload)  # noqa: S301 - the payload does work
    assert canary.exists()
    canary.unlink()
    client.create_registered_model(name)
    client.create_model_version(name, str(files), run_id="0" * 32)
    with pytest.raises(Refused, match=f"saved as {written_as}") as caught:
        registry.load(f"models:/{name}/1")
    assert "allow_pickle" in caught.value.hint
    assert not canary.exists()


def test_a_model_that_needs_a_pickle_is_refused_by_name(
    registry: MlflowRegistry, log: Any, fitted_with_lambda: Any, name: str
) -> None:
    """A lambda in a pipeline is named, and no run is left behind."""
    with pytest.raises(UserCodeFailed, match="<lambda>"):
        log(registry, "effect", model=fitted_with_lambda)
    assert registry.find_run(f"{name}:effect") is None


def test_a_pickled_model_lives_where_pickles_are_allowed(
    registry: MlflowRegistry, trusting: MlflowRegistry, log: Any, fitted_with_lambda: Any, rows: Any
) -> None:
    """With allow_pickle such a model is logged and scores; without it the same run is refused."""
    run_id = log(trusting, "effect", model=fitted_with_lambda)
    uri = f"runs:/{run_id}/model"
    scored = trusting.load(uri).predict(rows)
    assert (scored == fitted_with_lambda.predict_proba(rows)).all()
    with pytest.raises(Refused, match="saved as cloudpickle"):
        registry.load(uri)


def test_allowing_pickles_does_not_make_safe_models_pickles(
    registry: MlflowRegistry, trusting: MlflowRegistry, log: Any
) -> None:
    """A model that skops can hold is skops wherever it is logged."""
    run_id = log(trusting, "effect")
    assert registry.load(f"runs:/{run_id}/model").columns == ("hour", "carrier", "wind_mph")


def test_a_model_without_the_method_is_refused(
    registry: MlflowRegistry, log: Any, rows: Any
) -> None:
    """MLflow would only log a warning and a model that cannot score."""
    from sklearn.linear_model import LinearRegression

    numbers = rows[["hour", "wind_mph"]]
    line = LinearRegression().fit(numbers, rows["hour"])
    with pytest.raises(UserCodeFailed, match="no `predict_proba` method"):
        log(registry, "effect", model=line, sample=numbers.head())


def test_an_mlflow_without_skops_is_an_unmet_need(
    registry: MlflowRegistry, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow 3.5 to 3.8 cannot write skops: the message says which version can."""
    import mlflow.sklearn

    def save_model(sk_model: Any, path: str, serialization_format: str = "cloudpickle") -> None:
        raise AssertionError

    monkeypatch.setattr(mlflow.sklearn, "save_model", save_model)
    with pytest.raises(UnmetNeed, match=r"came with 3\.9") as caught:
        log(registry, "effect")
    assert "mlflow-skinny>=3.9" in caught.value.hint
