"""A table beside its contract: the schema first, then every value, a batch at a time."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from backbeat.contract.declared import type_of, unit_of
from backbeat.contract.document import Column, DataContract
from backbeat.contract.findings import Checked, Finding, shown
from backbeat.contract.media import media_type_of, recognised
from backbeat.contract.rules import ValueRule, comparable, value_rules
from backbeat.data import reading
from backbeat.data.large_rows import large_batches
from backbeat.errors import ContractBroken

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["check", "require"]

_BATCH_ROWS = 2**16
# of images, sound and documents, of which one may have megabytes
_MEDIA_ROWS = 2**6
_SHOWN_BYTES = 12


def check(contract: DataContract, data: ds.Dataset | pa.Table) -> Checked:
    """Hold a table against its contract.

    Rows stream through; only the columns of the key, and those whose values are to be unique,
    stay in memory until the end.

    Args:
        contract: What is promised.
        data: An open dataset or a table. Columns that the contract does not name are not read.

    Raises:
        InvalidData: A file is damaged or gone.
        StorageFull: The disk failed; a retry can help.
    """
    import pyarrow.dataset as ds

    dataset = data if isinstance(data, ds.Dataset) else ds.dataset(data)
    names = dataset.schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        # Arrow cannot read by name from such a table, not even its other columns
        repeated = tuple(_repeated(name, names.count(name)) for name in twice)
        return Checked(contract=contract.title, rows=None, findings=repeated)
    findings = [_misfit(column, dataset.schema) for column in contract.columns]
    sound = [
        column
        for column, finding in zip(contract.columns, findings, strict=True)
        if finding is None or finding.rule in {"unit", "media_type"}
    ]
    with reading(f"data of the contract {contract.title}"):
        scan = _Scan(contract, sound)
        rows = scan.over(dataset)
    wrong = [finding for finding in findings if finding is not None]
    return Checked(
        contract=contract.title,
        rows=rows,
        findings=(*wrong, *_row_count(contract, rows), *scan.findings()),
    )


def require(contract: DataContract, data: ds.Dataset | pa.Table, *, what: str) -> Checked:
    """Refuse data that does not keep its contract.

    Args:
        contract: What is promised.
        data: An open dataset or a table.
        what: What the data is, for the message, e.g. `labels (landing/labels.parquet)`.

    Raises:
        ContractBroken: It does not; the message is a diff, promised above found. A retry helps
            only once other data has landed.
        InvalidData: A file is damaged or gone.
        StorageFull: The disk failed; a retry can help.
    """
    checked = check(contract, data)
    if checked.ok:
        return checked
    lines = "\n".join(finding.words for finding in checked.findings)
    missing = [finding for finding in checked.findings if finding.rule == "missing"]
    spare = [name for name in data.schema.names if contract.column(name) is None]
    near = [
        f"is {match} the column {finding.column}?"
        for finding in missing
        for match in difflib.get_close_matches(finding.column or "", spare, n=1, cutoff=0.5)
    ]
    raise ContractBroken(
        f"the {what} does not keep the contract {contract.title}:\n{lines}\n",
        hint=near[0] if near else "repair the data, or agree on a new version of the contract",
    )


def _misfit(column: Column, schema: pa.Schema) -> Finding | None:
    """What the schema says against a column's declaration, before any row is read."""

    def finding(rule: Any, wanted: str, found: str) -> Finding:
        return Finding(column=column.name, rule=rule, wanted=wanted, found=found)

    if column.name not in schema.names:
        return finding("missing", column.type, "missing")
    field = schema.field(column.name)
    kind, unit = type_of(field.type), unit_of(field)
    # a column in which nothing was ever written has no type yet
    if kind not in {column.type, "null"}:
        return finding("type", column.type, kind)
    if unit and column.unit and unit != column.unit:
        return finding("unit", f"in {column.unit}", f"in {unit}")
    said = media_type_of(field)
    if said and column.media_type and said != column.media_type:
        return finding("media_type", column.media_type, f"said to be {said}")
    return None


def _repeated(name: str, times: int) -> Finding:
    wanted, found = "one column of that name", f"{times} columns of that name"
    return Finding(column=name, rule="repeated", wanted=wanted, found=found)


