"""A worker that commits scores and is killed where it is told: STORE OUTPUT TABLE WINDOW."""

from __future__ import annotations

import os
import signal
import sys

from deltalake import DeltaTable  # noqa: F401 - loaded before the clock of a kill begins

from backbeat.data import FolderStore
from backbeat.inference import delta


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    root, output, table, window = sys.argv[1:]
    read = delta.read_part

    def fence() -> None:
        """Called before the table is made, where it is not there, and before the commit."""
        if window in {"before the table", "before the commit"}:
            _die()

    def last_part(store: object, prefix: str, part: dict[str, object]) -> object:
        """The rows before the last file's have gone to the writer."""
        if window == "while writing" and str(part["file"]).startswith("part-00002"):
            _die()
        return read(store, prefix, part)

    delta.read_part = last_part
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    done = delta.publish_delta(FolderStore(root), output, table, ensure_current=fence)
    if window == "after":
        _die()
    sys.stdout.write(f"{done.repeated}\n")
