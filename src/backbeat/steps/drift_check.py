"""drift.check/v1: has the data moved away from what the model was trained on?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from backbeat.errors import ContractBroken, NotFound
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin

if TYPE_CHECKING:
    from backbeat.drift import Profile

__all__ = ["DriftCheck"]

_NO_REFERENCE = "no_reference"


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

    Value: `verdict` (stable, drifted, broken, insufficient_data, no_reference), `calibrated`,
    `columns` (those that moved, the worst first), `rows`, `reference`, `report`.
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

    def required(self) -> frozenset[Need]:
        """A registry only where a model version is named: rung 0 has none."""
        return self.needs if self.reference.startswith("models:/") else frozenset({Need.STORE})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the new data, and the reference to one profile's bytes."""
        inputs = {"current": pin(ctx, self.current), "reference": _NO_REFERENCE}
        key = self._profile_key(ctx)
        if key is not None:
            inputs["reference"] = key
            inputs["profile"] = _digest(ctx.store.read(key))
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Profile the new data on the reference's bins, and decide."""
        from backbeat.drift import Profile, build_profile, decide, report_html, report_markdown

        table, refs = open_pinned(ctx, "current", self.current)
        key = ctx.inputs["reference"]
        if key == _NO_REFERENCE:
            return Done(
                value={
                    "verdict": _NO_REFERENCE,
                    "calibrated": False,
                    "columns": [],
                    "rows": table.count_rows(),
                    "reference": None,
                },
                inputs=refs,
                evidence={"why": f"{self.reference} does not exist yet: nothing to compare with"},
            )
        content = ctx.store.read(key)
        reference = Profile.from_bytes(content)
        if self.columns is not None:
            _require_profiled(self.columns, reference, key)
            chosen = {name: reference.columns[name] for name in self.columns}
            reference = reference.model_copy(update={"columns": chosen})
        # a column that the profile does not watch is the quality suite's affair
        current = build_profile(table, columns=tuple(reference.columns), edges_from=reference)
        decision = decide(
            reference, current, q=self.q, effect_floor=self.effect_floor, power=self.power
        )
        moved = [c for c in decision.columns if c.verdict in {"drifted", "broken"}]
        value: dict[str, Any] = {
            "verdict": decision.verdict,
            "calibrated": decision.calibrated,
            "columns": [column.name for column in moved],
            "rows": current.rows,
            "reference": key,
        }
        outputs: tuple[DataRef, ...] = ()
        if self.report:
            shown = {"step": self.digest(), "inputs": dict(ctx.inputs)}
            name = ctx.effect_id("report", content=shown)[7:23]
            value["report"] = f"{self.report}/{name}.html"
            page = report_html(
                decision,
                reference,
                current,
                title=f"Drift of {self.current.title}",
                subtitle=f"against the profile {key}",
            ).encode()
            ctx.store.write(value["report"], page)
            outputs = (DataRef(uri=value["report"], digest=_digest(page), format="html"),)
        return Done(
            value=value,
            metrics={f"effect.{c.name}": c.effect for c in decision.columns if c.effect is not None}
            | {"drifted": float(len(moved))},
            inputs=(*refs, DataRef(uri=key, digest=_digest(content), format="json")),
            outputs=outputs,
            evidence={
                "decision": decision.model_dump(mode="json"),
                "markdown": report_markdown(decision),
            },
        )

    def _profile_key(self, ctx: StepContext) -> str | None:
        if not self.reference.startswith("models:/"):
            return self.reference
        name, _, alias = self.reference.removeprefix("models:/").partition("@")
        if alias and ctx.registry.alias(name, alias) is None:
            return None
        version = ctx.registry.resolve(self.reference)
        key = version.tags.get("backbeat.profile")
        if key is None:
            raise NotFound(
                f"no profile is bound to {version.uri}",
                hint="run BuildProfile with model= that version, or name a profile as reference",
            )
        return key


def _require_profiled(columns: tuple[str, ...], profile: Profile, key: str) -> None:
    missing = [name for name in columns if name not in profile.columns]
    if missing:
        raise ContractBroken(
            f"the profile {key} has no column {missing[0]}; it has {', '.join(profile.columns)}",
            hint="build the profile with that column, or leave it out of `columns`",
        )


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
