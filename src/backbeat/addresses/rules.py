"""The rules: what an address must be to be connected to, as it is written and as it resolves."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from backbeat.addresses.pattern import Pattern, Target
from backbeat.errors import Refused

__all__ = ["AddressRules"]

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

# a machine in a cloud gets its credentials there, and whoever can ask for a URL would get them too
_METADATA = (
    *map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10")),
    *map(
        ipaddress.ip_network,
        (
            "fd00:ec2::/32",  # Amazon
            "fd20:ce::254/128",  # Google
            "168.63.129.16/32",  # Azure
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
        ),
    ),
)
# addresses that carry another one inside
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# 169.254.169.254 is also 2852039166, 0xa9fea9fe and 0251.0376.0251.0376
_NUMERIC = re.compile(r"[0-9a-fA-FxX.]*[0-9][0-9a-fA-FxX.]*")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Allows the addresses of a list; without one, all but link-local and metadata addresses.

    Those stay forbidden beside a list too, unless it holds the very number as a host, as in
    `http://169.254.169.254`.

    Args:
        allowed: The list; None for no list, and an empty one allows nothing.
    """

    allowed: tuple[Pattern, ...] | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> AddressRules:
        """Rules from the lines of a list; raises UnmetNeed where one is no pattern."""
        return cls(tuple(Pattern.of(text) for text in texts))

    def require(self, url: str) -> None:
        """Refuse an address as it is written, before anything is resolved or opened.

        Args:
            url: Such as `https://host/path`, or a model's address.

        Raises:
            Refused: It is not allowed; a retry will not help.
            InvalidStep: It is no address.
        """
        target = Target.of(url)
        shown = _shown(target)
        if self.allowed is not None and not any(each.matches(target) for each in self.allowed):
            raise Refused(
                f"{shown} is not among the addresses that are allowed.",
                hint="let whoever runs this platform add it to BACKBEAT_ALLOWED_ADDRESSES",
            )
        number = _number(target.host)
        if number is not None:
            self.require_ip(number, name=shown)

    def require_ip(self, ip: IP | str, *, name: str) -> None:
        """Refuse what a name resolves to, at the moment of connecting.

        Args:
            ip: The number.
            name: What was resolved, for the message.

        Raises:
            Refused: It is a link-local or metadata address that no rule names.
        """
        number = ipaddress.ip_address(ip) if isinstance(ip, str) else ip
        inner = _inner(number)
        if not any(
            each in network
            for each in {number, inner}
            for network in _METADATA
            if each.version == network.version
        ):
            return
        if any(each.host in {str(number), str(inner)} for each in self.allowed or ()):
            return
        raise Refused(
            f"{name} leads to {inner}, a link-local or metadata address, which is not allowed.",
            hint="give the address of the server itself; where it is that number, let whoever runs "
            "this platform name it in BACKBEAT_ALLOWED_ADDRESSES",
        )


def _number(host: str) -> IP | None:
    """The number that a host is, in any of the ways that the system's resolver reads."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _inner(number: IP) -> IP:
    """The IPv4 address that an IPv6 one stands for, else the number itself, without its zone."""
    if isinstance(number, ipaddress.IPv4Address):
        return number
    plain = ipaddress.IPv6Address(int(number))
    if plain in _NAT64:
        return ipaddress.IPv4Address(int(plain) & 0xFFFFFFFF)
    return plain.ipv4_mapped or plain.sixtofour or plain


def _shown(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    # neither the path nor the query: some servers want secrets there
    return f"{target.scheme}://{host}" + (f":{target.port}" if target.port else "")
