from __future__ import annotations

import inspect
import logging
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import ContractBroken, InvalidStep, NotFound, StorageFull, Unreachable
from backbeat.ports import Registry
from backbeat.registry import MlflowRegistry

NOBODY = "0" * 32


def test_the_port_is_implemented_to_the_letter() -> None:
    """Every method of the Registry port is there, with the port's own parameters."""
    for name, wanted in inspect.getmembers(Registry, inspect.isfunction):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(MlflowRegistry, name)).parameters
            assert list(ours) == list(inspect.signature(wanted).parameters), name


def test_a_logged_model_is_a_finished_run_with_all_that_was_given(
    registry: MlflowRegistry, client: Any, log: Any, name: str
) -> None:
    """Parameters, metrics, tags and the model's files are in one finished run."""
    run_id = log(registry, "effect")
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"depth": "3", "columns": '["hour"]'}
    assert run.data.metrics == {"auc": 0.75}
    assert run.data.tags["backbeat.effect"] == f"{name}:effect"
    assert run.data.tags["team"] == "ops"
    [output] = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.source_run_id == run_id
    assert (Path(model.artifact_location) / "model.skops").is_file()
    assert not (Path(model.artifact_location) / "input_example.json").exists()


def test_more_parameters_than_a_server_takes_at_once_are_logged(
    registry: MlflowRegistry, client: Any, log: Any
) -> None:
    """Two hundred and fifty parameters all arrive."""
    run_id = log(registry, "effect", params={f"p{number}": number for number in range(250)})
    assert len(client.get_run(run_id).data.params) == 250


def test_the_same_effect_is_logged_once(registry: MlflowRegistry, log: Any, name: str) -> None:
    """A second attempt is handed the first one's run."""
    run_id = log(registry, "effect")
    assert log(registry, "effect") == run_id
    assert registry.find_run(f"{name}:effect") == run_id
    assert registry.find_run(f"{name}:other") is None


def test_a_run_that_a_crash_left_open_does_not_count(
    registry: MlflowRegistry, client: Any, log: Any, name: str
) -> None:
    """An unfinished run of the effect is not found; the next attempt closes it and logs anew."""
    experiment = client.create_experiment(name, artifact_location="unused")
    tags = {"backbeat.effect": f"{name}:effect"}
    crashed = client.create_run(experiment, tags=tags).info.run_id
    assert registry.find_run(f"{name}:effect") is None
    run_id = log(registry, "effect", experiment=f"{name}-2")
    assert run_id != crashed
    assert registry.find_run(f"{name}:effect") == run_id
    assert client.get_run(crashed).info.status == "KILLED"


def test_a_model_that_could_not_be_stored_leaves_no_finished_run(
    database: str, client: Any, log: Any, name: str, tmp_path: Path
) -> None:
    """Where the artifact folder cannot be written, the run has failed and the effect is free."""
    (tmp_path / "file").touch()
    registry = MlflowRegistry(tracking_uri=database, artifact_root=str(tmp_path / "file"))
    with pytest.raises(StorageFull, match="cannot be read or written"):
        log(registry, "effect")
    assert registry.find_run(f"{name}:effect") is None
    experiment = client.get_experiment_by_name(name)
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize("form", ["{run}", "runs:/{run}", "runs:/{run}/model", "models:/{model}"])
def test_a_run_or_a_model_uri_becomes_a_version(
    registry: MlflowRegistry, client: Any, log: Any, name: str, form: str
) -> None:
    """All ways to name a run's model register the same files."""
    run_id = log(registry, "effect")
    [output] = client.get_run(run_id).outputs.model_outputs
    source = form.format(run=run_id, model=output.model_id)
    version = registry.register(name, source=source, effect_id="v", tags={"backbeat.x": "1"})
    assert version.uri == f"models:/{name}/1"
    assert version.run_id == run_id
    assert version.tags == {"backbeat.x": "1", "backbeat.effect": "v"}
    assert registry.load(version.uri).columns == ("hour", "carrier", "wind_mph")


