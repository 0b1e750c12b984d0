"""`signoff_gate`: people decide about an asset, and no run, worker or process waits for them.

It is two parts. A blocking check on the asset in question asks, and warns as long as the request is
open; a rejection fails it. An asset downstream of it opens the way: it is materialized by the
decision, and while there is none it yields nothing, so that nothing behind it starts. The sensor of
`dagster_backbeat.sensor` continues with a new run once people have decided.
"""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import dagster as dg

from backbeat.errors import Refused
from backbeat.signoff import Evidence, Form, Rules, State, read_request
from backbeat.step import Blocked, Outcome, Waiting
from backbeat.steps import Signoff
from dagster_backbeat.fields import (
    FromAsset,
    Key,
    Text,
    Texts,
    When,
    asset_key,
    check_literals,
    referenced_assets,
)
from dagster_backbeat.identity import REQUEST_TAG
from dagster_backbeat.metadata import blocked_metadata
from dagster_backbeat.outcome import StepRun, dagster_errors
from dagster_backbeat.step_asset import asset_of

__all__ = ["SignoffGate", "request_metadata", "signoff_gate"]


@dataclass(frozen=True)
class SignoffGate:
    """The gate's two definitions, and the names that the sensor needs.

    Args:
        check: The check on the asset in question; give it to `Definitions(asset_checks=...)`.
        asset: What lies downstream depends on this; give it to `Definitions(assets=...)`.
        on: The asset in question.
        key: Key of the gate's asset.
        check_name: Name of the check.
        resource_key: The `BackbeatResource` that it runs on.
    """

    check: dg.AssetChecksDefinition
    asset: dg.AssetsDefinition
    on: dg.AssetKey
    key: dg.AssetKey
    check_name: str
    resource_key: str

    @property
    def task(self) -> str:
        """The task that asks, as the ledger knows it."""
        return f"{self.on.to_user_string()}:{self.check_name}"


