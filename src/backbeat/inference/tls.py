"""TLS to a model server: whom it must be certified by, and how we certify ourselves."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from backbeat.errors import InvalidStep

__all__ = ["Tls"]


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificates, in PEM; a path is read when it is first needed.

    Args:
        authorities: Who may certify the server; those that the system trusts where None.
        certificate: Ours, with what lies between it and its authority; none where None.
        key: Of our certificate; looked for in `certificate` where None.
        password: Of the key.
    """

    authorities: bytes | Path | None = None
    certificate: bytes | Path | None = None
    key: bytes | Path | None = field(default=None, repr=False)
    password: SecretStr | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """For `ssl`, with its defaults: host names are checked, TLS 1.2 is the least.

        Raises:
            InvalidStep: A file is missing, no PEM, or the key is of another certificate; a retry
                will not help.
        """
        authorities = self.read("authorities")
        certificate, key = self.read("certificate"), self.read("key")
        try:
            # PEM is ASCII; anything else is no certificate
            trusted = authorities.decode("ascii") if authorities else None
            context = ssl.create_default_context(cadata=trusted)
            if certificate:
                self._certify(context, certificate + b"\n" + (key or b""))
        except (ssl.SSLError, ValueError) as error:
            raise InvalidStep(
                "The certificates for TLS cannot be used: "
                f"{getattr(error, 'reason', None) or 'they are not PEM'}.",
                hint="give PEM, with the key that the certificate was made for",
            ) from error
        return context

    def read(self, name: str) -> bytes | None:
        """PEM of one of the fields, None where it is not given; raises InvalidStep."""
        given: bytes | Path | None = getattr(self, name)
        if not isinstance(given, Path):
            return given
        try:
            return given.read_bytes()
        except OSError as error:
            raise InvalidStep(
                f"The {name} of TLS cannot be read: {given}: {error.strerror}.",
                hint="look at the path, and at who may read it",
            ) from error

    def _certify(self, context: ssl.SSLContext, chain: bytes) -> None:
        password = self.password.get_secret_value() if self.password else ""
        # `ssl` reads files only; this one is readable by us alone, and gone with the block.
        # Without a password it would ask at the terminal for that of an encrypted key
        with tempfile.NamedTemporaryFile() as file:
            file.write(chain)
            file.flush()
            context.load_cert_chain(file.name, password=password)
