"""Unary calls over gRPC: bytes in, bytes out; what they mean is the protocol's affair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backbeat.errors import BackbeatError, InvalidAnswer, Refused, UnmetNeed, Unreachable
from backbeat.inference.message import Request, Response
from backbeat.inference.tls import Tls

if TYPE_CHECKING:
    from backbeat.inference.credentials import Credentials

__all__ = ["GrpcTransport"]

_LARGEST_ANSWER = 2**28


class GrpcTransport:
    """Carries requests over one gRPC channel.

    A status that the server has set is an answer, and in the Response; what the channel itself
    says, because nobody answers, is an error. No proxy is taken from the environment.

    Args:
        authority: `host:port`.
        tls: Certificates; None for a channel in the clear.
        credentials: Who we are; their origin is `grpcs://host:port`.
        largest_answer: In bytes.
    """

    def __init__(
        self,
        authority: str,
        *,
        tls: Tls | None = None,
        credentials: Credentials | None = None,
        largest_answer: int = _LARGEST_ANSWER,
    ) -> None:
        self._authority = authority
        self._tls = tls
        self._credentials = credentials
        self._largest = largest_answer
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    async def send(self, request: Request, *, seconds: float) -> Response:
        """Call a method and read its answer.

        Args:
            request: `url` is the full method, `headers` the metadata.
            seconds: For everything; the server is told.

        Raises:
            Unreachable: No connection, or no answer in time; a retry can help.
            Refused: The server's certificate is not trusted, or it does not trust ours.
            InvalidAnswer: The answer is larger than allowed.
            UnmetNeed: grpcio is not installed.
        """
        grpc = _grpc()
        call = await self._method(request.url)
        metadata = dict(request.headers)
        if self._credentials is not None:
            scheme = "grpcs" if self._tls else "grpc"
            metadata |= await self._credentials.headers(f"{scheme}://{self._authority}", None)
        body = request.body[0] if len(request.body) == 1 else b"".join(request.body)
        under_way = call(bytes(body), timeout=seconds, metadata=tuple(metadata.items()))
        try:
            answer = await under_way
        except grpc.aio.AioRpcError as error:
            return self._status(error, seconds)
        return Response(status=0, headers=_text(await under_way.trailing_metadata()), body=answer)

    async def aclose(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            await channel.close()

    async def _method(self, name: str) -> Any:
        if name not in self._methods:
            if self._channel is None:
                await self._require_numbers()
                self._channel = self._channel or self._open()
            self._methods[name] = self._channel.unary_unary(name)
        return self._methods[name]

    async def _require_numbers(self) -> None:
        from backbeat.addresses.pinned import pinned

        host, _, port = self._authority.rpartition(":")
        try:
            await pinned(host.strip("[]"), int(port))
        except OSError:
            return  # the channel says that the name is not known

    def _open(self) -> Any:
        grpc = _grpc()
        options = [
            ("grpc.max_receive_message_length", self._largest),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.primary_user_agent", "backbeat"),
        ]
        if self._tls is None:
            return grpc.aio.insecure_channel(self._authority, options=options)
        secret = grpc.ssl_channel_credentials(
            root_certificates=self._tls.read("authorities"),
            private_key=self._tls.read("key"),
            certificate_chain=self._tls.read("certificate"),
        )
        return grpc.aio.secure_channel(self._authority, secret, options=options)

    def _status(self, error: Any, seconds: float) -> Response:
        """An error that the server has set as an answer; raises what the channel itself says."""
        grpc = _grpc()
        code, said = error.code(), error.details() or ""
        failure: BackbeatError | None = None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            failure = Unreachable(
                f"{self._authority} did not answer within {seconds:.3g} s.",
                hint="give it more time, send fewer rows in a request, or look at its load",
            )
        elif (
            code is grpc.StatusCode.RESOURCE_EXHAUSTED
            and "larger than max" in said
            # a server says the same of a request
            and not said.startswith("SERVER:")
        ):
            failure = InvalidAnswer(
                f"The answer of {self._authority} is larger than {self._largest} bytes.",
                hint="send fewer rows in a request, or allow larger answers",
            )
        elif code is grpc.StatusCode.UNAVAILABLE and _is_of_tls(said):
            failure = Refused(
                f"{self._authority} and this client do not agree on TLS.",
                hint="look at both certificates, and whether the port speaks TLS",
            )
        elif code is grpc.StatusCode.UNAVAILABLE and _is_of_the_channel(said):
            failure = Unreachable(
                f"{self._authority} cannot be reached.",
                hint="look whether the server runs there and lets this machine in",
            )
        if failure is not None:
            raise failure from None
        headers = {**_text(error.trailing_metadata()), "grpc-message": said}
        return Response(status=code.value[0], headers=headers)


def _grpc() -> Any:
    try:
        import grpc
        import grpc.aio
    except ImportError as error:
        raise UnmetNeed(
            "This address goes over gRPC, and grpcio is not installed.",
            hint='install "backbeat[grpc]"',
        ) from error
    return grpc


def _text(metadata: Any) -> dict[str, str]:
    return {name: value for name, value in metadata or () if isinstance(value, str)}


def _is_of_tls(said: str) -> bool:
    return any(word in said for word in ("SSL", "CERTIFICATE", "certificate", "handshak"))


def _is_of_the_channel(said: str) -> bool:
    return any(word in said for word in ("onnect", "Socket closed", "DNS", "reset", "ping timeout"))
