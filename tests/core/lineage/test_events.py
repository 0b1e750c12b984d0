from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from openlineage.client import event_v2 as ol
from openlineage.client.facet_v2 import (
    data_quality_assertions_dataset as quality,
)
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
)
from openlineage.client.serde import Serde

from backbeat import Blocked, DataRef, Done, Platform, RunIdentity, run_step
from backbeat.errors import InvalidData
from backbeat.lineage import lineage_event
from backbeat.lineage.events import PRODUCER, run_uuid

Make = Callable[..., Any]
AT = datetime(2026, 11, 22, 2, tzinfo=UTC)
READ = DataRef(uri="landing/a.parquet", digest="sha256:a")
BUCKET = DataRef(uri="s3://bucket/b.parquet", digest="sha256:b")
MODEL = DataRef(uri="models:/flights@champion", digest="3", format="model")
WRITTEN = DataRef(uri="scores/c.parquet", digest="sha256:c", rows=7)


def _event(identity: RunIdentity, state: Any = "FAIL", **fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "identity": identity,
        "key": "sha256:k",
        "kind": "toy.step/v1",
        "namespace": "backbeat",
        "facts": {"verdict": "stable"},
        "at": AT,
    }
    return dict(lineage_event(state, **{**known, **fields}).body)


def _without_versions(value: Any) -> Any:
    # the client's newest facet versions, and what it adds where there is nothing to say
    if isinstance(value, dict):
        return {
            key: _without_versions(item)
            for key, item in value.items()
            if key != "_schemaURL" and item != {}
        }
    return [_without_versions(item) for item in value] if isinstance(value, list) else value


def test_an_event_is_what_openlineages_own_classes_write(
    attempt: Callable[..., RunIdentity],
) -> None:
    """Field by field the JSON is that of openlineage-python, and only our own facet is added."""
    version = dataset_version_dataset.DatasetVersionDatasetFacet
    checks = quality.DataQualityAssertionsDatasetFacet(
        assertions=[
            quality.Assertion(
                assertion="not_null",
                success=True,
                column="x",
                severity="error",
                description="x is known",
            ),
            quality.Assertion(assertion="row_count", success=False),
        ],
        producer=PRODUCER,
    )
    expected = Serde.to_dict(
        ol.RunEvent(
            eventType=ol.RunState.FAIL,
            eventTime=AT.isoformat(),
            run=ol.Run(
                runId=run_uuid("sha256:k", 1),
                facets={
                    "parent": parent_run.ParentRunFacet(
                        run=parent_run.Run(runId=run_uuid("nightly", "run-1")),
                        job=parent_run.Job(namespace="backbeat", name="nightly"),
                        producer=PRODUCER,
                    ),
                    "errorMessage": error_message_run.ErrorMessageRunFacet(
                        message="broken", programmingLanguage="python", producer=PRODUCER
                    ),
                },
            ),
            job=ol.Job(
                namespace="backbeat",
                name="nightly.step",
                facets={
                    "jobType": job_type_job.JobTypeJobFacet(
                        processingType="BATCH",
                        integration="BACKBEAT",
                        jobType="toy.step/v1",
                        producer=PRODUCER,
                    )
                },
            ),
            inputs=[
                ol.InputDataset(
                    namespace=space,
                    name=name,
                    facets={"version": version(datasetVersion=digest, producer=PRODUCER)},
                    inputFacets={"dataQualityAssertions": checks},
                )
                for space, name, digest in (
                    ("file", "landing/a.parquet", "sha256:a"),
                    ("s3", "bucket/b.parquet", "sha256:b"),
                )
            ],
            outputs=[
                ol.OutputDataset(
                    namespace="mlflow",
                    name=MODEL.uri,
                    facets={"version": version(datasetVersion="3", producer=PRODUCER)},
                ),
                ol.OutputDataset(
                    namespace="file",
                    name=WRITTEN.uri,
                    facets={"version": version(datasetVersion="sha256:c", producer=PRODUCER)},
                    outputFacets={
                        "outputStatistics": (
                            output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                                rowCount=7, producer=PRODUCER
                            )
                        )
                    },
                ),
            ],
            producer=PRODUCER,
        )
    )
    found = _event(
        attempt(),
        inputs=[READ, BUCKET],
        outputs=[MODEL, WRITTEN],
        assertions=(
            item
            for item in [
                {
                    "assertion": "not_null",
                    "success": True,
                    "column": "x",
                    "severity": "error",
                    "description": "x is known",
                },
                {"assertion": "row_count", "success": False, "column": None},
            ]
        ),
        error="broken",
    )
    ours = found["run"]["facets"].pop("backbeat")
    assert _without_versions(found) == _without_versions(expected)
    assert found["schemaURL"] == expected["schemaURL"]
    assert ours == {
        "_producer": PRODUCER,
        "_schemaURL": f"{PRODUCER}/docs/schemas/BackbeatRunFacet.json",
        "key": "sha256:k",
        "kind": "toy.step/v1",
        "verdict": "stable",
    }


