"""Slack for tests: its Web API and Socket Mode over real HTTP and WebSockets on loopback.

It keeps to docs.slack.dev: `apps.connections.open` with an app-level token gives a WebSocket's
address that works once; it says `hello`, sends envelopes and wants each acknowledged by its id
within three seconds, and says `disconnect` before it hangs up. `chat.postMessage`, `chat.update`,
`chat.postEphemeral` and `views.open` check tokens, blocks and their limits, and trigger ids.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from backbeat.testing.loopback import on_loopback

__all__ = ["Acknowledged", "SlackServer", "slack_server"]

APP_TOKEN, BOT_TOKEN = "xapp-1-A1-double", "xoxb-1-double"
_ACK_SECONDS = 3.0
_TRIGGER_SECONDS = 3.0
_TEXT_LIMITS = {"header": 150, "section": 3000, "button": 75, "context": 3000}
_MOST_BLOCKS, _MOST_FIELDS, _MOST_IN_A_MODAL = 50, 10, 100
_LONGEST_VALUE, _LONGEST_METADATA, _LONGEST_TITLE, _LONGEST_TEXT = 2000, 3000, 24, 40_000


@dataclass(frozen=True)
class Acknowledged:
    """How an envelope was answered.

    Args:
        payload: What came with the answer.
        seconds: After which time.
    """

    payload: Mapping[str, Any] | None
    seconds: float


@dataclass
class SlackServer:
    """A workspace with one app.

    Args:
        port: Where it listens, on 127.0.0.1.
        team: The workspace's id.
        channels: Conversations that the bot is in; a person's id always is one.
        failing: Status, headers and body of the next answers of the Web API.
        messages: By conversation and timestamp: what they show now.
        whispers: Of `chat.postEphemeral`.
        views: Opened modals, by id.
        calls: Method and arguments of every call that was let in.
        connections: How many WebSockets were opened.
    """

    port: int = 0
    team: str = "T1"
    channels: set[str] = field(default_factory=lambda: {"C1"})
    failing: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    messages: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    whispers: list[dict[str, Any]] = field(default_factory=list)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connections: int = 0
    _tickets: set[str] = field(default_factory=set, repr=False)
    _triggers: dict[str, float] = field(default_factory=dict, repr=False)
    _sockets: list[web.WebSocketResponse] = field(default_factory=list, repr=False)
    _waited: dict[str, asyncio.Future[Any]] = field(default_factory=dict, repr=False)
    _clock: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    @property
    def api(self) -> str:
        """The Web API's address."""
        return f"http://127.0.0.1:{self.port}/api/"

    @property
    def credentials(self) -> dict[str, str]:
        """What the app knows, but for its own key."""
        return {"app_token": APP_TOKEN, "bot_token": BOT_TOKEN}

    def shown(self, conversation: str = "C1") -> list[dict[str, Any]]:
        """A conversation's messages as they stand, oldest first, each with its `channel`."""
        return [
            {**message, "channel": where}
            for (where, _), message in sorted(self.messages.items())
            if where == conversation
        ]

    def buttons(self, conversation: str = "C1") -> dict[str, dict[str, Any]]:
        """The buttons of a conversation's last message, by their action ids."""
        return _buttons(self.shown(conversation)[-1])

    def click(
        self,
        action_id: str,
        *,
        user: str = "U1",
        conversation: str = "C1",
        change: Mapping[str, Any] | None = None,
    ) -> Acknowledged:
        """Press a button of the last message, as a person does; see `press`."""
        return self.press(self.buttons(conversation)[action_id], user=user, change=change)

    def press(
        self,
        button: Mapping[str, Any],
        *,
        user: str = "U1",
        change: Mapping[str, Any] | None = None,
    ) -> Acknowledged:
        """Send the envelope of a pressed button and wait for its acknowledgement.

        Args:
            button: As it stands in the message, or as an attacker makes it.
            user: Who presses.
            change: What the payload says otherwise.
        """
        trigger = f"{uuid.uuid4().hex}.1"
        self._triggers[trigger] = time.monotonic()
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": user.lower(), "team_id": self.team},
            "api_app_id": "A1",
            "token": "legacy",
            "container": {"type": "message", "channel_id": "C1"},
            "trigger_id": trigger,
            "team": {"id": self.team, "domain": "double"},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": "C1", "name": "gate"},
            "actions": [{**button, "action_ts": str(time.time())}],
            **(change or {}),
        }
        return self.send(payload, accepts=False)

    def submit(
        self,
        view: Mapping[str, Any],
        values: Mapping[str, Any],
        *,
        user: str = "U1",
        envelope: str = "",
        change: Mapping[str, Any] | None = None,
    ) -> Acknowledged:
        """Send the envelope of a submitted modal and wait for its acknowledgement.

        Args:
            view: As it was opened, or as an attacker makes it.
            values: Block id to what its element holds.
            user: Who submits.
            envelope: Its id, to send the same again.
            change: What the payload says otherwise.
        """
        state = {
            block["block_id"]: {
                "value": {
                    "type": block["element"]["type"],
                    **values.get(block["block_id"], {"value": None}),
                }
            }
            for block in view.get("blocks", ())
            if block["type"] == "input"
        }
        payload = {
            "type": "view_submission",
            "team": {"id": self.team, "domain": "double"},
            "user": {"id": user, "name": user.lower(), "team_id": self.team},
            "api_app_id": "A1",
            "token": "legacy",
            "trigger_id": "",
            "view": {**view, "state": {"values": state}},
            "response_urls": [],
            **(change or {}),
        }
        return self.send(payload, accepts=True, envelope=envelope)

    def send(
        self, payload: Mapping[str, Any], *, accepts: bool, envelope: str = ""
    ) -> Acknowledged:
        """Send an interactive envelope on the newest connection.

        Raises:
            TimeoutError: It was not acknowledged in time.
        """
        name = envelope or str(uuid.uuid4())
        body = {
            "envelope_id": name,
            "type": "interactive",
            "accepts_response_payload": accepts,
            "payload": payload,
        }
        found: Acknowledged = self._run(self._send(name, body), _ACK_SECONDS + 5)
        return found

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Say that every connection ends, as Slack does every few hours, and end it."""
        self._run(self._disconnect({"type": "disconnect", "reason": reason}), 10)

    def drop(self) -> None:
        """End every connection without a word."""
        self._run(self._disconnect(None), 10)

    def connected(self, *, after: int = 0, seconds: float = 15.0) -> int:
        """Wait until more than so many connections have been opened, and one is there.

        Returns:
            How many have been opened.

        Raises:
            TimeoutError: None was.
        """
        self.until(lambda: self.connections > after and bool(self._sockets), seconds)
        return self.connections

    def until(self, condition: Callable[[], Any], seconds: float = 15.0) -> None:
        """Wait for what another thread is about to do; raises TimeoutError where it does not."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("it has not come to that")
            time.sleep(0.02)

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/api/{method}", self._call)
        app.router.add_get("/link/", self._link)
        app.on_startup.append(self._started)
        app.on_shutdown.append(self._hang_up)
        return app

    async def _started(self, _: web.Application) -> None:
        self._loop = asyncio.get_running_loop()

    async def _hang_up(self, _: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close()

    def _run(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        assert self._loop is not None  # noqa: S101 - it is served
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _send(self, name: str, body: Mapping[str, Any]) -> Acknowledged:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waited[name] = answer
        began = time.monotonic()
        await self._sockets[-1].send_str(json.dumps(body))
        async with asyncio.timeout(_ACK_SECONDS):
            payload = await answer
        return Acknowledged(payload, time.monotonic() - began)

    async def _disconnect(self, said: Mapping[str, Any] | None) -> None:
        for socket in list(self._sockets):
            if said is not None:
                await socket.send_str(json.dumps(said))
            await socket.close()

    async def _link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        hello = {
            "type": "hello",
            "num_connections": len(self._sockets),
            "connection_info": {"app_id": "A1"},
            "debug_info": {"host": "double", "approximate_connection_time": 18060},
        }
        await socket.send_str(json.dumps(hello))
        self.connections += 1
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledge(json.loads(message.data))
        finally:
            self._sockets.remove(socket)
        return socket

    def _acknowledge(self, said: Mapping[str, Any]) -> None:
        waited = self._waited.pop(str(said.get("envelope_id")), None)
        if waited is not None and not waited.done():
            waited.set_result(said.get("payload"))

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        given = await _arguments(request)
        if self.failing:
            status, headers, body = self.failing.pop(0)
            return web.json_response(body, status=status, headers=headers)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        if token != wanted:
            kinds = (APP_TOKEN[:4], BOT_TOKEN[:4])
            wrong = token.startswith(kinds) and token in {APP_TOKEN, BOT_TOKEN}
            return _no("not_allowed_token_type" if wrong else "invalid_auth")
        known: Mapping[str, Callable[[dict[str, Any]], web.Response]] = {
            "apps.connections.open": self._open,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
            "views.open": self._open_view,
        }
        if method not in known:
            return _no("unknown_method")
        self.calls.append((method, given))
        return known[method](given)

    def _open(self, _: dict[str, Any]) -> web.Response:
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        url = f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id=A1"
        return web.json_response({"ok": True, "url": url})

    def _post(self, given: dict[str, Any]) -> web.Response:
        where = given.get("channel", "")
        wrong = self._wrong_message(given, where)
        if wrong:
            return _no(wrong)
        where = f"D{where[1:]}" if where.startswith("U") else where
        at = f"1700000000.{next(self._clock):06}"
        message = {"type": "message", "ts": at, "text": given.get("text", "")}
        self.messages[where, at] = {**message, "blocks": given.get("blocks", [])}
        return web.json_response({"ok": True, "channel": where, "ts": at, "message": message})

    def _update(self, given: dict[str, Any]) -> web.Response:
        where, at = given.get("channel", ""), given.get("ts", "")
        if (where, at) not in self.messages:
            return _no("message_not_found")
        wrong = _wrong_blocks(given.get("blocks", []), most=_MOST_BLOCKS)
        if wrong:
            return _no(wrong)
        self.messages[where, at] |= {
            "text": given.get("text", ""),
            "blocks": given.get("blocks", []),
            "edited": True,
        }
        return web.json_response({"ok": True, "channel": where, "ts": at})

    def _whisper(self, given: dict[str, Any]) -> web.Response:
        wrong = self._wrong_message(given, given.get("channel", ""))
        if wrong or not given.get("user"):
            return _no(wrong or "user_not_in_channel")
        self.whispers.append(given)
        return web.json_response({"ok": True, "message_ts": f"1700000000.{next(self._clock):06}"})

    def _open_view(self, given: dict[str, Any]) -> web.Response:
        began = self._triggers.pop(given.get("trigger_id", ""), None)
        if began is None:
            return _no("invalid_trigger_id")
        if time.monotonic() - began > _TRIGGER_SECONDS:
            return _no("expired_trigger_id")
        view = given.get("view", {})
        title = view.get("title", {}).get("text", "")
        metadata = view.get("private_metadata", "")
        if (
            view.get("type") != "modal"
            or not 0 < len(title) <= _LONGEST_TITLE
            or len(metadata) > _LONGEST_METADATA
            or _wrong_blocks(view.get("blocks", []), most=_MOST_IN_A_MODAL)
        ):
            return _no("invalid_arguments")
        name = f"V{next(self._clock)}"
        self.views[name] = {**view, "id": name, "team_id": self.team, "hash": uuid.uuid4().hex}
        return web.json_response({"ok": True, "view": self.views[name]})

    def _wrong_message(self, given: Mapping[str, Any], where: str) -> str:
        if where not in self.channels and not where.startswith(("U", "D")):
            return "channel_not_found"
        if not given.get("text") and not given.get("blocks"):
            return "no_text"
        if len(given.get("text", "")) > _LONGEST_TEXT:
            return "msg_too_long"
        return _wrong_blocks(given.get("blocks", []), most=_MOST_BLOCKS)


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return dict(await request.json())
    found = dict(await request.post())
    for name in ("blocks", "view"):
        if isinstance(found.get(name), str):
            found[name] = json.loads(str(found[name]))
    return found


def _buttons(message: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        element["action_id"]: element
        for block in message["blocks"]
        for element in block.get("elements", ())
        if element.get("type") == "button"
    }


def _wrong_blocks(blocks: list[dict[str, Any]], *, most: int) -> str:
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(blocks) > most or len(set(ids)) < len(ids):
        return "invalid_blocks"
    return "invalid_blocks" if any(_wrong(block) for block in blocks) else ""


def _wrong(block: Mapping[str, Any]) -> bool:
    kind = block["type"]
    if kind == "header":
        return not _is_text(block.get("text"), _TEXT_LIMITS["header"])
    if kind == "section":
        fields = block.get("fields", [])
        texts = [block["text"]] if "text" in block else []
        return (
            not (texts or fields)
            or len(fields) > _MOST_FIELDS
            or not all(_is_text(one, 2000) for one in fields)
            or not all(_is_text(one, _TEXT_LIMITS["section"]) for one in texts)
        )
    if kind == "context":
        return not all(_is_text(one, _TEXT_LIMITS["context"]) for one in block["elements"])
    if kind == "actions":
        return any(
            not _is_text(one.get("text"), _TEXT_LIMITS["button"])
            or len(one.get("value", "")) > _LONGEST_VALUE
            or len(one.get("url", "")) > 3000  # noqa: PLR2004 - a button's url
            for one in block["elements"]
        )
    if kind == "input":
        return not _is_text(block.get("label"), 2000) or not _is_element(block["element"])
    return True


def _is_element(element: Mapping[str, Any]) -> bool:
    if element["type"] in {"static_select", "multi_static_select"}:
        options = element["options"]
        return 0 < len(options) <= 100 and all(  # noqa: PLR2004 - as documented
            _is_text(one["text"], 75) and 0 < len(one["value"]) <= 150  # noqa: PLR2004
            for one in options
        )
    if element["type"] == "number_input":
        return isinstance(element.get("is_decimal_allowed"), bool)
    longest = int(element.get("max_length", 3000))
    return element["type"] == "plain_text_input" and 1 <= longest <= 3000  # noqa: PLR2004


def _is_text(text: Any, longest: int) -> bool:
    return (
        isinstance(text, Mapping)
        and text.get("type") in {"plain_text", "mrkdwn"}
        and 0 < len(text.get("text", "")) <= longest
    )


def _no(error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error})


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    """Run one in a thread of its own."""
    server = SlackServer()
    with on_loopback(server.application()) as server.port:
        yield server
