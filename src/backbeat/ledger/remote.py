"""The ledger behind `backbeat serve --ledger`: the same port over HTTPS."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import backbeat
from backbeat.errors import (
    BackbeatError,
    Conflict,
    InvalidData,
    NotFound,
    Refused,
    UnmetNeed,
    Unreachable,
)
from backbeat.ledger.locks import lock
from backbeat.ledger.wire import (
    LONGEST_WATCH,
    PREFIX,
    Verb,
    decode_answer,
    decode_error,
    encode_call,
    is_loopback,
)
from backbeat.ports import (
    Attempt,
    AuditFact,
    Budget,
    Claim,
    Claimed,
    Ending,
    Event,
    Message,
    Recorded,
    RunRecord,
    Sink,
    StreamInfo,
)

try:
    import urllib3
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, SSLError
except ImportError as missing:
    raise UnmetNeed(
        "a ledger behind a service needs urllib3", hint='pip install "backbeat[remote]"'
    ) from missing
from backbeat.retries import seconds_to_wait

__all__ = ["RemoteLedger"]

_PATIENCE_SECONDS = 10.0  # for how long a call is repeated
_LONGEST_PAUSE = 2.0
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 40.0  # SQLite waits up to 30 s for its lock
_CROSSED_A_FORK: list[urllib3.PoolManager] = []


class _LostError(Exception):
    """No answer came; `sent` where the service may have heard the call all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class RemoteLedger:
    """A ledger that a service keeps, for workers without a route to its database.

    A call whose answer was lost is repeated for about ten seconds with full jitter (Brooker 2015);
    every verb but `spend` may be. Certificates are verified against the machine's authorities, or
    those in `SSL_CERT_FILE`.

    Args:
        address: `https://host[:port]`; `http://` only for this very machine.
        token: `bb1.…`, or the path of a file with it, which is read at each call: a rotated token
            needs no restart.

    Raises:
        InvalidData: The address is none, or would show the token to the network.
    """

    def __init__(self, address: str, token: str | Path | None = None) -> None:
        self.address = _checked(address)
        self._token = token
        self._pool: urllib3.PoolManager | None = None
        self._pid = -1

    def claim(self, claim: Claim) -> Claimed | Recorded:
        """Take the lease and record the start in one commit; raises LeaseHeld, Conflict."""
        granted: Claimed | Recorded = self._call("claim", claim=claim)
        return granted

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        """Prolong the lease; raises FencedOut where a later attempt holds it."""
        self._call("heartbeat", key=key, token=token, lease_seconds=lease_seconds)

    def finish(self, key: str, token: int, ending: Ending) -> None:
        """Record the ending, its audit entry and messages in one commit; raises FencedOut."""
        self._call("finish", key=key, token=token, ending=ending)

    def deny(self, claim: Claim, ending: Ending) -> None:
        """Record an attempt that ended before it took a lease."""
        self._call("deny", claim=claim, ending=ending)

    def append(
        self,
        stream: str,
        additions: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        category: str,
        expected: int,
        state: str,
        due: datetime | None,
        audit: Sequence[AuditFact],
        messages: Sequence[Message] = (),
    ) -> int:
        """Append to a stream whose version is still `expected`; else raises Conflict."""

        def ours(conflict: Conflict) -> int:
            # the call whose answer was lost may have been the one that moved the stream on
            wanted = json.loads(json.dumps([[kind, dict(body)] for kind, body in additions]))
            version = expected + len(additions)
            found = [[event.kind, event.body] for event in self.read(stream)[expected:version]]
            if found != wanted:
                raise conflict
            return version

        version: int = self._call(
            "append",
            after_loss=ours,
            stream=stream,
            additions=additions,
            category=category,
            expected=expected,
            state=state,
            due=due,
            audit=audit,
            messages=messages,
        )
        return version

    def read(self, stream: str) -> list[Event]:
        """A stream's events in order; empty where it does not exist."""
        events: list[Event] = self._call("read", stream=stream)
        return events

    def streams(
        self, category: str, *, state: str | None = None, since: datetime | None = None
    ) -> list[StreamInfo]:
        """Heads of a category's streams, newest first; those that moved since a moment."""
        # a service of the version before knows no `since`, and answers with more
        heads: list[StreamInfo] = self._call("streams", category=category, state=state, since=since)
        return heads

    def due(self, category: str, *, state: str, limit: int) -> list[StreamInfo]:
        """Streams in a state whose time has come, each handed to one caller for half a minute."""
        heads: list[StreamInfo] = self._call("due", category=category, state=state, limit=limit)
        return heads

    def run(self, key: str) -> RunRecord | None:
        """A piece of work by its key, or by the beginning of it where that is unique."""
        record: RunRecord | None = self._call("run", key=key)
        return record

    def runs(
        self, *, state: str | None = None, request_id: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Pieces of work, newest first."""
        records: list[RunRecord] = self._call(
            "runs", state=state, request_id=request_id, limit=limit
        )
        return records

    def attempts(self, key: str) -> list[Attempt]:
        """Every attempt at a piece of work that took a lease, oldest first."""
        tries: list[Attempt] = self._call("attempts", key=key)
        return tries

    def watch(self, *, seconds: float) -> bool:
        """Wait until a stream may have changed, at most so long; False where time was up."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, min(LONGEST_WATCH, end - time.monotonic()))
            if self._call("watch", seconds=left):
                return True
            if time.monotonic() >= end:
                return False

    def acquire(self, name: str, *, holder: str, seconds: float) -> None:
        """Take a named lease, or get it again as the same holder; raises LeaseHeld."""
        self._call("acquire", name=name, holder=holder, seconds=seconds)

    def release(self, name: str, *, holder: str) -> None:
        """Give a named lease back; one that is not held is no error."""
        self._call("release", name=name, holder=holder)

    def lock(self, name: str, *, owner: str, seconds: float) -> AbstractContextManager[None]:
        """A named lease for the length of a block; raises LeaseHeld where another has it."""
        return lock(self, name, owner=owner, seconds=seconds)

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Take `cost` out of a budget if it is there.

        Never repeated once the service may have heard it: a lost answer is Unreachable, and the
        budget may have been spent.
        """
        paid: bool = self._call("spend", at_most_once=True, budget=budget, cost=cost, earned=earned)
        return paid

    def drain(self, sinks: Mapping[str, Sink], *, limit: int) -> int:
        """Let the service deliver up to `limit` messages to its own sinks; `sinks` stay unused."""
        delivered: int = self._call("drain", limit=limit)
        return delivered

    def check(self) -> dict[str, Any]:
        """Facts for `doctor`, of the service's ledger: its address without user, and counts."""
        facts: dict[str, Any] = self._call("check")
        return facts

    def close(self) -> None:
        """Give the connections back; they open again when they are needed."""
        if self._pool is not None and self._pid == os.getpid():
            self._pool.clear()
            self._pool = None

    def _call(
        self,
        verb: Verb,
        *,
        at_most_once: bool = False,
        after_loss: Callable[[Conflict], Any] | None = None,
        **arguments: Any,
    ) -> Any:
        body = encode_call(verb, arguments)
        end = time.monotonic() + _PATIENCE_SECONDS
        lost = False
        for tries in count(1):
            pause = seconds_to_wait(tries, base=0.2, cap=_LONGEST_PAUSE)
            try:
                return self._once(verb, body)
            except Conflict as conflict:
                if lost and after_loss is not None:
                    return after_loss(conflict)
                raise
            except Unreachable as error:  # the service's own words
                pause = max(pause, error.retry_after or 0.0)
                if at_most_once or time.monotonic() + pause > end:
                    raise
            except _LostError as error:
                lost = lost or error.sent
                if (at_most_once and error.sent) or time.monotonic() + pause > end:
                    raise Unreachable(
                        f"the ledger service {self.address} did not answer: {error}",
                        hint="see whether `backbeat serve --ledger` runs there, and try again",
                        retry_after=5,
                    ) from error
            time.sleep(pause)
        raise AssertionError  # unreachable: counting has no end

    def _once(self, verb: Verb, body: bytes) -> Any:
        try:
            response = self._open().request(
                "POST",
                f"{self.address}{PREFIX}{verb}",
                body=body,
                headers=self._headers(),
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
                retries=False,  # an error comes as it is, and no redirect is followed
            )
        except ConnectTimeoutError as error:  # or any other reason why there is no connection
            raise _LostError(_reason(error), sent=False) from error
        except HTTPError as error:
            cause = error.args[0] if isinstance(error, SSLError) and error.args else None
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise Refused(
                    f"the certificate of {self.address} is not trusted: {cause.verify_message}",
                    hint="name the bundle with its authority in SSL_CERT_FILE",
                ) from error
            raise _LostError(_reason(error), sent=True) from error
        if response.status != 200:  # noqa: PLR2004 - the one status of an answer
            raise self._error(verb, response.status, response.data)
        try:
            return decode_answer(verb, response.data)
        except ValueError as error:
            raise self._foreign(response.status) from error

    def _error(self, verb: Verb, status: int, body: bytes) -> BackbeatError | _LostError:
        if (error := decode_error(body)) is not None:
            return error
        # not our service's words: those of something before it
        if status in {408, 429} or status >= 500:  # noqa: PLR2004 - HTTP's own numbers
            return _LostError(f"HTTP status {status}", sent=True)
        if status in {401, 403}:
            return Refused(
                f"something before the ledger service {self.address} refuses (status {status})",
                hint="let its proxy hand requests and their Authorization header on",
            )
        return self._foreign(status)

    def _foreign(self, status: int) -> NotFound:
        return NotFound(
            f"there is no ledger service at {self.address} (status {status})",
            hint="give the address that `backbeat serve --ledger` prints, without a path",
        )

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"backbeat/{backbeat.__version__}",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {_token(self._token)}"
        return headers

    def _open(self) -> urllib3.PoolManager:
        # a TLS connection that crossed a fork is one conversation with two speakers
        if self._pool is None or self._pid != os.getpid():
            if self._pool is not None:
                # closing it here would say goodbye in the parent's name
                _CROSSED_A_FORK.append(self._pool)
            self._pool = urllib3.PoolManager(maxsize=4, ssl_context=ssl.create_default_context())
            self._pid = os.getpid()
        return self._pool


def _checked(address: str) -> str:
    hint = "write https://host or https://host:port"
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises where it is none
    except ValueError as error:
        raise InvalidData("the ledger service's address is no URL", hint=hint) from error
    if parts.username is not None or parts.password is not None:
        raise InvalidData(
            "the ledger service's address holds a user or a password",
            hint="give a token in its own setting (ledger_token), best as the path of a file",
        )
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
        raise InvalidData("the ledger service's address is no https:// URL", hint=hint)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InvalidData(
            f"http://{parts.netloc} would show the token to the network",
            hint="use https://; http:// is for 127.0.0.1 and localhost",
        )
    return address.rstrip("/")


def _token(token: str | Path) -> str:
    if isinstance(token, str) and token.startswith("bb1."):
        return token
    try:
        found = Path(token).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        # what was meant as a token must not be shown as if it were a path
        raise InvalidData(
            f"the ledger token is neither a token nor a readable file ({type(error).__name__})",
            hint="give what `backbeat token issue` printed, or the path of a file with it",
        ) from error
    if not found.startswith("bb1.") or not found.isascii() or len(found.split()) != 1:
        raise InvalidData(
            "the ledger token's file does not hold one token",
            hint="write what `backbeat token issue` printed into it, and nothing else",
        )
    return found


def _reason(error: HTTPError) -> str:
    # urllib3's sentences begin with the name of an object in memory
    return str(error).rpartition("object at 0x")[2].partition(": ")[2] or type(error).__name__
