"""One OpenLineage run event (spec 2-0-2), with deterministic ids.

Events are written as plain JSON: building them from the client's classes and serialising those
costs more than both commits of a step on a fast disk. The tests hold them against these classes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import backbeat
from backbeat.identity import RunIdentity
from backbeat.ports import Message
from backbeat.reference import DataRef

__all__ = ["lineage_event", "run_uuid"]

PRODUCER = f"https://github.com/backbeat-ml/backbeat/tree/v{backbeat.__version__}"
_SPACE = uuid.UUID("6f1d7d0e-6a0b-5b8e-9d53-6c7a1f0b2e44")
_SPEC = "https://openlineage.io/spec"
_EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET_VERSIONS = {
    "DataQualityAssertionsDatasetFacet": "1-1-0",
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ParentRunFacet": "1-2-0",
}

_NO_TABLE = frozenset({"json", "model"})
# of an assertion, where it is known
_SAID = ("column", "severity", "description")

State = Literal["START", "COMPLETE", "FAIL"]


def run_uuid(*parts: object) -> str:
    """A UUIDv5 of its parts (RFC 9562): the same run has the same id wherever it is computed."""
    return str(uuid.uuid5(_SPACE, "\x1f".join(map(str, parts))))


def lineage_event(
    state: State,
    *,
    identity: RunIdentity,
    key: str,
    kind: str,
    namespace: str,
    facts: Mapping[str, Any],
    at: datetime | None = None,
    inputs: Iterable[DataRef] = (),
    outputs: Iterable[DataRef] = (),
    assertions: Iterable[Mapping[str, Any]] = (),
    error: str | None = None,
    job: str | None = None,
) -> Message:
    """Build the event of one step's start or end as an outbox message.

    Args:
        state: `START`, `COMPLETE` or `FAIL`.
        identity: The attempt; a retry is a run of its own, with the same parent.
        key: The piece of work.
        kind: The step's versioned kind.
        namespace: Job namespace.
        facts: Flat JSON for backbeat's run facet: digests, versions, verdicts.
        at: When; now where it is not given.
        inputs: What was read.
        outputs: What was written.
        assertions: Data quality results on the inputs: assertion and success, and where they are
            known column, severity and description.
        error: The failure's message, already redacted.
        job: Job name; `<workflow>.<task>` where it is not given.
    """
    run_id = run_uuid(key, identity.attempt)
    run_facets: dict[str, Any] = {
        "parent": _facet(
            "ParentRunFacet",
            run={"runId": run_uuid(identity.workflow, identity.run)},
            job={"namespace": namespace, "name": identity.workflow},
        ),
        "backbeat": {
            **facts,
            "_producer": PRODUCER,
            "_schemaURL": f"{PRODUCER}/docs/schemas/BackbeatRunFacet.json",
            "key": key,
            "kind": kind,
        },
    }
    if error is not None:
        run_facets["errorMessage"] = _facet(
            "ErrorMessageRunFacet", message=error, programmingLanguage="python"
        )
    checks = [_assertion(item) for item in assertions]
    body = {
        "eventType": state,
        "eventTime": (at or datetime.now(UTC)).isoformat(),
        "producer": PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "run": {"runId": run_id, "facets": run_facets},
        "job": {
            "namespace": namespace,
            "name": job or f"{identity.workflow}.{identity.task}",
            "facets": {
                "jobType": _facet(
                    "JobTypeJobFacet",
                    processingType="BATCH",
                    integration="BACKBEAT",
                    jobType=kind,
                )
            },
        },
        "inputs": [_input(ref, checks) for ref in inputs],
        "outputs": [_output(ref) for ref in outputs],
    }
    return Message(id=f"{run_id}-{state}", topic="openlineage", body=body)


def _facet(schema: str, **content: Any) -> dict[str, Any]:
    url = f"{_SPEC}/facets/{_FACET_VERSIONS[schema]}/{schema}.json#/$defs/{schema}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}


def _name(ref: DataRef) -> dict[str, str]:
    if ref.format == "model":
        return {"namespace": "mlflow", "name": ref.uri}
    scheme, separator, rest = ref.uri.partition("://")
    return {"namespace": scheme if separator else "file", "name": rest if separator else ref.uri}


def _dataset(ref: DataRef) -> dict[str, Any]:
    version = _facet("DatasetVersionDatasetFacet", datasetVersion=ref.digest)
    return {**_name(ref), "facets": {"version": version}}


def _assertion(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {"assertion": item["assertion"], "success": item["success"]}
    return found | {name: item[name] for name in _SAID if item.get(name) is not None}


def _input(ref: DataRef, checks: list[dict[str, Any]]) -> dict[str, Any]:
    measured = {}
    # a profile or a model was read as well, and nothing is asserted about it
    if checks and ref.format not in _NO_TABLE:
        facet = _facet("DataQualityAssertionsDatasetFacet", assertions=checks)
        measured["dataQualityAssertions"] = facet
    return {**_dataset(ref), "inputFacets": measured}


def _output(ref: DataRef) -> dict[str, Any]:
    measured = {}
    if ref.rows is not None:
        facet = _facet("OutputStatisticsOutputDatasetFacet", rowCount=ref.rows)
        measured["outputStatistics"] = facet
    return {**_dataset(ref), "outputFacets": measured}
