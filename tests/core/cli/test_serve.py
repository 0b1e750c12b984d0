from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import Refused
from backbeat.ledger import RemoteLedger

Make = Callable[..., Any]
COMMAND = [sys.executable, "-c", "from backbeat.cli.main import main; main()"]


def test_a_person_serves_the_ledger_and_issues_a_token(
    backbeat: Make, served: tuple[subprocess.Popen[str], str]
) -> None:
    """What `serve` prints and what `token issue` prints is all that a worker needs."""
    process, said = served
    assert said.startswith("the ledger is served on http://127.0.0.1:")
    url = said.split()[-1]
    issued = backbeat("token", "issue", "--scope", "worker").out.splitlines()
    worker = RemoteLedger(url, token=issued[0])
    assert worker.runs() == []
    (listed,) = backbeat("token", "list", "--json").json
    assert backbeat("token", "revoke", listed["id"]).out == f"{listed['id']} is revoked\n"
    with pytest.raises(Refused, match="was revoked"):
        worker.runs()
    process.terminate()
    assert process.wait(timeout=60) == 0


def test_what_to_serve_must_be_said(backbeat: Make, folder: Path) -> None:
    """Without --ledger, or with half a certificate, it is wrong usage."""
    assert backbeat("serve").code == 2
    said = backbeat("serve", "--ledger", "--certificate", "x.pem")
    assert said.code == 2
    assert "belong together" in said.err
    assert not folder.exists()


def test_plain_http_stays_on_this_machine(backbeat: Make, folder: Path) -> None:
    """Anything but loopback demands TLS, and says how to give it."""
    said = backbeat("serve", "--ledger", "--host", "0.0.0.0")  # noqa: S104 - refused
    assert said.code == 3
    assert "--certificate" in said.err
    assert not folder.exists()


def test_a_service_without_its_libraries_says_what_to_install(folder: Path) -> None:
    """The extra is named where it is missing."""
    source = "import sys; sys.modules['starlette'] = None\n" + COMMAND[-1]
    words = ["--folder", str(folder), "serve", "--ledger"]
    found = subprocess.run(
        [sys.executable, "-c", source, *words], capture_output=True, text=True, check=False
    )
    assert found.returncode == 6
    assert 'pip install "backbeat[serve]"' in found.stderr