def test_the_same_effect_is_registered_once(
    registry: MlflowRegistry, client: Any, log: Any, name: str
) -> None:
    """A second attempt is handed the first one's version; another effect makes another."""
    run_id = log(registry, "effect")
    first = registry.register(name, source=run_id, effect_id="one", tags={})
    assert registry.register(name, source=run_id, effect_id="one", tags={}) == first
    assert registry.find_version(name, "one") == first
    assert registry.find_version(name, "other") is None
    assert registry.find_version("no-such-model", "one") is None
    second = registry.register(name, source=run_id, effect_id="two", tags={})
    assert (first.version, second.version) == ("1", "2")
    assert len(client.search_model_versions(f"name = '{name}'")) == 2


def test_versions_registered_at_once_are_distinct(
    registry: MlflowRegistry, log: Any, name: str
) -> None:
    """Four threads that register four effects get four versions."""
    run_id = log(registry, "effect")

    def register(effect: str) -> str:
        return registry.register(name, source=run_id, effect_id=effect, tags={}).version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(register, "abcd")) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "source", [NOBODY, f"runs:/{NOBODY}/model", "models:/m-00000000000000000000000000000000"]
)
def test_an_unknown_source_is_not_found(
    registry: MlflowRegistry, client: Any, name: str, source: str
) -> None:
    """A run or model that does not exist makes neither a version nor a registered model."""
    with pytest.raises(NotFound):
        registry.register(name, source=source, effect_id="v", tags={})
    assert client.search_registered_models(f"name = '{name}'") == []


def test_a_run_without_that_model_is_not_found(
    registry: MlflowRegistry, log: Any, name: str
) -> None:
    """A run whose model has another name is refused, and the name that it has is given."""
    run_id = log(registry, "effect")
    with pytest.raises(NotFound, match="no model named 'trees'; it has: model"):
        registry.register(name, source=f"runs:/{run_id}/trees", effect_id="v", tags={})


@pytest.mark.parametrize("source", ["", "flights", "models:/flights/3", "s3://bucket/model"])
def test_a_source_of_another_form_is_refused(registry: MlflowRegistry, source: str) -> None:
    """What names neither a run nor a logged model is an invalid step."""
    with pytest.raises(InvalidStep, match="no source of a model"):
        registry.register("flights", source=source, effect_id="v", tags={})


def test_an_alias_means_the_version_that_it_points_to(
    registry: MlflowRegistry, log: Any, name: str
) -> None:
    """An alias resolves to the version that was set last."""
    run_id = log(registry, "effect")
    for effect in ("one", "two"):
        version = registry.register(name, source=run_id, effect_id=effect, tags={})
        registry.set_alias(name, "champion", version.version)
        assert registry.alias(name, "champion") == version.version
        assert registry.resolve(f"models:/{name}@champion") == registry.resolve(version.uri)


def test_a_missing_alias_is_none(registry: MlflowRegistry, log: Any, name: str) -> None:
    """Neither a model without the alias nor a model that does not exist has one."""
    assert registry.alias(name, "champion") is None
    registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    assert registry.alias(name, "champion") is None


@pytest.mark.parametrize("missing", ["@staging", "/7"])
def test_what_does_not_exist_is_not_found_with_what_does(
    registry: MlflowRegistry, log: Any, name: str, missing: str
) -> None:
    """An unknown alias or version is answered with the aliases and versions that there are."""
    run_id = log(registry, "effect")
    for effect in ("one", "two"):
        registry.register(name, source=run_id, effect_id=effect, tags={})
    registry.set_alias(name, "champion", "2")
    with pytest.raises(NotFound) as caught:
        registry.resolve(f"models:/{name}{missing}")
    assert "@champion -> 2, 1, 2" in caught.value.hint


@pytest.mark.parametrize("uri", ["flights", "models:/flights", "models:/flights/Production"])
def test_a_uri_of_another_form_is_refused(registry: MlflowRegistry, uri: str) -> None:
    """Only an alias or a version number names a version; MLflow's stages are gone."""
    with pytest.raises(InvalidStep, match="names no registered model version"):
        registry.resolve(uri)


