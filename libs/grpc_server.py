"""A gRPC server: TLS, one policy for every call, bounds, health, and a stop that loses nothing."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health, health_pb2_grpc

from libs.auth import ROLES, Verifier
from libs.failure import StartFailed
from libs.grpc_callers import Identify, by_certificate, by_token
from libs.grpc_edge import Edge, Quick
from libs.grpc_lasting import Lasting

T = TypeVar("T")

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
METADATA_BYTES_MAX = 8 * 1024
CONCURRENT_MAX = 4_096
DRAIN_S = 10.0
_STREAM_GRACE_S = 0.2

# "PaymentsService/CreatePayment" -> who may: a role, or one service as "service:payments".
Policy: TypeAlias = Mapping[str, frozenset[str]]

_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a second process on our port is an error, not a silent sharing
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", CONCURRENT_MAX),
    # Calls that arrive faster than they are taken up wait; by default some of them are cut instead.
    ("grpc.server.max_pending_requests", 2 * CONCURRENT_MAX),
    ("grpc.server.max_pending_requests_hard_limit", 4 * CONCURRENT_MAX),
    # Idle subscriptions stay alive by their own pings.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Connections are renewed now and then, so that new servers get their share.
    ("grpc.max_connection_age_ms", 3_600_000),
    ("grpc.max_connection_age_grace_ms", 600_000),
]


@dataclass(frozen=True, slots=True)
class Binding:
    """A service: how it is added to a server, what serves it, and its full name."""

    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    service: str
    # By method: a way past messages, for calls whose reading would cost more than their work.
    quick: Mapping[str, Quick[Any]] = field(default_factory=dict)
    # By method: those whose messages each stand for a call of another one.
    lasting: Mapping[str, Lasting] = field(default_factory=dict)

    def by_method(self, ways: Mapping[str, T]) -> Iterator[tuple[str, T]]:
        """Ways of methods by their full names."""
        return ((f"/{self.service}/{method}", way) for method, way in ways.items())


@dataclass(frozen=True, slots=True)
class Serving:
    """A server at work."""

    server: grpc.aio.Server
    bound_port: int

    async def wait_for_termination(self) -> None:
        """Wait until it is stopped."""
        await self.server.wait_for_termination()


@asynccontextmanager
async def serve(  # noqa: PLR0913 - a server is told all of it
    port: int,
    bindings: Sequence[Binding],
    policy: Policy,
    identity_dir: Path,
    *,
    verifier: Verifier | None = None,
    mutual: bool = False,
    host: str = "localhost",
    max_concurrent: int = CONCURRENT_MAX,
) -> AsyncIterator[Serving]:
    """Serve until the block is left. Port 0: a free one, see `bound_port`. Raises `StartFailed`.

    Callers are named by token (`verifier`) or, with `mutual`, by client certificate. No third way.
    """
    rules = rules_of(bindings, policy)
    edge = Edge(
        rules,
        _identify(verifier, mutual=mutual),
        max_concurrent,
        {name: quick for each in bindings for name, quick in each.by_method(each.quick)},
        {name: lasting for each in bindings for name, lasting in each.by_method(each.lasting)},
    )
    server = grpc.aio.server(
        interceptors=[edge], options=_OPTIONS, maximum_concurrent_rpcs=max_concurrent
    )
    for binding in bindings:
        binding.add(binding.servicer, server)
    is_healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(is_healthy, server)
    bound_port = _bind(server, host, port, _credentials(identity_dir, mutual=mutual))
    await server.start()
    try:
        yield Serving(server, bound_port)
    finally:
        await is_healthy.enter_graceful_shutdown()
        await _drain(edge, server)


def rules_of(bindings: Sequence[Binding], policy: Policy) -> dict[str, frozenset[str]]:
    """The policy by full method name. Raises `StartFailed` unless it names every RPC, no other."""
    pool = Default()
    rules: dict[str, frozenset[str]] = {}
    names: set[str] = set()
    for binding in bindings:
        service = pool.FindServiceByName(binding.service)
        for method in service.methods:
            name = f"{service.name}/{method.name}"
            if not policy.get(name):
                raise StartFailed(
                    f"{name} has no policy: nobody is allowed by default, nor is it served"
                )
            names.add(name)
            rules[f"/{service.full_name}/{method.name}"] = frozenset(policy[name])
    for name in sorted(policy.keys() - names):
        raise StartFailed(f"the policy names {name}, which is not served here")
    for who in sorted({who for roles in rules.values() for who in roles}):
        if who.partition(":")[0] not in ROLES:
            raise StartFailed(f"the policy names {who!r}, which is no role")
    return rules


def _identify(verifier: Verifier | None, *, mutual: bool) -> Identify:
    if mutual:
        return by_certificate
    if verifier is None:
        raise StartFailed("a server needs tokens or client certificates: it serves nobody unknown")
    return by_token(verifier)


async def _drain(edge: Edge, server: grpc.aio.Server) -> None:
    # New calls are told to come again; those under way are finished; streams are cut, they resume.
    await edge.drain(DRAIN_S)
    await server.stop(_STREAM_GRACE_S)


def _bind(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials
) -> int:
    try:
        return server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError as error:
        raise StartFailed(
            f"port {port} is in use: stop what uses it (`hefu down`), or choose others: "
            "`make up PORT_OFFSET=1000`"
        ) from error


def _credentials(identity_dir: Path, *, mutual: bool) -> grpc.ServerCredentials:
    try:
        key, chain, authority = (
            (identity_dir / name).read_bytes() for name in ("key.pem", "cert.pem", "ca.pem")
        )
    except OSError as error:
        raise StartFailed(
            f"no certificate in {identity_dir}: `hefu up` makes one (`make clean` starts anew)"
        ) from error
    return grpc.ssl_server_credentials(
        [(key, chain)], authority if mutual else None, require_client_auth=mutual
    )
