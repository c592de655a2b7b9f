"""Funds as a wallet back end sees them: the catalogue, orders, plans, holdings, statements."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from typing import Final, Protocol, TypeVar
from uuid import UUID

import grpc
from google.protobuf.message import Message

from hefu.funds.v1 import events_pb2, funds_pb2_grpc
from hefu.funds.v1 import funds_pb2 as pb
from libs.client.calls import PATIENCE_S, check_shape, patiently
from libs.client.errors import HefuError, is_transient
from libs.client.joining import IN_FLIGHT_MAX, Joiner
from libs.decider import FieldViolation
from libs.ids import new_id

CALL_S: Final = 20.0
_STREAM_S: Final = 300.0
_PAGE: Final = 1_000
_AGAIN_S: Final = 0.2
_FINAL: Final = frozenset(
    {
        pb.FUND_ORDER_STATE_SETTLED,
        pb.FUND_ORDER_STATE_AMENDED,
        pb.FUND_ORDER_STATE_CANCELLED,
        pb.FUND_ORDER_STATE_REJECTED,
    }
)


class _Page(Protocol):
    next_page_token: str


class _Paged(Protocol):
    page_token: str


class _Positioned(Protocol):
    position: int


A = TypeVar("A")
P = TypeVar("P", bound=_Page)
S = TypeVar("S", bound=_Positioned)


def is_ended(order: pb.FundOrder) -> bool:
    """Whether units and cash of the order are where they belong, or it came to nothing."""
    return order.state in _FINAL


class FundsClient:
    """Funds of one caller. Positions are the event store's; reads see this client's writes."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        patience_s: float = PATIENCE_S,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self.stub: funds_pb2_grpc.FundsServiceAsyncStub = funds_pb2_grpc.FundsServiceStub(channel)
        self.position = 0
        self._patience_s = patience_s
        self._joiner: Joiner[pb.PlaceOrderRequest, pb.PlaceOrderResult] = Joiner(
            self._place_many,
            lambda result: result.refusal.reason,
            in_flight_max=in_flight_max,
            patience_s=patience_s,
        )

    async def place(self, order_id: UUID | str, terms: events_pb2.FundOrderTerms) -> pb.FundOrder:
        """Ask for an order, and answer it as it stands; same id and terms again: the same order.

        Store the id (UUIDv7) with your own order first. Raises `HefuError`; `Unanswered` where it
        is not known: ask again with the same id.
        """
        request = pb.PlaceOrderRequest(order_id=str(order_id), terms=terms)
        check_shape(request)
        result = await self._joiner.submit(request)
        if result.HasField("refusal"):
            refusal = result.refusal
            fields = [FieldViolation(each.field, each.description) for each in refusal.fields]
            raise HefuError(refusal.reason, refusal.description, fields)
        return result.order

    async def get(self, order_id: UUID | str) -> pb.FundOrder:
        """The order as it stands."""
        request = pb.GetOrderRequest(order_id=str(order_id), min_position=self.position)
        return (await self._ask(self.stub.GetOrder, request)).order

    async def wait(
        self, order_id: UUID | str, until: Callable[[pb.FundOrder], bool] = is_ended
    ) -> pb.FundOrder:
        """The order once `until` holds of it. Waits without bound: use `asyncio.timeout`."""
        order = await self.get(order_id)
        if until(order):
            return order
        async for change in self.watch([order_id], self.position):
            if until(change.order):
                return change.order
        raise AssertionError("orders are watched for ever")

    async def watch(
        self, order_ids: Sequence[UUID | str] = (), after: int = 0
    ) -> AsyncIterator[pb.WatchOrdersResponse]:
        """Changes after a position, for ever, of these orders or of all of this caller's."""
        while True:
            request = pb.WatchOrdersRequest(
                after_position=after, order_ids=[str(each) for each in order_ids]
            )
            try:
                async for change in self.stub.WatchOrders(request, timeout=_STREAM_S):
                    after = change.position
                    yield change
            except grpc.aio.AioRpcError as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(_AGAIN_S)

    async def cancel(self, order_id: UUID | str) -> pb.FundOrder:
        """Cancel an order strictly before its cut-off. Raises `HefuError` (CUTOFF_PASSED)."""
        request = pb.CancelOrderRequest(order_id=str(order_id), request_id=str(new_id()))
        return self._seen(await self._ask(self.stub.CancelOrder, request)).order

    async def fund(self, code: str) -> pb.Fund:
        """One fund: its terms, documents and latest price."""
        request = pb.GetFundRequest(code=code, min_position=self.position)
        return (await self._ask(self.stub.GetFund, request)).fund

    async def funds(self, highest_level: int = 0) -> AsyncIterator[pb.Fund]:
        """The catalogue by code; those not above a risk level, where one is given."""
        request = pb.ListFundsRequest(
            highest_level=highest_level,  # type: ignore[arg-type]
            page_size=_PAGE,
            min_position=self.position,
        )
        async for page in self._pages(self.stub.ListFunds, request):
            for fund in page.funds:
                yield fund

    async def navs(self, code: str, begin: date, end: date) -> AsyncIterator[pb.PublishedNav]:
        """Published prices of a fund between two days, both included, oldest first."""
        request = pb.ListNavsRequest(
            code=code,
            from_date=begin.isoformat(),
            to_date=end.isoformat(),
            page_size=_PAGE,
            min_position=self.position,
        )
        async for page in self._pages(self.stub.ListNavs, request):
            for nav in page.navs:
                yield nav

    async def holdings(
        self, investor_id: str, *, with_returns: bool = False
    ) -> Sequence[pb.Holding]:
        """An investor's holdings, with the yearly return of each where asked for."""
        request = pb.ListHoldingsRequest(
            investor_id=investor_id,
            page_size=_PAGE,
            with_returns=with_returns,
            min_position=self.position,
        )
        return (await self._ask(self.stub.ListHoldings, request)).holdings

    async def statement(
        self, investor_id: str, begin: date | None = None, end: date | None = None
    ) -> AsyncIterator[pb.StatementLine]:
        """What moved an investor's units between two days, both included, oldest first."""
        request = pb.ListStatementLinesRequest(
            investor_id=investor_id,
            from_date="" if begin is None else begin.isoformat(),
            to_date="" if end is None else end.isoformat(),
            page_size=_PAGE,
            min_position=self.position,
        )
        async for page in self._pages(self.stub.ListStatementLines, request):
            for line in page.lines:
                yield line

    async def begin_plan(self, plan_id: UUID | str, terms: events_pb2.PlanTerms) -> pb.Plan:
        """Begin a regular plan; same id and terms again: the same plan."""
        request = pb.CreatePlanRequest(plan_id=str(plan_id), terms=terms)
        return self._seen(await self._ask(self.stub.CreatePlan, request)).plan

    async def stop_plan(self, plan_id: UUID | str) -> pb.Plan:
        """End a regular plan for good; what it bought stays."""
        request = pb.StopPlanRequest(plan_id=str(plan_id), request_id=str(new_id()))
        return self._seen(await self._ask(self.stub.StopPlan, request)).plan

    async def plans(self, investor_id: str) -> AsyncIterator[pb.Plan]:
        """An investor's regular plans, with when each is due next."""
        request = pb.ListPlansRequest(
            investor_id=investor_id, page_size=_PAGE, min_position=self.position
        )
        async for page in self._pages(self.stub.ListPlans, request):
            for plan in page.plans:
                yield plan

    async def confirm_again(
        self, investor_id: str, fund_code: str, warning_id: UUID | str = ""
    ) -> str:
        """The investor insists; the id goes into the order's `second_confirmation_id`."""
        request = pb.ConfirmAgainRequest(
            investor_id=investor_id,
            fund_code=fund_code,
            confirmation_id=str(new_id()),
            warning_id=str(warning_id),
        )
        return self._seen(await self._ask(self.stub.ConfirmAgain, request)).confirmation_id

    async def close(self) -> None:
        """Give up what is in flight."""
        await self._joiner.close()

    async def _place_many(
        self, orders: Sequence[pb.PlaceOrderRequest]
    ) -> Sequence[pb.PlaceOrderResult]:
        request = pb.PlaceOrdersRequest(orders=orders)
        response = await self.stub.PlaceOrders(request, timeout=CALL_S)
        self.position = max(self.position, response.position)
        return response.results

    async def _ask(self, call: Callable[..., Awaitable[A]], request: Message) -> A:
        check_shape(request)
        return await patiently(lambda: call(request, timeout=CALL_S), self._patience_s)

    async def _pages(self, call: Callable[..., Awaitable[P]], request: _Paged) -> AsyncIterator[P]:
        while True:
            page = await patiently(lambda: call(request, timeout=CALL_S), self._patience_s)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _seen(self, answer: S) -> S:
        self.position = max(self.position, answer.position)
        return answer