def test_every_facet_names_its_schema(attempt: Callable[..., RunIdentity]) -> None:
    """Each facet's `_schemaURL` is a version of the facet of that very name."""
    found = _event(attempt(), inputs=[READ], outputs=[WRITTEN], error="x", assertions=[])
    text = json.dumps(found)
    for name in ("ParentRunFacet", "ErrorMessageRunFacet", "JobTypeJobFacet"):
        assert f"/{name}.json#/$defs/{name}" in text
    assert text.count("https://openlineage.io/spec/facets/") == text.count("_schemaURL") - 1


def test_ids_are_the_same_wherever_they_are_computed(attempt: Callable[..., RunIdentity]) -> None:
    """The run id depends on the work and the try, the parent's on the workflow run alone."""
    first, again, retry, other = (
        _event(attempt(), state="START"),
        _event(attempt(), state="COMPLETE"),
        _event(attempt(attempt=2)),
        _event(attempt(task="other"), key="sha256:other"),
    )
    ids = [event["run"]["runId"] for event in (first, again, retry, other)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    parents = {e["run"]["facets"]["parent"]["run"]["runId"] for e in (first, again, retry, other)}
    assert len(parents) == 1


def test_facts_cannot_pass_for_the_works_key(attempt: Callable[..., RunIdentity]) -> None:
    """A fact that is called `key` or `kind` does not replace the facet's own."""
    facet = _event(attempt(), facts={"key": "forged", "kind": "forged"})["run"]["facets"][
        "backbeat"
    ]
    assert (facet["key"], facet["kind"]) == ("sha256:k", "toy.step/v1")


def _sent(rows: Make, ledger_file: Any) -> list[dict[str, Any]]:
    found = rows(ledger_file, "SELECT id, body FROM backbeat_outbox ORDER BY position")
    bodies: list[dict[str, Any]] = [json.loads(row["body"]) for row in found]
    for row, body in zip(found, bodies, strict=True):
        assert row["id"] == f"{body['run']['runId']}-{body['eventType']}"
    return bodies


@pytest.mark.parametrize(
    ("perform", "last"),
    [
        (lambda ctx: Done(inputs=(READ,), outputs=(WRITTEN,)), "COMPLETE"),
        (lambda ctx: Blocked(reason="broken data", inputs=(READ,)), "FAIL"),
        (InvalidData("it is empty"), "FAIL"),
    ],
    ids=["done", "blocked", "failed"],
)
def test_every_step_starts_and_ends(
    *, platform: Platform, attempt: Make, ledger_file: Any, rows: Make, perform: Any, last: str
) -> None:
    """START, then COMPLETE or FAIL, of one run; the edges are what was really read and written."""
    from typing import ClassVar

    from backbeat import Outcome, Step

    class Toy(Step):
        kind: ClassVar[str] = "toy.step/v1"
        needs: ClassVar[frozenset[Any]] = frozenset()

        def perform(self, ctx: Any) -> Outcome:
            if isinstance(perform, Exception):
                raise perform
            found: Outcome = perform(ctx)
            return found

    if isinstance(perform, Exception):
        with pytest.raises(InvalidData):
            run_step(Toy(), attempt(), platform)
    else:
        run_step(Toy(), attempt(), platform)
    start, end = _sent(rows, ledger_file)
    assert [start["eventType"], end["eventType"]] == ["START", last]
    assert start["run"]["runId"] == end["run"]["runId"]
    if last == "COMPLETE":
        assert [item["name"] for item in end["inputs"]] == [READ.uri]
        assert [item["name"] for item in end["outputs"]] == [WRITTEN.uri]
    else:
        message = end["run"]["facets"]["errorMessage"]["message"]
        read = [item["name"] for item in end["inputs"]]
        assert (message, read) in [("broken data", [READ.uri]), ("it is empty", [])]
        assert end["outputs"] == []


def test_a_gate_that_blocks_says_what_it_saw_of_what(
    *, platform: Platform, attempt: Make, ledger_file: Any, rows: Make
) -> None:
    """Its FAIL event has its inputs and their assertions, as a COMPLETE event would."""
    from typing import ClassVar

    from backbeat import Outcome, Step

    seen = {"assertion": "not_null", "success": False, "column": "x", "severity": "error"}

    class Gate(Step):
        kind: ClassVar[str] = "toy.gate/v1"
        needs: ClassVar[frozenset[Any]] = frozenset()

        def perform(self, ctx: Any) -> Outcome:
            return Blocked(reason="no", evidence={"assertions": [seen]}, inputs=(READ, MODEL))

    run_step(Gate(), attempt(), platform)
    *_, end = _sent(rows, ledger_file)
    assert end["eventType"] == "FAIL"
    table, model = end["inputs"]
    assert table["facets"]["version"]["datasetVersion"] == READ.digest
    assert table["inputFacets"]["dataQualityAssertions"]["assertions"] == [seen]
    assert (model["name"], model["inputFacets"]) == (MODEL.uri, {})
