"""The gRPC server: the calls it serves, who may make them, and refusals turned into statuses."""

import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from libs.telemetry import get_logger
from services.eventstore import api_appends, errors, policy
from services.eventstore.api_appends import Appends
from services.eventstore.api_read import StreamsRead
from services.eventstore.api_streams import StreamsWrites
from services.eventstore.api_v2 import StreamsV2
from services.eventstore.errors import Refusal
from services.eventstore.gossip import Gossip, supported_methods
from services.eventstore.model import StoreError
from services.eventstore.protocol import shared, streams, v2
from services.eventstore.users import Role, User, Users

_MESSAGE_BYTES_MAX: Final = 17 * 1024 * 1024
_CALLS_MAX: Final = 4_096
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # A second process must not share the port in silence.
    ("grpc.so_reuseport", 0),
    # With the defaults, keep-alive pings on an idle subscription end it after two minutes.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

# The context's type is that of the call; here all calls are alike.
Behaviour: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its shape, how its messages are read and written, and who answers."""

    takes_many: bool
    gives_many: bool
    parse: Callable[[bytes], Any]
    answer: Behaviour
    encode: Callable[[Any], bytes] | None

    def handler(self, behaviour: Behaviour) -> "grpc.RpcMethodHandler[Any, Any]":
        """The handler that gRPC wants, around a behaviour."""
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[self.takes_many, self.gives_many]
        handler: grpc.RpcMethodHandler[Any, Any] = make(
            behaviour, request_deserializer=self.parse, response_serializer=self.encode
        )
        return handler


def health_calls(health: HealthServicer) -> dict[str, Call]:
    """The standard health service: served from the first moment."""
    one, many = False, True
    check = health_pb2.HealthCheckRequest.FromString
    return {
        "/grpc.health.v1.Health/Check": Call(one, one, check, health.Check, _encode),
        "/grpc.health.v1.Health/Watch": Call(one, many, check, health.Watch, _encode),
    }


def store_calls(
    read: StreamsRead, writes: StreamsWrites, second: StreamsV2, appends: Appends, gossip: Gossip
) -> dict[str, Call]:
    """What is served once the store is proven, by full name."""
    encode = _encode
    v1 = "/event_store.client.streams.Streams"
    v2_service = "/kurrentdb.protocol.v2.streams.StreamsService"
    features = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods"
    one, many = False, True
    empty = shared.Empty.FromString
    batch = streams.BatchAppendReq.FromString
    return {
        f"{v1}/Read": Call(one, many, streams.ReadReq.FromString, read.read, None),
        f"{v1}/Append": Call(many, one, streams.AppendReq.FromString, writes.append, encode),
        f"{v1}/BatchAppend": Call(many, many, batch, writes.batch_append, encode),
        f"{v1}/Delete": Call(one, one, streams.DeleteReq.FromString, writes.delete, encode),
        f"{v1}/Tombstone": Call(
            one, one, streams.TombstoneReq.FromString, writes.tombstone, encode
        ),
        f"{v2_service}/AppendSession": Call(
            many, one, v2.AppendRequest.FromString, second.append_session, encode
        ),
        f"{v2_service}/AppendRecords": Call(
            one, one, v2.AppendRecordsRequest.FromString, second.append_records, encode
        ),
        api_appends.METHOD: Call(
            many,
            many,
            api_appends.read_request,
            appends.append_continuously,
            encode,
        ),
        "/event_store.client.gossip.Gossip/Read": Call(one, one, empty, gossip.read, encode),
        features: Call(one, one, empty, supported_methods, encode),
    }


class Gate(grpc.GenericRpcHandler):
    """Finds the handler of a call and lets in who may make it; closed until `open`."""

    def __init__(self, users: Users, rules: Mapping[str, Role | None] = policy.POLICY) -> None:
        self._users = users
        self._rules = rules
        self._served: dict[str, Call] = {}
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def open(self, served: Mapping[str, Call]) -> None:
        """Serve these calls from now on; StoreError when one of them has no rule."""
        policy.require_complete(served, self._rules)
        self._served.update(served)
        for name, call in served.items():
            self._handlers[name] = call.handler(_refusing(call.answer))

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Called once for each call, before its first message is read."""
        name = handler_call_details.method
        if name not in self._rules:
            return None
        call = self._served.get(name)
        if call is None:
            return _NOT_READY
        role = self._rules[name]
        if role is None:
            return self._handlers[name]
        header = _authorization(handler_call_details)
        user = self._users.remembered(header)
        if user is not None and user.role >= role:
            return self._handlers[name]
        return call.handler(_refusing(self._checked(name, call, header, role)))

    def _checked(self, name: str, call: Call, header: bytes, role: Role) -> Behaviour:
        async def behave(request: Any, context: Any) -> Any:  # noqa: ANN401
            if self._users.is_busy:
                raise Refusal(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "too many credentials are being checked"
                )
            user = self._users.remembered(header) or await self._users.check(header)
            _require(user, role, name)
            return await call.answer(request, context)

        return behave


def _require(user: User | None, role: Role, name: str) -> None:
    if user is None:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "the credentials are missing or not good")
    if user.role < role:
        _log.warning("access_denied", caller=user.name, method=name)
        raise Refusal(
            grpc.StatusCode.PERMISSION_DENIED,
            f"{user.name} is a {user.role.name.lower()}: this call is for a {role.name.lower()}",
            (("exception", "access-denied"),),
        )


def _refusing(behaviour: Behaviour) -> Behaviour:
    async def behave(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            return await behaviour(request, context)
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.text, refusal.trailers)

    return behave


async def _not_ready(_request: object, _context: object) -> None:
    raise errors.not_ready()


# Whatever the shape of the call: the refusal comes before any message.
_NOT_READY: "grpc.RpcMethodHandler[Any, Any]" = grpc.stream_stream_rpc_method_handler(
    _refusing(_not_ready)
)


def _authorization(details: grpc.HandlerCallDetails) -> bytes:
    for key, value in details.invocation_metadata or ():
        if key == "authorization":
            return value if isinstance(value, bytes) else value.encode()
    return b""


def _encode(message: Any) -> bytes:  # noqa: ANN401 - any protobuf message
    encoded: bytes = message.SerializeToString()
    return encoded


def make_server(
    gate: Gate, certificate: bytes, key: bytes, host: str, port: int
) -> tuple[grpc.aio.Server, int]:
    """A server bound to an address, `localhost` in both families, and the port it got."""
    _require_free(host, port)
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_CALLS_MAX)
    server.add_generic_rpc_handlers((gate,))
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    try:
        bound = server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError:
        bound = 0
    if bound == 0:
        message = f"cannot listen on {host}:{port}: is the TLS certificate the one of the key?"
        raise StoreError(message)
    return server, bound


def _require_free(host: str, port: int) -> None:
    """Say in our own words, before gRPC does in its, that an address cannot be had."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"cannot listen on {host}: {error.strerror}"
        raise StoreError(message) from None
    for family, kind, _, _, address in addresses:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    message = f"port {port} is in use: stop who has it, or set HEFU_PORT"
                    raise StoreError(message) from None


def read_file(path: Path) -> bytes:
    """A file the server cannot do without."""
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise StoreError(message) from None


def make_health() -> HealthServicer:
    """The standard health service."""
    return HealthServicer()
