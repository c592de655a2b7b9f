"""Calls to funds: orders of an accepted proposal, and the class an investor has now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from hefu.funds.v1 import events_pb2 as funds_events_pb
from hefu.funds.v1 import funds_pb2 as funds_pb
from hefu.funds.v1 import funds_pb2_grpc
from hefu.type.v1.suitability_pb2 import InvestorClass as InvestorClassPb
from libs.client.calls import check_shape
from libs.client.errors import HefuError, error_of
from libs.client.errors import is_transient as may_repeat
from libs.money import Money
from libs.suitability import InvestorClass
from libs.transient import Unavailable
from libs.wire import money_to_wire

CALL_S: Final = 10.0
# Of an order in another state it is not known yet.
_PAID: Final[Mapping[int, bool]] = {
    funds_pb.FUND_ORDER_STATE_SETTLED: True,
    funds_pb.FUND_ORDER_STATE_CANCELLED: False,
    funds_pb.FUND_ORDER_STATE_REJECTED: False,
}


@dataclass(frozen=True, slots=True)
class Order:
    """`amount` buys; without it `shares` are sold."""

    order_id: str
    investor_id: str
    account_id: str
    fund_code: str
    proposal_id: str
    amount: Money | None
    shares: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Funds would not take it, on its own account."""

    reason: str
    description: str = ""


class Funds(Protocol):
    """Funds. All raise `Unavailable`: then the same call again, with the same ids."""

    async def place(self, order: Order) -> Refused | None:
        """Ask for an order, kept there by its id; None: taken."""
        ...

    async def has_paid(self, order_id: str) -> bool | None:
        """Whether what was sold by an order that was taken has brought its money; None: not yet."""
        ...

    async def record_class(
        self, investor_id: str, found: InvestorClass, valid_until: str, version: str
    ) -> Refused | None:
        """Tell an investor's class, and until which date (ISO 8601) it holds."""
        ...


class GrpcFunds(Funds):
    """Funds over gRPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: funds_pb2_grpc.FundsServiceAsyncStub = funds_pb2_grpc.FundsServiceStub(channel)

    async def place(self, order: Order) -> Refused | None:
        terms = funds_events_pb.FundOrderTerms(
            investor_id=order.investor_id,
            wallet_account_id=order.account_id,
            recommendation_id=order.proposal_id,
        )
        if order.amount is not None:
            terms.subscription.fund_code = order.fund_code
            terms.subscription.amount.CopyFrom(money_to_wire(order.amount))
        else:
            terms.redemption.fund_code = order.fund_code
            terms.redemption.shares = order.shares
        request = funds_pb.PlaceOrderRequest(order_id=order.order_id, terms=terms)
        try:
            check_shape(request)
            await self._stub.PlaceOrder(request, timeout=CALL_S)
        except HefuError as error:
            return Refused(error.reason, str(error))
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        return None

    async def has_paid(self, order_id: str) -> bool | None:
        request = funds_pb.GetOrderRequest(order_id=order_id)
        try:
            answer = await self._stub.GetOrder(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            refused = _refused(error)
            raise Unavailable(f"{order_id}: {refused.reason}") from error
        return _PAID.get(answer.order.state)

    async def record_class(
        self, investor_id: str, found: InvestorClass, valid_until: str, version: str
    ) -> Refused | None:
        request = funds_pb.RecordInvestorClassRequest(
            investor_id=investor_id,
            investor_class=InvestorClassPb.ValueType(int(found)),
            valid_until=valid_until,
            profile_version=version,
        )
        try:
            await self._stub.RecordInvestorClass(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        return None


def _refused(error: grpc.aio.AioRpcError) -> Refused:
    if may_repeat(error):
        raise Unavailable(error.details() or error.code().name) from error
    found = error_of(error)
    return Refused(found.reason, found.description)
