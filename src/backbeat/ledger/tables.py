"""The ledger's tables, version 2. Times are UTC ISO 8601 text with microseconds: they sort."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

__all__ = [
    "attempts",
    "audit_log",
    "audit_private",
    "budgets",
    "events",
    "locks",
    "meta",
    "metadata",
    "outbox",
    "runs",
    "runs_by_request",
    "streams",
    "tokens",
]

metadata = MetaData()
# SQLite numbers rows only in a column that is called INTEGER
_POSITION = BigInteger().with_variant(Integer(), "sqlite")

meta = Table(
    "backbeat_meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

# one row a piece of work; `token` is the fencing token of its newest attempt
runs = Table(
    "backbeat_runs",
    metadata,
    Column("key", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("identity", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("step_digest", String, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("owner", String),
    Column("lease_until", String),
    Column("request_id", String),
    Column("outcome", Text),
    Column("started_at", String, nullable=False),
    Column("finished_at", String),
    # since version 2; a worker of version 1 leaves them empty
    Column("nonce", String),
    Column("lease_seconds", Float),
    Index("backbeat_runs_by_start", "started_at"),
)
# only of work that waits or has waited, since version 2: no other touches this index
runs_by_request = Index(
    "backbeat_runs_by_request",
    runs.c.request_id,
    sqlite_where=runs.c.request_id.is_not(None),
    postgresql_where=runs.c.request_id.is_not(None),
)

attempts = Table(
    "backbeat_attempts",
    metadata,
    Column("key", String, ForeignKey("backbeat_runs.key"), nullable=False),
    Column("token", Integer, nullable=False),
    Column("owner", String, nullable=False),
    Column("identity", Text, nullable=False),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    Column("ending", String),
    PrimaryKeyConstraint("key", "token"),
)

streams = Table(
    "backbeat_streams",
    metadata,
    Column("stream", String, primary_key=True),
    Column("category", String, nullable=False),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("due", String),
    Column("updated_at", String, nullable=False),
    Column("taken_until", String),  # since version 2
    Index("backbeat_streams_by_state", "category", "state", "due"),
)

# since version 2
streams_by_time = Index("backbeat_streams_by_time", streams.c.category, streams.c.updated_at)

events = Table(
    "backbeat_events",
    metadata,
    Column("stream", String, ForeignKey("backbeat_streams.stream"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("at", String, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("stream", "version"),
)

locks = Table(
    "backbeat_locks",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", String, nullable=False),
    Column("seconds", Float),  # since version 2
)

# since version 2: token buckets that all workers share
budgets = Table(
    "backbeat_budgets",
    metadata,
    Column("name", String, primary_key=True),
    Column("balance", Float, nullable=False),
    Column("updated_at", String, nullable=False),
)

# since version 2: who may speak to `backbeat serve`; the secret itself is kept by its holder
tokens = Table(
    "backbeat_tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("secret_hash", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("workflow", String),
    Column("created_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
    Column("revoked_at", String),
)

outbox = Table(
    "backbeat_outbox",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("topic", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("next_at", String, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("error", String),
)

# the stored bytes are what is hashed; action, outcome and at are views of them
audit_log = Table(
    "backbeat_audit_log",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("at", String, nullable=False),
    Column("action", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# erasable: without its row a commitment in the log means nothing to anybody
audit_private = Table(
    "backbeat_audit_private",
    metadata,
    Column("entry_id", String, nullable=False),
    Column("field", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    PrimaryKeyConstraint("entry_id", "field"),
    sqlite_with_rowid=False,  # one page less a commit; a ledger that version 1 made keeps its form
)
