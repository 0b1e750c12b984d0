"""`notify`: what people are told, and whether their channels work."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from backbeat.cli.output import (
    AsJson,
    ExitCode,
    answering,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from backbeat.cli.session import Session
from backbeat.errors import InvalidData

if TYPE_CHECKING:
    from backbeat.notify import Channels, Notice

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at notifications, and try their channels.")
File = Annotated[
    str | None,
    typer.Argument(metavar="[FILE]", help="A notice as JSON, `-` for stdin. Default: an example."),
]


@app.command("channels")
@answering
def list_channels(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List channels, with the topics that go there."""
    channels = _channels(context)
    found: list[dict[str, Any]] = [
        {
            "channel": name,
            "kind": channels.settings.channels[name].kind,
            "topics": [
                topic
                for route in channels.settings.routes
                if name in route.to
                for topic in route.topics
            ],
            "people": sorted(
                who for who, addresses in channels.settings.people.items() if name in addresses
            ),
            "served_here": name in channels.served(),
        }
        for name in channels
    ]
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["channel"],
            one["kind"],
            ", ".join(one["topics"]),
            len(one["people"]),
            "yes" if one["served_here"] else "no",
        ]
        for one in found
    ]
    print_table(
        ["channel", "kind", "topics", "people", "served here"],
        rows,
        empty="there are no channels: set BACKBEAT_NOTIFY",
    )


@app.command("preview")
@answering
def preview(
    context: typer.Context,
    file: File = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a notice as every channel would send it. Nothing is sent."""
    channels, notice = _channels(context), _notice(file)
    ways, unreached = channels.preview(notice), channels.unreached(notice)
    if as_json:
        print_json({"notice": notice.model_dump(mode="json"), "ways": ways, "unreached": unreached})
        return
    for way in ways:
        print_facts(way, title=str(way["channel"]))
    if unreached:
        print_line(f"no channel has an address of {', '.join(unreached)}")
    if not ways:
        print_line("there are no channels: set BACKBEAT_NOTIFY")


@app.command("test")
@answering
def try_channel(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="As `notify channels` lists.")],
    file: File = None,
    *,
    person: Annotated[
        str | None, typer.Option(metavar="NAME", help="Somebody with an address there.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Send one notice to a channel, now and past the outbox, and say how that went."""
    channels = _channels(context)
    there, to = channels.channel(channel), ""
    if person is not None:
        to = channels.settings.people.get(person, {}).get(channel, "")
        if not to:
            raise InvalidData(
                f"{person} has no address in {channel}",
                hint="see `backbeat notify channels --json`",
            )
    # not the notice itself: a receiver that honours its key would drop the real one later
    notice = _notice(file).model_copy(update={"key": f"test:{uuid.uuid4().hex}"})
    there.send(notice, to)
    if as_json:
        print_json({"channel": channel, "sent": True, "key": notice.key})
    else:
        print_line(f"{channel} took {notice.key}")
    return ExitCode.OK


def _channels(context: typer.Context) -> Channels:
    from backbeat.wiring.notices import channels_of

    session: Session = context.obj
    return channels_of(session.platform(), session.settings().get("notify"))


def _notice(file: str | None) -> Notice:
    from backbeat.notify import Notice

    if file is None:
        return Notice.model_validate(_EXAMPLE)
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        return Notice.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidData(
            f"this is no notice: {place}: {first['msg']}",
            hint="see `backbeat notify preview --json` for one",
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidData(
            f"the notice cannot be read ({type(error).__name__})",
            hint="give the path of a JSON file, or - for stdin",
        ) from None


_EXAMPLE: dict[str, Any] = {
    "topic": "signoff.requested",
    "key": "example:1",
    "subject": "Promote churn version 7?",
    "text": "An example of `backbeat notify`. Nobody waits for an answer.",
    "facts": [
        {"name": "accuracy", "value": "0.931 (champion: 0.924)"},
        {"name": "deadline", "value": "2026-12-01 17:00 UTC"},
    ],
    "link": "https://backbeat.example.com/requests/example",
    "request_id": "example",
    "evidence_digest": "sha256:" + "0" * 64,
}
