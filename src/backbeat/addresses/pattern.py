"""One line of a list of allowed addresses: scheme, host, port and the beginning of the path."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

from backbeat.errors import InvalidStep, UnmetNeed

__all__ = ["Pattern", "Target"]

_PORTS = {"http": 80, "https": 443}
_SCHEMES = {"http", "https", "grpc", "grpcs", "file"}


@dataclass(frozen=True, slots=True)
class Target:
    """What an address leads to.

    Args:
        scheme: `http`, `https`, `grpc`, `grpcs` or `file`.
        host: In small letters, without the brackets of IPv6 and without a last dot.
        port: TCP port; 0 of a file.
        path: Decoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Read a URL, or an address such as `oip+http://host:8000/v2/models/churn`.

        Raises:
            InvalidStep: It is none; its credentials, if any, are not shown.
        """
        try:
            parts = urlsplit(url)
            scheme = parts.scheme.rpartition("+")[2]
            port = parts.port or _PORTS.get(scheme, 0)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            scheme, host, port, path = "", "", 0, ""
        else:
            path = unquote(parts.path)
        if not (host or scheme == "file") or not scheme:
            raise InvalidStep(
                f"{url.rpartition('@')[2][:200]!r} is no address to connect to.",
                hint="write <scheme>://<host>[:<port>]/<path>",
            )
        return cls(scheme, host, port, path)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`<scheme>://<host>[:<port>][/<prefix>]`, with `*` for any scheme, any port, or in the host.

    Args:
        scheme: `http`, `https`, `grpc`, `grpcs`, `file` or `*`.
        host: May hold `*` and `?`, as in `*.models.internal`; `*` goes over dots.
        port: `*` is any; the scheme's own where none is written.
        prefix: Whole parts of the path: `/v1` is no prefix of `/v10`.
    """

    scheme: str
    host: str
    port: str
    prefix: str

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Read one line of the list.

        Raises:
            UnmetNeed: It is no pattern; says what one is.
        """
        scheme, mark, rest = text.partition("://")
        authority, slash, prefix = rest.partition("/")
        if authority.startswith("["):
            host, _, port = authority[1:].partition("]")
            port = port.removeprefix(":")
        else:
            host, _, port = authority.partition(":")
        known = scheme == "*" or scheme in _SCHEMES
        written = port in {"", "*"} or (port.isascii() and port.isdigit())
        if not mark or not known or not (host or scheme == "file") or not written or "@" in host:
            raise UnmetNeed(
                f"{text.rpartition('@')[2][:200]!r} says of no address that it is allowed",
                hint="write <scheme>://<host>[:<port>][/<prefix>], such as "
                "https://*.models.internal/v2; * is any scheme, any port, or any part of a host",
            )
        return cls(scheme, host.lower().rstrip("."), port, (slash + prefix).rstrip("/"))

    def matches(self, target: Target) -> bool:
        """Whether an address is one of these."""
        if self.scheme not in {"*", target.scheme} or not fnmatchcase(target.host, self.host):
            return False
        usual = _PORTS.get(target.scheme, 0)
        if self.port != "*" and target.port != int(self.port or usual):
            return False
        if not self.prefix:
            return True
        # the server, or a proxy before it, may take such a path to where the prefix does not lead
        parts = target.path.replace("\\", "/").split("/")
        if any(part in {".", ".."} for part in parts) or "%" in target.path:
            return False
        return target.path == self.prefix or target.path.startswith(self.prefix + "/")
