"""A server of the operations contract behind the real edge, and channels to it, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from hefu.operations.v1 import operations_pb2 as pb
from hefu.operations.v1 import operations_pb2_grpc
from libs.auth import Caller, Verifier, current_caller
from libs.authority import Identity, establish
from libs.grpc_client import open_channel
from libs.grpc_server import Binding, Policy, Serving, serve

SERVICE = "hefu.operations.v1.OperationsService"
IDENTITIES = (
    Identity("accounts"),
    Identity("payments"),
    Identity("operator"),
    Identity("wallet"),
    Identity("settlement", signs=True),
    Identity("bank-CD", signs=True),
    Identity("bank-EF", signs=True),
)
POLICY: Policy = {
    "OperationsService/GetStatus": frozenset({"operator", "service:settlement", "bank"}),
    "OperationsService/ListReadModels": frozenset({"operator"}),
    "OperationsService/ReplayReadModel": frozenset({"operator"}),
}


@dataclass
class Operations(operations_pb2_grpc.OperationsServiceServicer):
    """Answers by `status`; remembers who called and under what headers."""

    status: Callable[[], Awaitable[pb.GetStatusResponse]] | None = None
    callers: list[Caller] = field(default_factory=list)

    async def GetStatus(self, request: Any, context: Any) -> pb.GetStatusResponse:  # noqa: N802, ANN401, ARG002
        self.callers.append(current_caller())
        if self.status is not None:
            return await self.status()
        return pb.GetStatusResponse(service=current_caller().name)

    async def ListReadModels(self, request: Any, context: Any) -> pb.ListReadModelsResponse:  # noqa: N802, ANN401, ARG002
        if self.status is not None:
            await self.status()
        return pb.ListReadModelsResponse()

    async def ReplayReadModel(  # noqa: N802
        self,
        request: pb.ReplayReadModelRequest,
        context: Any,  # noqa: ANN401, ARG002
    ) -> AsyncIterator[pb.ReplayReadModelResponse]:
        for events in range(3):
            yield pb.ReplayReadModelResponse(events=events)
        if request.name == "for ever":
            await asyncio.Event().wait()

    def binding(self) -> Binding:
        return Binding(operations_pb2_grpc.add_OperationsServiceServicer_to_server, self, SERVICE)


def identities(run_dir: Path) -> Path:
    establish(run_dir, IDENTITIES)
    return run_dir / "identities"


@asynccontextmanager
async def served(
    run_dir: Path,
    servicer: Operations,
    policy: Policy = POLICY,
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[Serving]:
    folder = identities(run_dir)
    verifier = Verifier(run_dir / "authority" / "token.pub")
    async with serve(
        0, [servicer.binding()], policy, folder / "accounts", verifier=verifier, **options
    ) as serving:
        yield serving


def channel_of(run_dir: Path, serving: Serving, name: str, **options: Any) -> grpc.aio.Channel:  # noqa: ANN401
    return open_channel(f"localhost:{serving.bound_port}", run_dir / "identities" / name, **options)


def bare_channel(run_dir: Path, serving: Serving) -> grpc.aio.Channel:
    """TLS, and nothing of ours: no token, no deadline."""
    authority = (run_dir / "authority" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority)
    return grpc.aio.secure_channel(f"localhost:{serving.bound_port}", credentials)


def token_of(run_dir: Path, name: str) -> tuple[str, str]:
    return "authorization", f"Bearer {(run_dir / 'identities' / name / 'token.jwt').read_text()}"