def _row_count(contract: DataContract, rows: int) -> Iterator[Finding]:
    wanted = contract.rows
    if wanted is None or wanted.minimum <= rows <= (
        rows if wanted.maximum is None else wanted.maximum
    ):
        return
    limit = "" if wanted.maximum is None else f", at most {wanted.maximum}"
    yield Finding(
        column=None,
        rule="rows",
        wanted=f"at least {wanted.minimum}{limit} rows",
        found=f"{rows} rows",
    )


class _Scan:
    """One pass over the rows: counts what breaks a rule, keeps one example of each."""

    def __init__(self, contract: DataContract, columns: list[Column]) -> None:
        there = {column.name for column in columns}
        self._rules = {column.name: list(value_rules(column)) for column in columns}
        self._batch_rows = _BATCH_ROWS
        if any(column.media_type for column in columns):
            self._batch_rows = _MEDIA_ROWS
        self._unique = [(column.name,) for column in columns if column.unique]
        self._key = contract.key if there.issuperset(contract.key) else ()
        self._held: dict[tuple[str, ...], list[pa.Table]] = {
            names: [] for names in [*self._unique, self._key] if names
        }
        self._broken: dict[tuple[str, str], tuple[int, str | None]] = {}

    def over(self, data: ds.Dataset) -> int:
        """Look at every row; returns how many there are."""
        import pyarrow as pa

        compared = {name for names in self._held for name in names}
        needed = [name for name, rules in self._rules.items() if rules or name in compared]
        if not needed:
            return int(data.count_rows())
        rows = 0
        for batch in _batches(data, needed, self._batch_rows):
            rows += batch.num_rows
            values = {name: comparable(batch.column(name)) for name in needed}
            for name in needed:
                for rule in self._rules[name]:
                    self._count(name, rule, values[name])
            for names, tables in self._held.items():
                tables.append(pa.table({name: values[name] for name in names}).drop_null())
        return rows

    def _count(self, name: str, rule: ValueRule, values: pa.Array) -> None:
        import pyarrow.compute as pc

        mask = rule.broken(values)
        count = pc.sum(mask).as_py() or 0
        if not count:
            return
        before, example = self._broken.get((name, rule.name), (0, None))
        if before == 0 and rule.name == "media_type":
            head = values.filter(mask)[0].as_py()
            example = recognised(head) or shown(head[:_SHOWN_BYTES])
        elif before == 0 and rule.name != "null":
            example = _text(values.filter(mask)[0])
        self._broken[name, rule.name] = (before + count, example)

    def findings(self) -> Iterator[Finding]:
        """What was found, column by column, then the key."""
        for name, rules in self._rules.items():
            for rule in rules:
                count, example = self._broken.get((name, rule.name), (0, None))
                if count:
                    yield Finding(
                        column=name,
                        rule=rule.name,
                        wanted=rule.wanted,
                        found=f"{rule.found} in {_rows(count)}",
                        rows=count,
                        example=example,
                    )
            if (name,) in self._unique:
                yield from self._repeats((name,), "unique", "each value once")
        if self._key:
            yield from self._repeats(self._key, "key", "one row a key")

    def _repeats(self, names: tuple[str, ...], rule: Any, wanted: str) -> Iterator[Finding]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._held[names]:
            return
        table = pa.concat_tables(self._held[names])
        counted = table.group_by(list(names), use_threads=False).aggregate([([], "count_all")])
        extra = len(table) - len(counted)
        if not extra:
            return
        several = counted.filter(pc.greater(counted["count_all"], 1))
        yield Finding(
            column=", ".join(names),
            rule=rule,
            wanted=wanted,
            found=f"{_rows(extra)} repeat an earlier one",
            rows=extra,
            example=", ".join(_text(several[name][0]) for name in names),
        )


def _batches(data: ds.Dataset, columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow.dataset as ds

    if batch_rows < _BATCH_ROWS:
        yield from large_batches(data, columns, batch_rows=batch_rows)
        return
    for fragment in data.get_fragments():
        options: dict[str, Any] = {}
        if isinstance(fragment, ds.ParquetFileFragment):
            # the default reads row groups ahead: four times the memory over 8M rows
            options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)
        yield from fragment.to_batches(
            schema=data.schema,
            columns=columns,
            batch_size=_BATCH_ROWS,
            batch_readahead=0,
            fragment_readahead=0,
            **options,
        )


def _text(value: pa.Scalar) -> str:
    try:
        return shown(value.as_py())
    except UnicodeDecodeError:
        return "bytes that are no UTF-8 text"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
