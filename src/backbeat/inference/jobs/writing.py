"""How a job's answers become a shard's table, its side file, and what they have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.errors import InvalidData
from backbeat.inference.jobs.answers import Answers
from backbeat.inference.prediction import Prediction, Provenance
from backbeat.inference.routing import routed
from backbeat.inference.scoring import Scoring
from backbeat.inference.served import Asking
from backbeat.inference.shards import Shard
from backbeat.inference.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.protocol import Answer

__all__ = ["Writing"]


class Writing:
    """Writes the shards of one scoring.

    Args:
        scoring: Where they go.
        asking: How rows are asked about, and which answers are taken.
        address: The model's.
        tally: Counts what is answered.
    """

    def __init__(self, scoring: Scoring, asking: Asking, address: str, tally: Tally) -> None:
        self.asking = asking
        self._scoring, self._address, self._tally = scoring, address, tally
        self._bad = 0
        self._from: dict[str, str] = {}

    def begin(self, scoring: Scoring) -> int:
        """Count what earlier attempts have recorded; returns its rows."""
        entries = scoring.entries.values()
        self._bad = sum(entry["bad"]["rows"] for entry in entries if "bad" in entry)
        rows: int = sum(entry["rows"] for entry in entries)
        return rows + self._bad

    def answers(self, shard: Shard) -> Answers:
        """An empty collection of a shard's answers."""
        return Answers(shard.rows, self._table)

    def counted(self, answer: Answer) -> float:
        """Count an answer; returns what it cost."""
        self._from = {"model": answer.model, "version": answer.version}
        return self._tally.add(seconds=0.0, attempts=1, usage=answer.usage, fallback=False)

    def limit(self, shard: Shard, answers: Answers) -> None:
        """Raise InvalidData where the model has refused more rows than may be bad."""
        most = self.asking.max_bad_rows
        if self._bad + len(answers.bad) <= most:
            return
        row, error = next(reversed(answers.bad.items()))
        told = f"{most} were refused before, as many as may be" if most else "none may be"
        raise type(error)(
            f"The model refused the row {shard.start + row} ({told}): {error.message}",
            hint=error.hint or "repair the rows, or allow some with `max_bad_rows`",
        )

    def record(self, shard: Shard, rows: pa.Table, answers: Answers, jobs: list[str]) -> None:
        """Write a shard's file, then its entry."""
        keys = rows.select(self._scoring.keys)
        table, at = answers.outputs()
        whole = keys.take(at)
        if table is not None:
            for name in table.column_names:
                whole = whole.append_column(name, table.column(name))
        self._bad += len(answers.bad)
        self._scoring.record(
            shard,
            whole,
            _side_file(keys, answers.bad) if answers.bad else None,
            provenance={
                "address": self._address,
                **self._from,
                "server": "",
                "jobs": ", ".join(jobs),
            },
        )

    def _table(self, name: str, answer: Answer, job: str) -> pa.Table:
        import pyarrow as pa

        table = pa.Table.from_batches([answer.outputs])
        if table.num_columns == 1:
            table = table.rename_columns([self.asking.column])
        self._scoring.refuse_columns(table.column_names)
        if self.asking.at_least is not None:
            table, _unsure = routed(
                table,
                _prediction(self._address, answer),
                at_least=self.asking.at_least,
                confidence=self.asking.confidence,
            )
        request_id = pa.repeat(pa.scalar(f"{job}/{name}"), len(table))
        return table.append_column("request_id", request_id)


def _prediction(address: str, answer: Answer) -> Prediction:
    origin = Provenance(
        address=address,
        model=answer.model,
        version=answer.version,
        server="",
        request_id="",
        server_request_id=answer.request_id,
        input_digest="",
    )
    return Prediction(outputs=answer.outputs, provenance=origin)


def _side_file(keys: pa.Table, bad: dict[int, InvalidData]) -> pa.Table:
    import pyarrow as pa

    places = sorted(bad)
    errors = [bad[row] for row in places]
    rows = keys.take(pa.array(places, pa.int64()))
    return rows.append_column(
        "error", pa.array([type(error).__name__ for error in errors])
    ).append_column("message", pa.array([error.message for error in errors]))