def signoff_gate(
    *,
    asset: Key,
    on: Key,
    subject: Text,
    about: Mapping[str, Text] | None = None,
    evidence: Mapping[str, Any] | FromAsset | None = None,
    approvers: Texts = (),
    quorum: int = 2,
    four_eyes: bool | None = None,
    deadline: timedelta | float | str = timedelta(days=3),
    default: Literal["approve", "reject"] = "reject",
    rules: Rules | Mapping[str, Any] | None = None,
    shown: Evidence | Mapping[str, Any] | None = None,
    form: Form | Mapping[str, Any] | None = None,
    name: str = "signoff",
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> SignoffGate:
    """A gate on any asset: what depends on the gate's asset starts only after people approved.

    Args:
        asset: Key of the gate's asset, on which gated assets depend.
        on: The asset in question; the request shows it and is bound to its materialization.
        subject: See `Signoff`, as the fields below.
        about: What is approved; a promotion checks it.
        evidence: What is shown; every vote is bound to its digest.
        approvers: Ids that may vote; empty means anybody who is known.
        quorum: Approvals of distinct people that it takes.
        four_eyes: Whether the requester's own vote is refused.
        deadline: After how long the default decides: seconds or ISO 8601.
        default: What the deadline decides.
        rules: Stages, veto, reminders, escalation and more (`backbeat.signoff.Rules`), in the place
            of approvers, quorum, four_eyes and default.
        shown: Facts, links, tables and pictures beside the evidence.
        form: What a voter fills in.
        name: The check's name.
        when: Condition under which people are asked at all.
        description: For people.
        partitions_def: The assets' partitions.
        group_name: The gate's group.
        resource_key: The `BackbeatResource` to run on.
    """
    fields: dict[str, Any] = {
        "subject": subject,
        "about": about or {},
        "evidence": {} if evidence is None else evidence,
        "approvers": approvers,
        "quorum": quorum,
        "four_eyes": four_eyes,
        "deadline": deadline,
        "default": default,
        "rules": rules,
        "shown": shown,
        "form": form,
    }
    check_literals(Signoff, fields)
    on_key, key = asset_key(on), asset_key(asset)
    task = f"{on_key.to_user_string()}:{name}"

    def ask(run: StepRun) -> Outcome:
        return replace(run, task=task).perform(Signoff, fields)

    def pass_through(run: StepRun) -> Outcome:
        request_id = run.context.run.tags.get(REQUEST_TAG)
        return ask(run) if request_id is None else _continued(run, request_id, task, fields)

    return SignoffGate(
        check=_asking_check(
            ask=ask,
            on=on_key,
            name=name,
            task=task,
            fields=fields,
            when=when,
            partitions_def=partitions_def,
            resource_key=resource_key,
        ),
        asset=asset_of(
            pass_through,
            asset=key,
            kind="signoff",
            description=description or "Opens when people have approved.",
            refers_to=fields,
            deps=[on_key],
            when=when,
            partitions_def=partitions_def,
            group_name=group_name,
            resource_key=resource_key,
        ),
        on=on_key,
        key=key,
        check_name=name,
        resource_key=resource_key,
    )


def request_metadata(state: State) -> dict[str, Any]:
    """What a person needs to decide, and what was decided."""
    request = state.request
    shown: dict[str, Any] = {
        "request": request.request_id,
        "state": state.name,
        "subject": request.subject,
        "about": dg.MetadataValue.json(request.about),
        "evidence": dg.MetadataValue.json(request.evidence),
        "evidence_digest": request.evidence_digest,
        "quorum": request.rules.quorum,
        "approvers": ", ".join(request.rules.approvers) or "anybody who is known",
        "deadline": dg.MetadataValue.timestamp(request.deadline),
        "votes": ", ".join(f"{vote.actor.id}: {vote.choice}" for vote in state.votes) or "none",
    }
    if state.decision is None:
        shown["how to vote"] = f"backbeat signoff approve {request.request_id}"
    else:
        shown["by"] = ", ".join(state.decision.by)
    return shown


def _asking_check(
    *,
    ask: Callable[[StepRun], Outcome],
    on: dg.AssetKey,
    name: str,
    task: str,
    fields: Mapping[str, Any],
    when: When | None,
    partitions_def: dg.PartitionsDefinition[str] | None,
    resource_key: str,
) -> dg.AssetChecksDefinition:
    others = [item for item in referenced_assets([fields, when]) if item != on]

    @dg.multi_asset_check(  # type: ignore[untyped-decorator]
        name=f"{on.to_python_identifier()}_{name}",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=on,
                # also what puts the gate's asset after this check in the same run
                blocking=True,
                description="Asks people; warns as long as they have not decided.",
                additional_deps=others,
            )
        ],
        required_resource_keys={resource_key},
    )
    def compute(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        run = StepRun(context, task, resource_key, partitions_def)
        with dagster_errors(run):
            if not run.wanted(when):
                yield _warning(on, name, "nobody was asked: there is nothing to sign off", {})
                return
            outcome = ask(run)
            yield _asked(run, outcome, on, name)

    return compute


def _asked(run: StepRun, outcome: Outcome, on: dg.AssetKey, name: str) -> dg.AssetCheckResult:
    if isinstance(outcome, Blocked):
        return dg.AssetCheckResult(
            check_name=name,
            asset_key=on,
            passed=False,
            description=outcome.reason,
            metadata=blocked_metadata(outcome, run.platform),
        )
    request_id = (
        outcome.request_id if isinstance(outcome, Waiting) else str(outcome.value["request_id"])
    )
    state = read_request(run.platform.ledger, request_id)
    if state.decision is None:
        pending = f"pending: {state.request.subject}"
        return _warning(on, name, pending, request_metadata(state))
    # people may have decided since it was asked, and the sensor may have shown that already
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=on,
        passed=state.name == "approved",
        metadata=request_metadata(state),
    )


def _warning(
    on: dg.AssetKey, name: str, description: str, metadata: Mapping[str, Any]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=on,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


def _continued(run: StepRun, request_id: str, task: str, fields: Mapping[str, Any]) -> Outcome:
    """Resume the step that asked, after making sure that it asked for this gate and this evidence.

    Raises:
        NotFound: Nothing waits for that request.
        Refused: It is another gate's, another partition's, or about evidence that was replaced.
    """
    from backbeat.runner import resume_step

    ledger, identity = run.platform.ledger, run.identity
    for record in ledger.runs(request_id=request_id)[:1]:
        asked = (record.identity["workflow"], record.identity["task"], record.identity["partition"])
        if asked != (identity.workflow, task, identity.partition):
            raise Refused(
                f"the sign-off {request_id} was asked by {asked[1]} of {asked[0]} for "
                f"{asked[2]}, not by {task} of {identity.workflow} for {identity.partition}",
                hint="let the sensor start the continuation, or ask anew",
            )
        if record.step_digest != run.step(Signoff, fields).digest():
            raise Refused(
                f"what {request_id} was about has been replaced since it was asked",
                hint="ask for a sign-off of what is there now: run the job again",
            )
    return resume_step(request_id, run.platform, run=identity)
