"""Write what a release leaves behind, for every later release to read: `write_release.py FOLDER`.

Run it with the release's own package, once, when it is made; the folder is committed as
`tests/upgrade/<version>/` beside the release's wheel and never changed again::

    uv build --wheel -o tests/upgrade/0.2.0
    PYTHONPATH=<the release's src> python tests/upgrade/write_release.py tests/upgrade/0.2.0

It holds a ledger with work in every state (`ledger.db`), and a store with a profile, a drift
report, finished scores, and scores that a crash cut short (`store/`).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from backbeat import Actor, Dataset, Platform, RunIdentity, embedded, run_step
from backbeat.errors import BackbeatError
from backbeat.inference import score
from backbeat.signoff import read_request, vote
from backbeat.steps import BuildProfile, DriftCheck, LogLineage, Signoff

ANA = Actor(id="ana", method="python")


class Doubling:
    """A model that later releases can rebuild from nothing."""

    def predict(self, frame: Any) -> Any:
        """Twice the feature."""
        return frame["x"].to_numpy() * 2.0


class Cut(Doubling):
    """The same model in a worker that dies in the third shard."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, frame: Any) -> Any:
        """Twice the feature, twice."""
        self.calls += 1
        if self.calls > 2:
            raise KeyboardInterrupt
        return super().predict(frame)


def table(seed: int, rows: int = 300) -> pa.Table:
    """Rows that are the same in every release."""
    chance = np.random.default_rng(seed)
    return pa.table({"id": range(rows), "x": chance.normal(size=rows)})


def scored(platform: Platform, output: str, model: Any) -> Any:
    """Score the first table under a prefix."""
    return score(
        ds.dataset(table(1)),
        input_digest="sha256:table-1",
        model=model,
        model_version="models:/doubling/1",
        store=platform.store,
        output=output,
        key_columns=["id"],
        features=["x"],
        shard_rows=50,
        partition=None,
        progress=lambda _done, _total: None,
        ensure_current=lambda: None,
    )


def identity(task: str, **more: Any) -> RunIdentity:
    """One run of one workflow."""
    return RunIdentity(workflow="nightly", run="run-1", task=task, actor=ANA, **more)


def write(folder: Path) -> None:
    """Play a small night."""
    platform = embedded(folder, registry=False)
    platform.sinks = {}  # so that messages stay in the outbox
    landing = folder / "store" / "landing"
    landing.mkdir(parents=True)
    for seed in (1, 2):
        pq.write_table(table(seed), landing / f"{seed}.parquet")
    first, second = (Dataset(uri=f"landing/{seed}.parquet") for seed in (1, 2))
    run_step(BuildProfile(data=first, output_key="profiles/1.json"), identity("profile"), platform)
    run_step(DriftCheck(current=second, reference="profiles/1.json"), identity("drift"), platform)
    run_step(LogLineage(inputs=[first], outputs=[second]), identity("lineage"), platform)
    with suppress(BackbeatError):
        absent = Dataset(uri="landing/absent.parquet")
        run_step(BuildProfile(data=absent, output_key="p.json"), identity("broken"), platform)
    for name in ("open", "approved"):
        waiting = run_step(
            Signoff(
                subject=f"Promote {name}", about={"model": "m", "version": name},
                evidence={"better": True}, quorum=1, approvers=["ben"],
                deadline=timedelta(days=20_000),
            ),
            identity(f"signoff-{name}"),
            platform,
        )  # fmt: skip
        if name == "approved":
            request = read_request(platform.ledger, waiting.request_id).request  # type: ignore[union-attr]
            vote(
                platform.ledger, request.request_id, choice="approve",
                actor=Actor(id="ben", method="python"), reason="it is better",
                evidence_digest=request.evidence_digest,
            )  # fmt: skip
    scored(platform, "scores/whole", Doubling())
    with suppress(KeyboardInterrupt):
        scored(platform, "scores/cut", Cut())
    child = os.fork()
    if child == 0:  # a worker that is killed while it performs
        platform.store.write = lambda _key, _data: os._exit(9)  # type: ignore[method-assign]
        killed = BuildProfile(data=first, output_key="profiles/2.json", bins=20)
        run_step(killed, identity("killed"), platform)
    os.waitpid(child, 0)
    platform.ledger.close()  # type: ignore[attr-defined]


if __name__ == "__main__":
    write(Path(sys.argv[1]).absolute())
