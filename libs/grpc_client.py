"""Channels to other services: TLS, token, a deadline on every call, trace, bounded retries."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    ("grpc.min_reconnect_backoff_ms", 100),
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
    outgoing = _Outgoing(token, timeout_s)
    return grpc.aio.secure_channel(
        address,
        _credentials(identity_dir, mutual=mutual),
        options=options,
        interceptors=[_Unary(outgoing), _Streaming(outgoing)],
    )


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

    def details(
        self, details: grpc.aio.ClientCallDetails, *, is_streaming: bool = False
    ) -> grpc.aio.ClientCallDetails:
        """The call as it goes out: deadline, token, trace."""
        timeout_s = details.timeout
        if timeout_s is None:
            timeout_s = STREAM_TIMEOUT_S if is_streaming else self._timeout_s
        left_s = time_left_s()
        if left_s is not None:
            timeout_s = max(min(timeout_s, left_s), _LEAST_S)
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if self._token is not None:
            metadata["authorization"] = f"Bearer {self._token()}"
        for name, value in current_headers().items():
            metadata[name] = value
        return grpc.aio.ClientCallDetails(
            details.method, timeout_s, metadata, details.credentials, details.wait_for_ready
        )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401 - any message
    ) -> Any:  # noqa: ANN401 - grpc's calls are typed by message
        return await continuation(self._outgoing.details(client_call_details), request)


class _Streaming(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401 - any message
    ) -> Any:  # noqa: ANN401 - grpc's calls are typed by message
        details = self._outgoing.details(client_call_details, is_streaming=True)
        return await continuation(details, request)


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
