"""Slack's clicks over Socket Mode: no public address, one WebSocket that this process opens.

Protocol: docs.slack.dev/apis/events-api/using-socket-mode. Every envelope is acknowledged within
three seconds, whatever becomes of the vote; Slack's own SDK connects and reconnects.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from backbeat.errors import BackbeatError, Refused, RetryableError
from backbeat.identity import Actor
from backbeat.notify.channel import Credentials, needed
from backbeat.notify.plain import lines
from backbeat.notify.settings import SlackPlan
from backbeat.notify.slack.calls import asked, web_client
from backbeat.notify.slack.clicks import (
    Cast,
    RefusedClick,
    believed,
    pressed,
    read_metadata,
    refused,
    written_metadata,
)
from backbeat.notify.slack.form import CALLBACK, answers_of, outcome_view, reason_of, vote_view
from backbeat.notify.slack.message import ACTIONS
from backbeat.notify.slack.text import escaped
from backbeat.telemetry import redact

if TYPE_CHECKING:
    from slack_sdk.socket_mode import SocketModeClient

__all__ = ["SlackDesk"]

_PATIENCE = 1.5
_REMEMBERED = 10_000
_PING_SECONDS = 5.0
_log = logging.getLogger(__name__)


class SlackDesk:
    """Takes clicks and hands votes on. Start it in one long-running process; more do no harm.

    Args:
        plan: The Slack channel's settings.
        credentials: Looks up `app_token`, `bot_token` and `button_key`.
        knows: Whether a Slack user id is somebody; a stranger's click is refused.
        vote: Holds a vote against the rules and records it; returns what the voter is told, raises
            a BackbeatError where it does not count. It may be called from several threads.
        on_refused: Told of every click that is no vote, for the record.
        form: The JSON Schema of a request's form; None where it has none.
        clock: Seconds since 1970.
        ping_seconds: How often the connection is looked at.
    """

    def __init__(
        self,
        plan: SlackPlan,
        credentials: Credentials,
        *,
        knows: Callable[[str], bool],
        vote: Callable[[Cast], str],
        on_refused: Callable[[RefusedClick], None],
        form: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        ping_seconds: float = _PING_SECONDS,
    ) -> None:
        self._plan = plan
        self._credentials = credentials
        self._knows = knows
        self._vote = vote
        self._on_refused = on_refused
        self._form = form
        self._clock = clock
        self._ping_seconds = ping_seconds
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._workers: ThreadPoolExecutor | None = None
        self._client: SocketModeClient | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Connect, and go on in threads of its own.

        Raises:
            UnmetNeed: slack-sdk is not installed, or a credential is missing.
            Refused: Slack does not know the app's token.
            Unreachable: Slack did not answer.
        """
        web = web_client(self._plan, self._credentials)
        from slack_sdk.socket_mode import SocketModeClient

        name = self._plan.credentials
        held = self._credentials(name)
        needed(held, "button_key", name=name)
        token = needed(held, "app_token", name=name)
        # the SDK would log a refusal at each try, and go on trying
        opened = asked(web.apps_connections_open, app_token=token)
        client = SocketModeClient(
            app_token=token,
            web_client=web,
            logger=logging.getLogger("backbeat.notify.slack.socket"),
            ping_interval=self._ping_seconds,
        )
        client.wss_uri = str(opened["url"])
        client.socket_mode_request_listeners.append(self._take)
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="backbeat-slack")
        self._client = client
        client.connect()

    def close(self) -> None:
        """Hang up; votes that are being recorded are waited for."""
        if self._client is not None:
            client, self._client = self._client, None
            # the SDK's thread would listen to the socket for three seconds more
            client.closed, client.auto_reconnect_enabled = True, False
            held = client.current_session and client.current_session.sock
            if held:
                with suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
            client.close()
        if self._workers is not None:
            self._workers.shutdown()
            self._workers = None

    @property
    def connected(self) -> bool:
        """Whether clicks can come in now."""
        return self._client is not None and bool(self._client.is_connected())

    def _take(self, client: SocketModeClient, request: Any) -> None:
        answer: Mapping[str, Any] | None = None
        try:
            if request.type == "interactive" and self._first(f"envelope {request.envelope_id}"):
                answer = self._within(request.payload)
        finally:
            # Slack sends again what was not acknowledged, and shows the person an error
            from slack_sdk.socket_mode.response import SocketModeResponse

            payload = dict(answer) if answer and request.accepts_response_payload else None
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))

    def _within(self, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Work on it; the outcome of a vote is waited for as long as Slack has patience."""
        assert self._workers is not None  # noqa: S101 - nothing comes in before the start
        kind, ours = payload.get("type"), _view(payload).get("callback_id") == CALLBACK
        if kind == "block_actions":
            self._workers.submit(self._clicked, payload)
        if kind != "view_submission" or not ours:
            return None
        waited = threading.Event()
        work: Future[str | None] = self._workers.submit(self._submitted, payload, waited)
        try:
            said = work.result(_PATIENCE)
        except FutureTimeout:
            waited.set()  # the person is told otherwise
            return None
        if said is None:
            return None
        return {"response_action": "update", "view": outcome_view("Sign-off", said)}

    def _clicked(self, payload: Mapping[str, Any]) -> None:
        action = pressed(payload)
        if action is None:
            return  # another's button, or ours that only opens a page
        signed = action.get("value")
        try:
            key = self._key()
            click = self._believed(payload, signed, key)
            if ACTIONS[str(action["action_id"])] != click.value.choice:
                raise Refused("the button says one thing and stands for another")  # noqa: TRY301
        except Refused as refusal:
            self._refuse(payload, signed, refusal, _conversation(payload))
            return
        except BackbeatError as error:
            self._whisper(_conversation(payload), payload, _sorry(error))
            return
        try:
            view = vote_view(
                click.value.choice,
                self._form(click.value.request_id),
                metadata=written_metadata(str(signed), _conversation(payload)),
                request_id=click.value.request_id,
            )
            client = web_client(self._plan, self._credentials)
            asked(client.views_open, trigger_id=str(payload.get("trigger_id") or ""), view=view)
        except Exception as error:  # noqa: BLE001 - the form is a callback's
            self._whisper(_conversation(payload), payload, _sorry(error))

    def _submitted(self, payload: Mapping[str, Any], waited: threading.Event) -> str | None:
        view = _view(payload)
        signed, conversation = read_metadata(view.get("private_metadata"))
        once = f"view {view.get('id')}"
        try:
            click = self._believed(payload, signed, self._key())
        except Refused as refusal:
            self._refuse(payload, signed, refusal, "")
            return f"This does not count: {refusal.message}."
        except BackbeatError as error:
            return _sorry(error)
        if not self._first(once):
            return None
        said = self._count(click, view, once)
        if waited.is_set():
            self._whisper(conversation, payload, said)
            return None
        return said

    def _count(self, click: Any, view: Mapping[str, Any], once: str) -> str:
        state = view.get("state")
        values = state.get("values") if isinstance(state, Mapping) else None
        given: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        try:
            return lines(
                self._vote(
                    Cast(
                        request_id=click.value.request_id,
                        actor=Actor(id=click.user, method="slack"),
                        choice=click.value.choice,
                        reason=reason_of(given),
                        evidence_digest=click.value.evidence_digest,
                        answers=answers_of(self._form(click.value.request_id), given),
                        key=f"slack:{once}",
                    )
                ),
                2000,
            )
        except Exception as error:  # noqa: BLE001 - the vote is a callback's
            if not isinstance(error, BackbeatError) or isinstance(error, RetryableError):
                self._forget(once)  # the person may submit it again
            return _sorry(error)

    def _believed(self, payload: Mapping[str, Any], signed: object, key: str) -> Any:
        return believed(
            payload,
            signed,
            team=self._plan.team,
            key=key,
            knows=self._knows,
            now=self._clock(),
        )

    def _key(self) -> str:
        name = self._plan.credentials
        return needed(self._credentials(name), "button_key", name=name)

    def _refuse(
        self, payload: Mapping[str, Any], signed: object, refusal: Refused, conversation: str
    ) -> None:
        told = refused(payload, signed, refusal.message, key=self._key())
        try:
            self._on_refused(told)
        except Exception as error:  # noqa: BLE001 - a callback's
            _log.error("a refused click is not on record: %s", type(error).__name__)
        self._whisper(conversation, payload, f"This does not count: {refusal.message}.")

    def _whisper(self, conversation: str, payload: Mapping[str, Any], text: str) -> None:
        """Tell the person alone; where that fails it is not worth more than a line in the log."""
        user = payload.get("user")
        who = str(user.get("id") or "") if isinstance(user, Mapping) else ""
        if not conversation or not who:
            return
        try:
            client = web_client(self._plan, self._credentials)
            shown = escaped(lines(text, 2000) or "Done.")
            asked(client.chat_postEphemeral, channel=conversation, user=who, text=shown)
        except BackbeatError as error:
            _log.warning("a voter could not be told: %s", redact(error.message))

    def _first(self, name: str) -> bool:
        with self._lock:
            if name in self._seen:
                return False
            self._seen[name] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return True

    def _forget(self, name: str) -> None:
        with self._lock:
            self._seen.pop(name, None)


def _view(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    view = payload.get("view")
    return view if isinstance(view, Mapping) else {}


def _conversation(payload: Mapping[str, Any]) -> str:
    channel = payload.get("channel")
    return str(channel.get("id") or "") if isinstance(channel, Mapping) else ""


def _sorry(error: Exception) -> str:
    """Why it is no vote; of what is not ours only its kind is told."""
    if not isinstance(error, BackbeatError):
        _log.error("a click failed with %s", type(error).__name__)
        return "This is not recorded: something failed here. Please try again."
    hint = "Please try again." if error.retryable else error.hint
    return redact(f"This is not recorded: {error.message}. {hint}")
