"""Channels to other services: TLS, token, a deadline on every call, trace, bounded retries."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc

from libs.auth import host_of
from libs.failure import StartFailed
from libs.grpc_edge import time_left_s
from libs.telemetry import current_headers

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
TIMEOUT_S = 10.0
STREAM_TIMEOUT_S = 3_600.0
TOKEN_READ_EVERY_S = 30.0
_LEAST_S = 0.001

# Every command of ours carries its idempotency key, so the same may be sent again.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A peer that was restarted is found again quickly.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also the least time that one attempt, TLS handshake and all, may take.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.lb_policy_name", "round_robin"),
]


def open_channel(
    address: str,
    identity_dir: Path,
    *,
    mutual: bool = False,
    server_identity: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> grpc.aio.Channel:
    """A channel to `host:port`, as the identity in the folder. Raises `StartFailed` without one.

    With `mutual` the certificate names us and nothing is ever sent twice; else a token does.
    `server_identity` (`hefu://bank/CD`) is the name the server's certificate must carry. Calls that
    set no deadline get `timeout_s`; all of them end with the call they are part of.
    """
    if mutual:
        options = [*_OPTIONS, ("grpc.enable_retries", 0)]
        token: Callable[[], str] | None = None
    else:
        options = [*_OPTIONS, ("grpc.service_config", json.dumps(_RETRIES))]
        token = _Token(identity_dir / "token.jwt").read
    if server_identity is not None:
        options.append(("grpc.ssl_target_name_override", host_of(server_identity)))
    channel = grpc.aio.secure_channel(
        address, _credentials(identity_dir, mutual=mutual), options=options
    )
    return _Channel(channel, _Outgoing(token, timeout_s))


class _Token:
    """A token file, read again now and then: tokens are renewed while we run."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._text = ""
        self._read_at_s = 0.0
        self.read()

    def read(self) -> str:
        now_s = time.monotonic()
        if not self._text or now_s - self._read_at_s > TOKEN_READ_EVERY_S:
            try:
                self._text = self._file.read_text().strip()
            except OSError as error:
                if not self._text:
                    raise StartFailed(f"no token at {self._file}: `hefu up` makes one") from error
            self._read_at_s = now_s
        return self._text


class _Outgoing:
    def __init__(self, token: Callable[[], str] | None, timeout_s: float) -> None:
        self._token = token
        self._timeout_s = timeout_s

    def options(
        self,
        timeout_s: float | None,
        metadata: Any,  # noqa: ANN401 - grpc takes several shapes
        *,
        is_streaming: bool,
    ) -> dict[str, Any]:
        """How a call goes out: deadline, token, trace."""
        if timeout_s is None:
            timeout_s = STREAM_TIMEOUT_S if is_streaming else self._timeout_s
        left_s = time_left_s()
        if left_s is not None:
            timeout_s = max(min(timeout_s, left_s), _LEAST_S)
        sent = [*(metadata or ()), *current_headers().items()]
        if self._token is not None:
            sent.append(("authorization", f"Bearer {self._token()}"))
        return {"timeout": timeout_s, "metadata": sent}


class _Channel(grpc.aio.Channel):
    """A channel whose calls go out as `_Outgoing` says.

    Not interceptors: those run in a task of their own, which knows nothing of the deadline of the
    task that calls, and they cost as much as the call.
    """

    def __init__(self, channel: grpc.aio.Channel, outgoing: _Outgoing) -> None:
        self._channel = channel
        self._outgoing = outgoing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - grpc's own signature
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - typed by message
        return self._calling(self._channel.unary_unary(*args, **kwargs), is_streaming=False)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        return self._calling(self._channel.unary_stream(*args, **kwargs), is_streaming=True)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        return self._calling(self._channel.stream_unary(*args, **kwargs), is_streaming=True)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        return self._calling(self._channel.stream_stream(*args, **kwargs), is_streaming=True)

    def _calling(self, send: Any, *, is_streaming: bool) -> Any:  # noqa: ANN401 - as above
        def call(
            request: Any = None,  # noqa: ANN401 - as above
            *,
            timeout: float | None = None,
            metadata: Any = None,  # noqa: ANN401 - grpc takes several shapes
            **kwargs: Any,  # noqa: ANN401 - as above
        ) -> Any:  # noqa: ANN401 - as above
            options = self._outgoing.options(timeout, metadata, is_streaming=is_streaming)
            return send(request, **options, **kwargs)

        return call


def _credentials(identity_dir: Path, *, mutual: bool) -> grpc.ChannelCredentials:
    try:
        authority = (identity_dir / "ca.pem").read_bytes()
        key = (identity_dir / "key.pem").read_bytes() if mutual else None
        chain = (identity_dir / "cert.pem").read_bytes() if mutual else None
    except OSError as error:
        raise StartFailed(
            f"no certificate in {identity_dir}: `hefu up` makes one (`make clean` starts anew)"
        ) from error
    return grpc.ssl_channel_credentials(authority, key, chain)
