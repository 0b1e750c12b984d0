"""Published scores in a Delta table: every row once, whoever dies or writes at the same time.

Each scoring owns the rows of its own output prefix, which are a partition of the table. They are
replaced in one commit that also says, as the application's transaction, which manifest they are
of. A later attempt reads that and commits nothing. Delta does not refuse a transaction because it
is there already: the commit is made on the table as it was when that was read, so that a writer
who was faster is a conflict, after which it is read again.
https://github.com/delta-io/delta/blob/master/PROTOCOL.md, Transaction Identifiers
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from backbeat.errors import (
    BackbeatError,
    ContractBroken,
    InvalidData,
    InvalidStep,
    Overloaded,
    UnmetNeed,
)
from backbeat.inference.manifest import read_manifest, read_part
from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["OUTPUT", "DeltaCommit", "publish_delta", "require_deltalake", "without_secrets"]

OUTPUT = "output_key"
"""The column that says which scoring a row is of; the table is partitioned by it."""

_log = logging.getLogger(__name__)
_ATTEMPTS = 12
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0
_SAID = 300


@dataclass(frozen=True, kw_only=True)
class DeltaCommit:
    """Scores that are in a Delta table.

    Args:
        table: Its URI or path.
        version: A version of the table that has these rows.
        rows: How many.
        repeated: Whether an earlier attempt, or another worker, had committed them.
    """

    table: str
    version: int
    rows: int
    repeated: bool


def require_deltalake() -> None:
    """Raise UnmetNeed where deltalake is not installed: better before the scoring than after it."""
    if find_spec("deltalake") is None:
        raise UnmetNeed(
            "These scores go into a Delta table, and deltalake is not installed.",
            hint='install "backbeat[delta]"',
        )


def publish_delta(
    store: Store,
    output: str,
    table: str,
    *,
    ensure_current: Callable[[], None] = lambda: None,
    storage_options: Mapping[str, str] | None = None,
) -> DeltaCommit:
    """Put the scores that a manifest names into a Delta table, in place of those before them.

    Files stream through, one in memory at a time. A worker that is killed, or loses against another
    one, leaves files in the table's folder that no version names; Delta's VACUUM removes them.

    Args:
        store: Where the scores are.
        output: The prefix that they were written under; what the manifest there says now is put
            into the table.
        table: The table: a key of the store, a path, or a URI that delta-rs knows. It is made where
            it is not there.
        ensure_current: Raises FencedOut where a later attempt has taken over; called before each
            commit.
        storage_options: As delta-rs names them; the environment's where None.

    Raises:
        UnmetNeed: The extra `delta` is not installed.
        InvalidStep: The table's address holds a secret.
        NotFound: Nothing was finished under the prefix.
        ContractBroken: The table is of other columns, or is not partitioned by `output_key`.
        InvalidData: A file of the scores is damaged, or the table is.
        Overloaded: Others changed the table all the time, or its storage failed; a retry can help.
    """
    require_deltalake()
    from deltalake.exceptions import CommitFailedError

    try:
        where = _location(store, without_secrets(table))
    except ValueError as error:
        raise InvalidStep(f"{error}.", hint="name the table alone") from None
    for attempt in range(_ATTEMPTS):
        try:
            return _published(store, output, where, ensure_current, dict(storage_options or {}))
        except CommitFailedError as error:
            # another writer was faster: what it has written is looked at before the next try
            _log.info("commit %d to %s: %s", attempt + 1, where, _first_line(error))
        time.sleep(random.uniform(0, min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)))  # noqa: S311
    raise Overloaded(
        f"{where} was changed by others in each of {_ATTEMPTS} tries to commit.",
        hint="try again when fewer workers write to it",
    )


def _published(
    store: Store,
    output: str,
    where: str,
    ensure_current: Callable[[], None],
    options: dict[str, str],
) -> DeltaCommit:
    from deltalake import CommitProperties, Transaction, write_deltalake

    from backbeat.inference.delta_schema import fitting

    # the table first: whatever is committed after this is a conflict for what is read after it
    with _meaning(where):
        handle = _opened(where, options)
    manifest, digest = read_manifest(store, output)
    schema = _schema(store, output, manifest)
    if handle is None:
        ensure_current()
        with _meaning(where):
            handle = _made(where, schema, options)
    application, number = f"backbeat:{output}", int(digest.removeprefix("sha256:")[:15], 16)
    rows = int(manifest["rows"])
    if handle.transaction_version(application) == number:
        return DeltaCommit(table=where, version=handle.version(), rows=rows, repeated=True)
    theirs, wanted = _columns(handle, where), schema
    if theirs != wanted:
        wanted = fitting(schema, theirs)
    reading = _Reading(store, output, manifest, wanted)
    ensure_current()
    try:
        with _meaning(where):
            write_deltalake(
                handle,
                reading.stream(),
                mode="overwrite",
                predicate=f"{OUTPUT} = '{_quoted(output)}'",
                # merging always touches the metadata, which is a conflict for all other writers
                schema_mode="merge" if len(wanted) > len(theirs) else None,
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(application, number)],
                    custom_metadata={"backbeat.manifest": digest, "backbeat.output": output},
                ),
            )
    except Exception as error:
        # what kept a file from being read has gone through Arrow's C interface, as text
        if reading.error is not None:
            raise reading.error from error
        raise
    return DeltaCommit(table=where, version=handle.version(), rows=rows, repeated=False)


class _Reading:
    """The rows of a manifest's files, one file in memory at a time."""

    def __init__(
        self, store: Store, output: str, manifest: Mapping[str, Any], schema: pa.Schema
    ) -> None:
        self._store, self._output = store, output
        self._manifest, self._schema = manifest, schema
        self.error: BackbeatError | None = None

    def stream(self) -> pa.RecordBatchReader:
        """A reader of all rows."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        from backbeat.inference.delta_schema import as_columns

        try:
            for part in self._manifest["files"]:
                table = read_part(self._store, self._output, part)
                yield from as_columns(_labelled(table, self._output), self._schema).to_batches()
        except BackbeatError as error:
            self.error = error
            raise


@contextmanager
def _meaning(where: str) -> Iterator[None]:
    """What delta-rs raises, as what it means for a retry; a lost race is left as it is."""
    from deltalake.exceptions import (
        CommitFailedError,
        DeltaError,
        DeltaProtocolError,
        SchemaMismatchError,
    )

    try:
        yield
    except CommitFailedError:
        raise
    except SchemaMismatchError as error:
        raise ContractBroken(
            f"The scores do not fit the Delta table {where}: {_first_line(error)}",
            hint="write to another table",
        ) from error
    except DeltaProtocolError as error:
        raise InvalidData(
            f"{where} cannot be written by this version of deltalake: {_first_line(error)}",
            hint="look which of Delta's table features it uses",
        ) from error
    except (DeltaError, OSError) as error:
        raise Overloaded(
            f"The Delta table {where} could not be read or written: {_first_line(error)}",
            hint="look at its storage, and at the credentials in the environment",
        ) from error


def without_secrets(table: str) -> str:
    """The table's name, where it holds no secret; a ValueError where it does, which names none."""
    host = table.partition("://")[2].partition("/")[0]
    # a container's name before the @ is part of an abfss:// address
    if "://" in table and ("?" in table or ":" in host.rpartition("@")[0]):
        raise ValueError(
            "the Delta table's address holds credentials or a query, and addresses are recorded; "
            "give credentials by the environment (AWS_*, GOOGLE_*, AZURE_*)"
        )
    return table