def test_an_alias_is_not_set_to_a_version_that_does_not_exist(
    registry: MlflowRegistry, log: Any, name: str
) -> None:
    """Neither aliases nor tags go to a version that is not there."""
    registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    with pytest.raises(NotFound):
        registry.set_alias(name, "champion", "9")
    with pytest.raises(NotFound):
        registry.tag_version(name, "9", {"backbeat.x": "1"})
    assert registry.alias(name, "champion") is None


def test_tags_are_added_to_a_version(registry: MlflowRegistry, log: Any, name: str) -> None:
    """New tags join the old ones, and one of the same name is replaced."""
    version = registry.register(
        name, source=log(registry, "effect"), effect_id="v", tags={"backbeat.x": "1"}
    )
    registry.tag_version(name, version.version, {"backbeat.x": "2", "backbeat.y": "3"})
    tags = registry.resolve(version.uri).tags
    assert tags == {"backbeat.x": "2", "backbeat.y": "3", "backbeat.effect": "v"}


def test_a_loaded_model_scores_as_the_fitted_one(
    registry: MlflowRegistry, log: Any, name: str, fitted: Any, rows: Any
) -> None:
    """The registry's model gives the probabilities of the model that was logged."""
    version = registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    scored = registry.load(version.uri).predict(rows)
    assert (scored == fitted.predict_proba(rows)).all()


def test_a_model_is_loaded_once(registry: MlflowRegistry, log: Any, name: str) -> None:
    """An alias and the version that it means are the same object; a moved alias is another."""
    run_id = log(registry, "effect")
    for effect in ("one", "two"):
        registry.register(name, source=run_id, effect_id=effect, tags={})
    registry.set_alias(name, "champion", "1")
    first = registry.load(f"models:/{name}@champion")
    assert registry.load(f"models:/{name}/1") is first
    registry.set_alias(name, "champion", "2")
    assert registry.load(f"models:/{name}@champion") is not first


def test_a_null_among_integers_does_not_stop_the_night(
    registry: MlflowRegistry, log: Any, rows: Any
) -> None:
    """A column that was trained as integers may come as integers or, with a null, as floats."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    numbers = rows[["hour", "wind_mph"]]
    trees = HistGradientBoostingClassifier(max_iter=3).fit(numbers, rows["hour"] > 12)
    run_id = log(registry, "effect", model=trees, sample=numbers.head())
    model = registry.load(f"runs:/{run_id}/model")
    with_null = numbers.assign(hour=numbers["hour"].astype("float64")).mask(rows["hour"] == 3)
    assert len(model.predict(numbers)) == len(model.predict(with_null)) == len(rows)


@pytest.mark.parametrize("broken", ["missing", "type"])
def test_foreign_columns_break_the_contract_without_showing_rows(
    registry: MlflowRegistry, log: Any, rows: Any, broken: str
) -> None:
    """A missing column or another type is named, and no value of the data is in the message."""
    model = registry.load(f"runs:/{log(registry, 'effect')}/model")
    secret = rows.assign(wind_mph="secret-value")
    frame = rows.drop(columns="hour") if broken == "missing" else secret
    with pytest.raises(ContractBroken) as caught:
        model.predict(frame)
    assert ("hour" if broken == "missing" else "wind_mph") in caught.value.message
    assert "secret-value" not in "".join(traceback.format_exception(caught.value))


def test_a_version_whose_files_are_gone_is_not_found(
    registry: MlflowRegistry, client: Any, log: Any, name: str
) -> None:
    """The registry knows the version, and the message says where its files should be."""
    import shutil

    version = registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    files = client.get_model_version_download_uri(name, version.version)
    shutil.rmtree(files)
    with pytest.raises(NotFound, match="its files at"):
        registry.load(version.uri)


def test_nobody_at_the_address_is_unreachable_and_no_password_is_shown() -> None:
    """A closed port fails in one try, and neither message nor traceback shows the password."""
    uri = "http://bob:hunter2@127.0.0.1:9"
    registry = MlflowRegistry(tracking_uri=uri, timeout_seconds=2)
    with pytest.raises(Unreachable) as caught:
        registry.resolve("models:/flights@champion")
    shown = "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1:9" in shown
    assert "hunter2" not in shown
    assert "bob" not in shown
    assert caught.value.__context__ is None


def test_a_database_server_that_is_away_is_unreachable() -> None:
    """MLflow's minutes of retries are not entered for a database that takes no connection."""
    registry = MlflowRegistry(tracking_uri="postgresql://bob:hunter2@127.0.0.1:9/mlflow")
    with pytest.raises(Unreachable) as caught:
        registry.ping()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_server_has_pages_and_a_database_has_none(registry: MlflowRegistry) -> None:
    """Links lead to the server's pages, without its credentials."""
    server = MlflowRegistry(tracking_uri="https://bob:hunter2@mlflow.example/team/")
    assert server.link("run", run_id="abc") == "https://mlflow.example/team/#/runs/abc"
    assert (
        server.link("version", name="flights", version="3")
        == "https://mlflow.example/team/#/models/flights/versions/3"
    )
    assert registry.link("run", run_id="abc") is None
    with pytest.raises(InvalidStep):
        server.link("experiment", name="x")


