"""What a bucket's answer means for a retry. Imports obstore: only loaded where a bucket is used.

The answers' own texts are never repeated: what a server says about a wrong signature can hold a
session token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from backbeat.errors import (
    BackbeatError,
    Conflict,
    FinalError,
    NotFound,
    Refused,
    StorageFull,
    Unreachable,
)

__all__ = [
    "AlreadyExistsError",
    "BaseError",
    "bucket_errors",
    "has_no_conditions",
    "is_undecided",
]

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_FULL = re.compile(r"Quota|StorageFull|InsufficientStorage|EntityTooLarge")
_EXPIRED = {"ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"}
_CONFLICT = 409
_PASSING = {408, _CONFLICT, 425, 429}
_NOT_FOUND = 404
_NOT_IMPLEMENTED = 501
_NO_ROOM = 507
_SERVER = 500


@contextmanager
def bucket_errors(what: str, root: str) -> Iterator[None]:
    """Ask a bucket in a block; a missing object stays a `FileNotFoundError`.

    Args:
        what: What is done, for the message, such as `writing 'a/b'`.
        root: The bucket's address.

    Raises:
        Unreachable: No answer, or a passing one (5xx, 408, 409, 429). A retry can help.
        StorageFull: A quota or the disk behind the server is exhausted. A retry can help.
        Refused: 401, 403 or a wrong signature: an identity check said no, and says so again.
        Conflict: The object is another one than the one that was asked for.
        NotFound: There is no such bucket.
        FinalError: Anything else that the server will not do.
    """
    try:
        yield
    except BaseError as error:
        raise _meaning(error, what, root) from None


def has_no_conditions(error: BaseError) -> bool:
    """Whether a server says that it does not know conditional writes."""
    status, code = _answer(error)
    unknown = status == _NOT_IMPLEMENTED or code == "NotImplemented"
    return unknown or isinstance(error, NotSupportedError)


def is_undecided(error: BaseError) -> bool:
    """Whether a conditional write met another one of the same object: S3 says to try again."""
    return _answer(error)[0] == _CONFLICT


def _answer(error: BaseError) -> tuple[int | None, str]:
    text = str(error).partition("Debug source")[0]
    status, code = _STATUS.search(text), _CODE.search(text)
    return int(status[1]) if status else None, code[1] if code else ""


def _meaning(error: BaseError, what: str, root: str) -> BackbeatError:
    status, code = _answer(error)
    said = f"{what} in {root}: " + (f"{status} {code}".strip() if status else "no answer")
    if isinstance(error, PreconditionError):
        return Conflict(
            f"{what} in {root}: the object was replaced in the meantime",
            hint="read files that nobody writes to any more",
        )
    if isinstance(error, InvalidPathError):
        return FinalError(
            f"{what} in {root}: the name is not one that a bucket can hold",
            hint="use letters, digits, '-', '_', '.' and '/'",
        )
    return _by_answer(error, said, status, code)


def _by_answer(error: BaseError, said: str, status: int | None, code: str) -> BackbeatError:
    if status == _NO_ROOM or _FULL.search(code):
        return StorageFull(said, hint="free space in the bucket, or raise its quota")
    denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if denied or status in {401, 403} or code in _EXPIRED:
        return Refused(
            said,
            hint="check the credentials in the environment and what they may do with this bucket "
            "(read, write, list, delete); without the right to list, a missing object is a 403 too",
        )
    if status == _NOT_FOUND:
        return NotFound(said, hint="create the bucket, or correct its name")
    if status is None or status >= _SERVER or status in _PASSING:
        return Unreachable(
            said,
            hint="check the network and AWS_ENDPOINT_URL, and that there are credentials",
        )
    return FinalError(said, hint="check the bucket's region and name")
