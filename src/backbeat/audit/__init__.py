"""The audit log's entries: what is written, and how a person's data stays out of it."""

from backbeat.audit.entry import SealedEntry, leaf_hash, opens, seal

__all__ = ["SealedEntry", "leaf_hash", "opens", "seal"]