def test_ping_says_what_is_there(registry: MlflowRegistry, database: str) -> None:
    """One sentence with the address."""
    assert registry.ping().startswith(f"MLflow answers at {database}")


def test_nothing_of_the_process_is_changed_and_nothing_is_printed(
    registry: MlflowRegistry, log: Any, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """MLflow's global address, environment, log levels and the terminal are as before."""
    import mlflow

    before = (dict(os.environ), logging.getLogger("mlflow").level, mlflow.active_run())
    version = registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    registry.load(version.uri)
    assert mlflow.tracking._tracking_service.utils._tracking_uri is None
    assert (dict(os.environ), logging.getLogger("mlflow").level, mlflow.active_run()) == before
    assert capfd.readouterr() == ("", "")


def test_two_registries_in_one_process_do_not_mix(
    registry: MlflowRegistry, log: Any, name: str, tmp_path: Path
) -> None:
    """What one registry holds is unknown to the other, also for the files of a version."""
    other = MlflowRegistry(tracking_uri=f"sqlite:///{tmp_path}/other/mlflow.db")
    version = registry.register(name, source=log(registry, "effect"), effect_id="v", tags={})
    with pytest.raises(NotFound):
        other.load(version.uri)
    theirs = other.register(name, source=log(other, "effect"), effect_id="v", tags={})
    assert other.load(theirs.uri) is not registry.load(version.uri)
    assert (tmp_path / "other" / "mlartifacts" / name).is_dir()


def test_two_processes_may_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    """Both find a whole database, whoever of them migrated it."""
    program = (
        "import sys; from backbeat.registry import MlflowRegistry;"
        "print(MlflowRegistry(tracking_uri=sys.argv[1]).ping())"
    )
    uri = f"sqlite:///{tmp_path}/fresh/mlflow.db"
    both = [
        subprocess.Popen([sys.executable, "-c", program, uri], stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    for process in both:
        said, complained = process.communicate(timeout=240)
        assert (process.returncode, complained) == (0, "")
        assert said.startswith("MLflow answers")


def test_a_missing_package_is_an_unmet_need(tmp_path: Path) -> None:
    """Without MLflow the message names it and the extra that brings it."""
    program = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from backbeat.registry import MlflowRegistry\n"
        "MlflowRegistry(tracking_uri=sys.argv[1]).ping()"
    )
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", program, uri], capture_output=True, text=True, check=False
    )
    assert "UnmetNeed" in done.stderr
    assert "mlflow" in done.stderr.rpartition("UnmetNeed")[2]
    assert "backbeat[mlflow]" in done.stderr
