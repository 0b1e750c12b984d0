"""Airflow's Required Actions page: one more way to vote, and never a way round the rules.

Airflow takes one answer for a task and then lets it go on. Here an answer is that person's vote;
where the rules want more, the page is cleared and the task waits again.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backbeat.errors import Refused
from backbeat.platform import Platform
from backbeat.telemetry import redact

__all__ = ["XCOM_KEY", "Shown", "count_answer", "show"]

XCOM_KEY = "backbeat_signoff"
"""What the page shows: `request_id` and `evidence_digest`."""

_CHOICES = {"Approve": "approve", "Reject": "reject"}
_LONGEST_REASON = 2000
_LONGEST_BODY = 20_000
# a form's own field of this name is one more reason
_REASON_NAME = "reason"
_REASON = {
    "value": "",
    "schema": {"type": ["string", "null"], "maxLength": _LONGEST_REASON},
    "description": "Why, in your own words; it is kept with the vote.",
}
# at the very beginning, where no evidence can stand
_FIRST_LINE = re.compile(r"\ASign-off `([^`\n]+)`, evidence `([^`\n]+)`\n")
_FENCE = "````````"
_RESUMES_ITSELF = (3, 3)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What stands on the page.

    Args:
        request_id: The sign-off request.
        evidence_digest: What a vote by this page is bound to.
    """

    request_id: str
    evidence_digest: str


def show(platform: Platform, context: Mapping[str, Any], request_id: str) -> str:
    """Put a request on the page, open for the next person's answer.

    Airflow keeps the page's first text of a try. Where that is not about today's evidence, a vote
    by the page is bound to what it shows, and refused. A page that cannot be made is logged, and
    never fails the task: there are other ways to vote.

    Args:
        platform: Whose ledger holds the request.
        context: The waiting task's.
        request_id: The request.

    Returns:
        The task instance whose page a trigger has to look at, because Airflow itself does not
        resume what is answered, as it does from 3.3 on; empty where it need not.
    """
    from backbeat.signoff import read_request

    request = read_request(platform.ledger, request_id).request
    body = _body(request)
    try:
        from airflow.sdk.execution_time.comms import CreateHITLDetailPayload
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        answer = SUPERVISOR_COMMS.send(
            CreateHITLDetailPayload(
                ti_id=context["ti"].id,
                options=list(_CHOICES),
                subject=redact(request.subject),
                body=body,
                params=_params(request),
                assigned_users=[],
            )
        )
    except Exception as error:  # noqa: BLE001 - whatever the other side of the wire says
        _log.warning("the Required Actions page does not show %s: %s", request_id, error)
        return ""
    found = _FIRST_LINE.match(getattr(answer, "body", None) or body)
    shown = found.groups() if found else ("", "")
    if shown != (request_id, request.evidence_digest):
        _log.warning(
            "the Required Actions page still shows %s as it was asked before: vote on %s by "
            "`backbeat signoff vote`",
            shown[0] or "something else",
            request_id,
        )
    context["ti"].xcom_push(XCOM_KEY, {"request_id": request_id, "evidence_digest": shown[1]})
    return "" if _airflow_version() >= _RESUMES_ITSELF else str(context["ti"].id)


def count_answer(
    platform: Platform, context: Mapping[str, Any], event: Mapping[str, Any]
) -> str | None:
    """Cast the vote of whoever has answered the page.

    Args:
        platform: Whose ledger holds the request.
        context: The resumed task's.
        event: Airflow's: `chosen_options`, `params_input` and `responded_by_user`.

    Returns:
        The request that the task waits for; None where the page was not ours.

    Raises:
        BackbeatError: The vote could not be recorded; a retry asks anew.
    """
    from backbeat import Actor
    from backbeat.signoff import vote

    shown = _shown(platform, context)
    if shown is None:
        return None
    user = event.get("responded_by_user")
    name = user.get("name") if isinstance(user, Mapping) else getattr(user, "name", None)
    choice = next((_CHOICES[item] for item in event["chosen_options"] if item in _CHOICES), None)
    if not name or choice is None:
        _log.warning("an answer of nobody, or to another question, was not counted")
        return shown.request_id
    filled = dict(event.get("params_input") or {})
    reason = filled.pop(_REASON_NAME, None) or ""
    try:
        vote(
            platform.ledger,
            shown.request_id,
            choice=choice,  # type: ignore[arg-type]
            actor=Actor(id=str(name), method="airflow"),
            evidence_digest=shown.evidence_digest,
            reason=str(reason)[:_LONGEST_REASON],
            # what was left empty was not answered
            answers={name: value for name, value in filled.items() if value not in (None, "", [])},
        )
    except Refused as error:
        # it is on record, and the task waits on
        _log.warning("%s", error)
    return shown.request_id


def _shown(platform: Platform, context: Mapping[str, Any]) -> Shown | None:
    """What this very task has put on its page."""
    from backbeat.identity import RunIdentity
    from backbeat_provider.identity import run_identity

    ti = context["ti"]
    told = ti.xcom_pull(task_ids=ti.task_id, key=XCOM_KEY, map_indexes=ti.map_index)
    if not isinstance(told, Mapping):
        return None
    shown = Shown(str(told.get("request_id")), str(told.get("evidence_digest")))
    now = run_identity(context)
    for record in platform.ledger.runs(request_id=shown.request_id):
        then = RunIdentity.model_validate(record.identity)
        # whoever may write XComs must not turn an answer into a vote on another request
        if (then.workflow, then.run, then.task_key) == (now.workflow, now.run, now.task_key):
            return shown
    _log.warning("the task has never asked for %s: the answer is not counted", shown.request_id)
    return None


def _airflow_version() -> tuple[int, int]:
    from airflow import __version__

    major, minor = __version__.split(".")[:2]
    return int(major), int(minor)


def _body(request: Any) -> str:
    rules = request.rules.model_dump(mode="json", exclude_defaults=True)
    lines = [
        f"Sign-off `{request.request_id}`, evidence `{request.evidence_digest}`",
        "",
        *(_fenced(title, value) for title, value in (("About", request.about), ("Rules", rules))),
        f"Decided by default on {request.deadline:%Y-%m-%d %H:%M} UTC.",
        "",
        _fenced("Evidence", request.evidence),
    ]
    if request.shown is not None:
        lines.append(_fenced("Shown", request.shown.model_dump(mode="json", exclude_defaults=True)))
    return redact("\n".join(lines))


def _params(request: Any) -> dict[str, Any]:
    """The form as Airflow's parameters; each may be left empty: the vote says what is missing."""
    fields = {} if request.form is None else request.form.properties
    params = {}
    for name, field in fields.items():
        schema = field.model_dump(mode="json", exclude_defaults=True) | {
            "type": [field.type, "null"]
        }
        if field.enum:
            schema["enum"] = [*field.enum, None]
        about = schema.pop("description", "")
        params[name] = {"value": None, "schema": schema, "description": about or None}
    return {**params, _REASON_NAME: _REASON}


def _fenced(title: str, value: Any) -> str:
    # evidence is data: in a fence that it cannot close, nothing in it becomes a link or a heading
    text = json.dumps(value, indent=2, ensure_ascii=True).replace("`", "'")
    if len(text) > _LONGEST_BODY:
        text = f"{text[:_LONGEST_BODY]}\n… see `backbeat signoff show`"
    return f"**{title}**\n\n{_FENCE}\n{text}\n{_FENCE}\n"
