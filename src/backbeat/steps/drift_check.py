"""drift.check/v1: has the data moved away from what the model was trained on?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from backbeat.drift.action import Action, RetrainPolicy
from backbeat.drift.rules import Rules
from backbeat.errors import ContractBroken
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin
from backbeat.steps.profile_reference import profile_key

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from backbeat.drift import Decision, Profile
    from backbeat.drift.checking import Checked
    from backbeat.drift.history import Monitor

__all__ = ["DriftCheck"]

_NO_REFERENCE = "no_reference"
_THRESHOLDS = ("q", "effect_floor", "power")


class DriftCheck(Step):
    """Compare a table with a stored profile, on the profile's own frozen bins.

    Args:
        current: The new data.
        reference: Store key of a profile, or `models:/<name>@<alias>` for the profile that is bound
            to that model version. A model that does not exist yet gives `no_reference`.
        columns: Which columns; all of the profile's where None.
        q: False discovery rate of Benjamini-Hochberg over the columns.
        effect_floor: Smallest effect that counts: KS distance, or sqrt(chi2/N) for categories, both
            between 0 and 1.
        power: Chance with which a shift as large as the floor must be seen, else the column is
            `insufficient_data`.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the batch is judged by its past, and becomes a part of
            it. Empty judges without a history.
        partition: The batch's name, such as its ISO day; with a monitor it says what is its past.
        rules: Every threshold, as data, instead of `q`, `effect_floor` and `power`; with a monitor
            and without rules, their defaults hold.
        retrain: When drift starts a retraining; needs a monitor, which keeps what was started.

    Value: `verdict` (stable, drifted, broken, insufficient_data, no_reference), `calibrated`,
    `columns` (those that moved, the worst first), `rows`, `reference`, `report`.

    With a monitor or rules also `severity`, `alarms` (the columns that moved and are not muted),
    `history_batches` (how many past batches the limits come from), `cause` (a digest of the alarms'
    columns and checks: the same cause has the same one), `batch` (its store key in the history).

    With `retrain` also `action` (`retrain` or `hold`), `because` (the rule that decided) and
    `action_reason` (the same in words). Without a reference the action is `retrain`.
    """

    kind: ClassVar[str] = "drift.check/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})

    current: Dataset
    reference: str = Field(min_length=1)
    columns: tuple[str, ...] | None = None
    q: float = Field(default=0.05, gt=0, lt=1)
    effect_floor: float = Field(default=0.1, gt=0, lt=1)
    power: float = Field(default=0.8, gt=0, lt=1)
    report: str = Field(default="reports/drift")
    monitor: str = ""
    partition: str = ""
    rules: Rules | None = None
    retrain: RetrainPolicy | None = None

    @model_validator(mode="after")
    def _one_place_for_thresholds(self) -> DriftCheck:
        if self.monitor and not self.partition:
            raise ValueError("`monitor` needs `partition`: the batch's name, such as its day")
        if self.retrain is not None and not self.monitor:
            raise ValueError("`retrain` needs a `monitor`, which keeps what was started")
        if self._by_rules:
            fields = type(self).model_fields
            moved = [name for name in _THRESHOLDS if getattr(self, name) != fields[name].default]
            if moved:
                raise ValueError(f"with `monitor` or `rules`, write {moved[0]} into `rules`")
        if self.rules is not None and self.rules.against != "pinned" and not self.monitor:
            raise ValueError(f"rules against {self.rules.against} batches need a `monitor`")
        return self

    def required(self) -> frozenset[Need]:
        """A registry only where a model version is named: rung 0 has none."""
        return self.needs if self.reference.startswith("models:/") else frozenset({Need.STORE})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the new data, and the reference to one profile's bytes.

        The history is not pinned: it is what earlier partitions have left, and a retry of a batch
        must stay the same work when one of them is written late.
        """
        inputs = {"current": pin(ctx, self.current), "reference": _NO_REFERENCE}
        key = profile_key(ctx, self.reference)
        if key is not None:
            inputs["reference"] = key
            inputs["profile"] = _digest(ctx.store.read(key))
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Profile the new data on the reference's bins, and decide."""
        from backbeat.drift import Profile, report_html, report_markdown
        from backbeat.drift.checking import keep

        table, refs = open_pinned(ctx, "current", self.current)
        key = ctx.inputs["reference"]
        if key == _NO_REFERENCE:
            return self._without_reference(table, refs)
        content = ctx.store.read(key)
        reference = Profile.from_bytes(content)
        if self.columns is not None:
            _require_profiled(self.columns, reference, key)
            reference = reference.only(self.columns)
        monitor = self._monitor(ctx)
        checked = self._checked(table, reference, monitor)
        decision, current = checked.decision, checked.current
        moved = [c for c in decision.columns if c.verdict in {"drifted", "broken"}]
        value: dict[str, Any] = {
            "verdict": decision.verdict,
            "calibrated": decision.calibrated,
            "columns": [column.name for column in moved],
            "rows": current.rows,
            "reference": key,
            **self._judged(decision),
        }
        evidence: dict[str, Any] = {
            "decision": decision.model_dump(mode="json"),
            "markdown": report_markdown(decision),
            "assertions": _assertions(decision),
        }
        if monitor is not None:
            ctx.ensure_current()
            value["batch"] = keep(monitor, checked, pinned=reference, rules=self._rules())
            evidence |= self._followed(ctx, monitor, decision, reference, value)
        outputs: tuple[DataRef, ...] = ()
        if self.report:
            shown = {"step": self.digest(), "inputs": dict(ctx.inputs)}
            name = ctx.effect_id("report", content=shown)[7:23]
            value["report"] = f"{self.report}/{name}.html"
            page = report_html(
                decision,
                checked.reference,
                current,
                title=f"Drift of {self.current.title}",
                subtitle=f"against {decision.reference_title or 'the profile'} {key}",
            ).encode()
            ctx.store.write(value["report"], page)
            outputs = (DataRef(uri=value["report"], digest=_digest(page), format="html"),)
        return Done(
            value=value,
            metrics={f"effect.{c.name}": c.effect for c in decision.columns if c.effect is not None}
            | {"drifted": float(len(moved))},
            inputs=(*refs, DataRef(uri=key, digest=_digest(content), format="json")),
            outputs=outputs,
            evidence=evidence,
        )

    def _without_reference(self, table: ds.Dataset, refs: tuple[DataRef, ...]) -> Done:
        value = {
            "verdict": _NO_REFERENCE,
            "calibrated": False,
            "columns": [],
            "rows": table.count_rows(),
            "reference": None,
            **self._judged(None),
        }
        if self.retrain is not None:
            from backbeat.drift.actions import NO_REFERENCE

            value |= _told(NO_REFERENCE)
        return Done(
            value=value,
            inputs=refs,
            evidence={"why": f"{self.reference} does not exist yet: nothing to compare with"},
        )

    def _followed(
        self,
        ctx: StepContext,
        monitor: Monitor,
        decision: Decision,
        reference: Profile,
        value: dict[str, Any],
    ) -> dict[str, Any]:
        """What follows from the batch: for the value, and as evidence."""
        if self.retrain is None:
            return {}
        from backbeat.drift.actions import follow

        found = follow(
            monitor,
            self.retrain,
            decision,
            pinned=reference,
            ensure_current=ctx.ensure_current,
        )
        value |= _told(found)
        return {"action": found.model_dump(mode="json")}

    @property
    def _by_rules(self) -> bool:
        return bool(self.monitor) or self.rules is not None

    def _rules(self) -> Rules:
        return self.rules or Rules()

    def _monitor(self, ctx: StepContext) -> Monitor | None:
        if not self.monitor:
            return None
        from backbeat.drift.history import Monitor

        return Monitor(ctx.store, self.monitor)

    def _checked(self, table: ds.Dataset, reference: Profile, monitor: Monitor | None) -> Checked:
        from backbeat.drift import decide
        from backbeat.drift.checking import Checked, check_batch, count_batch

        if self._by_rules:
            return check_batch(
                table,
                pinned=reference,
                rules=self._rules(),
                partition=self.partition,
                monitor=monitor,
            )
        # a column that the profile does not watch is the quality suite's affair
        current = count_batch(table, reference, partition=self.partition)
        decision = decide(
            reference, current, q=self.q, effect_floor=self.effect_floor, power=self.power
        )
        return Checked(decision=decision, reference=reference, current=current)

    def _judged(self, decision: Decision | None) -> dict[str, Any]:
        from backbeat.drift.checking import cause

        if not self._by_rules:
            return {}
        return {
            "severity": decision.severity if decision else "none",
            "alarms": list(decision.alarms) if decision else [],
            "history_batches": decision.history_batches if decision else 0,
            "cause": cause(decision) if decision else "",
        }


def _assertions(decision: Decision) -> list[dict[str, Any]]:
    """The verdicts as OpenLineage's data quality assertions: the batch's, and each column's.

    A column with too few rows to judge is left out: its assertion was not evaluated, and the facet
    has no third answer. The batch's own then still fails, for it is not known to be stable.
    """
    return [
        {"assertion": "drift", "success": decision.verdict == "stable"},
        *(
            {"assertion": "drift", "success": not column.alarming, "column": column.name}
            for column in decision.columns
            if column.verdict != "insufficient_data"
        ),
    ]


def _told(action: Action) -> dict[str, Any]:
    return {
        "action": action.action,
        "because": action.because,
        "action_reason": action.reason,
    }


def _require_profiled(columns: tuple[str, ...], profile: Profile, key: str) -> None:
    missing = [name for name in columns if name not in profile.columns]
    if missing:
        raise ContractBroken(
            f"the profile {key} has no column {missing[0]}; it has {', '.join(profile.columns)}",
            hint="build the profile with that column, or leave it out of `columns`",
        )


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
