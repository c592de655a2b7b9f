"""Limits over gRPC: set by operators, shown with what is left of each."""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.payments.v1 import limits_pb2 as pb
from hefu.payments.v1 import limits_pb2_grpc
from libs.auth import current_caller
from libs.clock import Clock
from libs.grpc_server import Binding, Policy
from services.payments.domain import limits as d
from services.payments.limiting import Limiting

if TYPE_CHECKING:
    import grpc

_OPERATOR: Final = frozenset({"operator"})
POLICY: Final[Policy] = {
    "LimitsService/SetLimits": _OPERATOR,
    "LimitsService/GetLimits": _OPERATOR,
}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class LimitsApi(limits_pb2_grpc.LimitsServiceServicer):
    def __init__(self, limiting: Limiting, clock: Clock) -> None:
        self._limiting = limiting
        self._clock = clock

    def binding(self) -> Binding:
        add = limits_pb2_grpc.add_LimitsServiceServicer_to_server
        return Binding(add, self, "hefu.payments.v1.LimitsService")

    async def SetLimits(
        self, request: pb.SetLimitsRequest, _context: "Context"
    ) -> pb.SetLimitsResponse:
        limits = tuple(_from_wire(limit) for limit in request.limits)
        command = d.SetLimits(limits, tuple(request.account_ids))
        name = current_caller().name
        position = await self._limiting.set_limits(request.scope, command, name)
        return pb.SetLimitsResponse(position=position)

    async def GetLimits(
        self, request: pb.GetLimitsRequest, _context: "Context"
    ) -> pb.GetLimitsResponse:
        known = await self._limiting.streams.load(request.scope)
        scope, now_ms = known.state, self._clock() // 1_000
        today = await self._limiting.today(NOBODY)
        return pb.GetLimitsResponse(
            limits=[_standing(limit, scope, today, now_ms) for limit in scope.limits],
            account_ids=scope.accounts,
            position=known.position,
            business_date=today,
        )


# Asked for the business date alone: an account that there never is.
NOBODY: Final = "00000000-0000-7000-8000-000000000000"


def _standing(limit: d.Limit, scope: d.Scope, today: str, now_ms: int) -> pb.LimitStanding:
    minor, count = d.left_of(limit, scope, today, now_ms)
    return pb.LimitStanding(limit=_to_wire(limit), left_minor=minor, left_count=count)


def _from_wire(message: pb.Limit) -> d.Limit:
    return d.Limit(
        message.name,
        message.kind,
        message.currency_code,
        d.Span[pb.LimitSpan.Name(message.span).removeprefix("LIMIT_SPAN_")],
        message.amount_max_minor if message.HasField("amount_max_minor") else None,
        message.count_max if message.HasField("count_max") else None,
        d.Mode[pb.LimitMode.Name(message.mode).removeprefix("LIMIT_MODE_")],
        d.Posture[pb.LimitPosture.Name(message.posture).removeprefix("LIMIT_POSTURE_")],
        message.restore_on_refund,
    )


def _to_wire(limit: d.Limit) -> pb.Limit:
    return pb.Limit(
        name=limit.name,
        kind=limit.kind,
        currency_code=limit.currency,
        span=pb.LimitSpan.Value(f"LIMIT_SPAN_{limit.span.name}"),
        amount_max_minor=limit.amount_max,
        count_max=limit.count_max,
        mode=pb.LimitMode.Value(f"LIMIT_MODE_{limit.mode.name}"),
        posture=pb.LimitPosture.Value(f"LIMIT_POSTURE_{limit.posture.name}"),
        restore_on_refund=limit.restore_on_refund,
    )
