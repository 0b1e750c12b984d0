from __future__ import annotations

import multiprocessing
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from receiver import Receiver, receiving

import backbeat
from backbeat import embedded
from backbeat.errors import BackbeatError, InvalidData, NotFound, Refused, Unreachable
from backbeat.ledger import SqliteLedger
from backbeat.lineage import HttpSink
from backbeat.ports import Message

MESSAGE = Message("run-1-START", "openlineage", {"b": 1, "a": "é"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint of this test's own."""
    with receiving() as found:
        yield found


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key in the environment."""
    monkeypatch.setenv("BACKBEAT_LINEAGE_API_KEY", "s3cr3t-w0rd")
    return "s3cr3t-w0rd"


def test_an_event_is_posted_as_json_under_its_id(receiver: Receiver) -> None:
    """One request: the body as JSON, the message's id as Idempotency-Key, no authorization."""
    HttpSink(receiver.url).deliver(MESSAGE)
    [(headers, body)] = receiver.requests
    assert body == {"a": "é", "b": 1}
    assert headers["path"] == "/api/v1/lineage"
    assert headers["idempotency-key"] == "run-1-START"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"backbeat/{backbeat.__version__}"
    assert "authorization" not in headers


def test_a_platform_sends_to_its_lineage_url(receiver: Receiver, tmp_path: Path) -> None:
    """The setting `lineage_url` is all that it takes."""
    embedded(tmp_path, lineage_url=receiver.url).sinks["openlineage"].deliver(MESSAGE)
    assert list(receiver.kept) == ["run-1-START"]


def test_a_key_is_read_anew_for_each_message(
    receiver: Receiver, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was replaced needs no restart."""
    sink = HttpSink(receiver.url)
    sink.deliver(MESSAGE)
    monkeypatch.setenv("BACKBEAT_LINEAGE_API_KEY", "another")
    sink.deliver(MESSAGE)
    sent = [headers["authorization"] for headers, _ in receiver.requests]
    assert sent == [f"Bearer {key}", "Bearer another"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 409])
def test_taken_or_there_already_is_delivered(receiver: Receiver, status: int) -> None:
    """2xx and 409 both say that the receiver has it."""
    receiver.answers.append((status, {}))
    HttpSink(receiver.url).deliver(MESSAGE)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize(("said", "meant"), [("7", 7.0), (None, None), ("soon", None)])
def test_an_answer_that_asks_for_patience(
    receiver: Receiver, status: int, said: str | None, meant: float | None
) -> None:
    """It is a passing fault, with the pause that the receiver asks for; nothing is repeated."""
    receiver.answers.append((status, {"Retry-After": said} if said else {}))
    with pytest.raises(Unreachable) as caught:
        HttpSink(receiver.url).deliver(MESSAGE)
    assert caught.value.retryable
    assert caught.value.retry_after == meant
    assert len(receiver.requests) == 1


def test_a_retry_after_may_be_a_date(receiver: Receiver) -> None:
    """RFC 9110 section 10.2.3 allows both forms."""
    later = datetime.now(UTC) + timedelta(hours=1)
    receiver.answers.append((503, {"Retry-After": format_datetime(later, usegmt=True)}))
    with pytest.raises(Unreachable) as caught:
        HttpSink(receiver.url).deliver(MESSAGE)
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after <= 3600


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (404, NotFound), (400, InvalidData), (422, InvalidData)],
)
def test_an_answer_that_means_never(
    receiver: Receiver, status: int, kind: type[BackbeatError]
) -> None:
    """What no retry can help is a final error that says what to do."""
    receiver.answers.append((status, {}))
    with pytest.raises(kind) as caught:
        HttpSink(receiver.url).deliver(MESSAGE)
    assert type(caught.value) is kind
    assert not caught.value.retryable
    assert caught.value.hint
    assert f"{receiver.url} answers {status}" in caught.value.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, key: str, status: int) -> None:
    """The key goes where the operator said, and nowhere else."""
    with receiving() as elsewhere:
        receiver.answers.append((status, {"Location": elsewhere.url}))
        with pytest.raises(NotFound, match=f"answers {status}"):
            HttpSink(receiver.url).deliver(MESSAGE)
        assert elsewhere.requests == []


def test_what_is_never_taken_stays_in_the_outbox(receiver: Receiver, ledger: SqliteLedger) -> None:
    """The outbox drops nothing: the message waits with its reason, and leaves once it is taken."""
    ledger.append(
        "s",
        [("made", {})],
        category="c",
        expected=0,
        state="s",
        due=None,
        audit=[],
        messages=[MESSAGE],
    )
    receiver.answers.append((422, {}))
    sinks = {"openlineage": HttpSink(receiver.url)}
    assert ledger.drain(sinks, limit=10) == 0
    assert ledger.check()["outbox"] == 1
    with ledger.database.write() as tx:
        tx.exec_driver_sql("UPDATE backbeat_outbox SET next_at = '2000-01-01T00:00:00.000000Z'")
    assert ledger.drain(sinks, limit=10) == 1
    assert list(receiver.kept) == [MESSAGE.id]


def test_nobody_at_the_address_is_unreachable(key: str) -> None:
    """A passing fault that shows neither the key nor the query of the URL."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers there
        where = f"http://127.0.0.1:{reserved.getsockname()[1]}/lineage"
        with pytest.raises(Unreachable) as caught:
            HttpSink(f"{where}?code=hunter2").deliver(MESSAGE)
    assert caught.value.message.startswith(f"the lineage endpoint {where} did not answer (")
    told = str(caught.value)
    assert "hunter2" not in told
    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_not_shown(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    """It is refused before anything is sent, and before a library would quote it."""
    monkeypatch.setenv("BACKBEAT_LINEAGE_API_KEY", bad)
    with pytest.raises(InvalidData) as caught:
        HttpSink(receiver.url).deliver(MESSAGE)
    assert bad not in "".join(traceback.format_exception(caught.value))
    assert receiver.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://ana:hunter2@host/lineage",
        "https://hunter2@host/lineage",
        "http://host/lineage?code=hunter2",
        "http://127.0.0.1.host/lineage",
        "https://host:hunter2/lineage",
        "ftp://host/lineage",
        "https:///lineage",
        "host/lineage",
        "https://host/a\r\nhunter2: b",
        "",
    ],
)
def test_a_url_that_is_refused(url: str) -> None:
    """At construction, without any input or output, and without showing a secret in it."""
    with pytest.raises(InvalidData) as caught:
        HttpSink(url)
    assert caught.value.hint
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_url_that_leads_elsewhere_is_not_tried_before_it_is_used() -> None:
    """Building the sink asks no name server and opens no connection."""
    assert HttpSink("https://no.such.host.invalid/x?code=1").where == (
        "https://no.such.host.invalid/x"
    )


def test_a_forked_process_has_connections_of_its_own(receiver: Receiver) -> None:
    """A sink that was used before a fork delivers in both processes."""
    sink = HttpSink(receiver.url)
    sink.deliver(MESSAGE)
    child = multiprocessing.get_context("fork").Process(
        target=sink.deliver, args=(Message("child", "openlineage", {}),)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    sink.deliver(Message("parent", "openlineage", {}))
    assert list(receiver.kept) == ["run-1-START", "child", "parent"]