def _location(store: Store, table: str) -> str:
    address = table if "://" in table or table.startswith("/") else store.address(table)
    # delta-rs takes a path as it is
    return unquote(urlsplit(address).path) if address.startswith("file://") else address


def _opened(where: str, options: dict[str, str]) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(where, storage_options=options)
    except TableNotFoundError:
        return None


def _made(where: str, schema: pa.Schema, options: dict[str, str]) -> DeltaTable:
    from deltalake import CommitProperties, DeltaTable

    if "://" not in where:
        Path(where).mkdir(parents=True, exist_ok=True)
    DeltaTable.create(
        where,
        schema=schema,
        mode="ignore",
        partition_by=[OUTPUT],
        storage_options=options,
        description="scores, written by backbeat",
        # tried again, it would be made once more, as a later version, over what others have written
        commit_properties=CommitProperties(max_commit_retries=0),
    )
    return DeltaTable(where, storage_options=options)


def _columns(handle: DeltaTable, where: str) -> pa.Schema:
    import pyarrow as pa

    if handle.metadata().partition_columns != [OUTPUT]:
        raise ContractBroken(
            f"The Delta table {where} is partitioned by "
            f"{', '.join(handle.metadata().partition_columns) or 'nothing'}, not by {OUTPUT}.",
            hint="name a table that is not there yet, or one that scores were written to",
        )
    return pa.schema(handle.schema().to_arrow()).remove_metadata()


def _schema(store: Store, output: str, manifest: Mapping[str, Any]) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from backbeat.inference.delta_schema import delta_schema

    found = []
    for part in manifest["files"]:
        key = f"{output}/{part['file']}"
        there = store.files(key)
        if not there:
            raise InvalidData(f"{key} is missing.", hint="run the scoring again")
        with store.filesystem(key).open_input_file(there[0].path) as file:
            try:
                found.append(pq.read_schema(file))
            except pa.ArrowInvalid as error:
                raise InvalidData(
                    f"{key} is not the file that was scored.",
                    hint="run the scoring again; it scores only what is missing or damaged",
                ) from error
    schema = delta_schema(found)
    if OUTPUT in schema.names:
        raise ContractBroken(
            f"The scores have a column {OUTPUT}, which says in a Delta table where rows are from.",
            hint="rename the key column, or the model's output",
        )
    return schema.append(pa.field(OUTPUT, pa.string()))


def _labelled(table: pa.Table, output: str) -> pa.Table:
    import pyarrow as pa

    return table.append_column(OUTPUT, pa.repeat(pa.scalar(output, pa.string()), len(table)))


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:_SAID]
