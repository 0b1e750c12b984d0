"""What a name on the command line means: a key of the platform's store, a path, or a URI."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backbeat.cli.session import Session
from backbeat.errors import InvalidData, NotFound

if TYPE_CHECKING:
    from backbeat.drift import Profile
    from backbeat.ports import Store
    from backbeat.reference import DataRef, Dataset

__all__ = ["DataPlace", "Place", "data_uri", "day_option", "home", "place", "read_profile", "table"]

DataPlace = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A Parquet or CSV file or a folder: a key of the store, a path, a URI."
    ),
]
_PATHS = ("/", "./", "../", "~")


@dataclass(frozen=True)
class Place:
    """Where something is or will be.

    Args:
        store: The store.
        key: Its key there.
    """

    store: Store
    key: str


def home(context: typer.Context) -> Store:
    """The platform's store; without a platform, the current folder."""
    from backbeat.data import open_store

    session: Session = context.obj
    if session.settings()["folder"]:
        return session.platform().store
    return open_store(Path.cwd())


def place(context: typer.Context, name: str) -> Place:
    """A name as a place: a path begins with `/`, `./`, `../` or `~`, anything else is a key."""
    from backbeat.data import open_store
    from backbeat.data.address import scheme_of, store_of

    if scheme_of(name) not in {"", "file"}:
        return Place(store_of(name), name.split("://", 1)[1].partition("/")[2])
    path = _path(name)
    if path is not None:
        return Place(open_store(path.parent), path.name)
    return Place(home(context), name)


def table(context: typer.Context, name: str, **window: object) -> tuple[Dataset, list[DataRef]]:
    """The files of a table, with the days of a window where the name has `{day}`.

    Raises:
        InvalidData: There are none.
    """
    from pydantic import ValidationError

    from backbeat.data import references
    from backbeat.reference import Dataset

    try:
        dataset = Dataset.model_validate({"uri": data_uri(name), **window})
    except ValidationError as error:
        raise typer.BadParameter(error.errors(include_url=False)[0]["msg"]) from error
    try:
        return dataset, list(references(home(context), dataset))
    except InvalidData as error:
        raise InvalidData(error.message, hint=_hint(name) or error.hint) from error


def read_profile(context: typer.Context, name: str) -> Profile:
    """A profile by its key, path or URI.

    Raises:
        NotFound: There is none.
        InvalidData: It is damaged, or no profile.
    """
    from backbeat.drift import Profile

    found = place(context, name)
    try:
        content = found.store.read(found.key)
    except NotFound as error:
        raise NotFound(f"there is no profile {name}", hint=_hint(name, found)) from error
    try:
        return Profile.from_bytes(content)
    except InvalidData as error:
        raise InvalidData(f"{name}: {error.message}", hint=error.hint) from error


def data_uri(name: str) -> str:
    """What a dataset calls a name: a path becomes absolute, keys and URIs stay."""
    return str(_path(name) or name)


def day_option(text: str | None, name: str) -> date | None:
    """An ISO day of an option; wrong usage where it is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name} takes an ISO day, such as 2013-03-10") from error


def _path(name: str) -> Path | None:
    text = name.removeprefix("file://")
    if not text.startswith(_PATHS):
        return None
    return Path(text).expanduser().absolute()


def _hint(name: str, found: Place | None = None) -> str:
    if _path(name) is None and "://" not in name and Path(name).exists():
        return f"write ./{name} for the file in this folder: a bare name is a key of the store"
    if found is None:
        return ""
    folder = found.key.rpartition("/")[0]
    beside = list(found.store.keys(f"{folder}/" if folder else ""))
    near = difflib.get_close_matches(found.key, beside, n=1)
    where = f"look in {found.store.address(folder)}" if folder else "see whether its name is right"
    return f"did you mean {near[0]}?" if near else where
