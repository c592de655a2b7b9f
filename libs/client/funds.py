"""Funds as a wallet back end sees them: the catalogue, orders, plans, holdings, statements."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

import grpc

from hefu.funds.v1 import events_pb2, funds_pb2_grpc
from hefu.funds.v1 import funds_pb2 as pb
from libs.client.calls import PATIENCE_S, check_shape, patiently
from libs.client.errors import HefuError, is_transient
from libs.client.joining import IN_FLIGHT_MAX, Joiner
from libs.decider import FieldViolation
from libs.ids import new_id
from libs.money import Money
from libs.wire import money_to_wire

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


def is_ended(order: pb.FundOrder) -> bool:
    """Whether units and cash of the order are where they belong, or it came to nothing."""
    return order.state in _FINAL


def subscribe(
    investor_id: str, wallet: UUID | str, fund_code: str, amount: Money, warning_id: str = ""
) -> events_pb2.FundOrderTerms:
    """Buy for an amount."""
    kind = events_pb2.FundSubscription(fund_code=fund_code, amount=money_to_wire(amount))
    return events_pb2.FundOrderTerms(
        investor_id=investor_id,
        wallet_account_id=str(wallet),
        subscription=kind,
        warning_id=warning_id,
    )


def redeem(
    investor_id: str, wallet: UUID | str, fund_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Sell shares (at the fund's scale); what a large redemption defers rolls over."""
    kind = events_pb2.FundRedemption(
        fund_code=fund_code, shares=shares, remainder=events_pb2.REMAINDER_ROLL_OVER
    )
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), redemption=kind
    )


def redeem_fast(
    investor_id: str, wallet: UUID | str, fund_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Money-market shares (at the fund's scale) into the wallet at once."""
    kind = events_pb2.FundFastRedemption(fund_code=fund_code, shares=shares)
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), fast_redemption=kind
    )


def switch(
    investor_id: str, wallet: UUID | str, fund_code: str, target_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Shares (at the fund's scale) out of one fund and into another of the same registrar."""
    kind = events_pb2.FundSwitching(
        fund_code=fund_code,
        target_code=target_code,
        shares=shares,
        remainder=events_pb2.REMAINDER_ROLL_OVER,
    )
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), switching=kind
    )


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
        request = pb.GetOrderRequest(order_id=str(order_id))
        check_shape(request)
        response = await patiently(
            lambda: self.stub.GetOrder(request, timeout=CALL_S), self._patience_s
        )
        return response.order

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
        check_shape(request)
        response = await patiently(
            lambda: self.stub.CancelOrder(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, response.position)
        return response.order

    async def funds(self, highest_level: int = 0) -> AsyncIterator[pb.Fund]:
        """The catalogue by code; those not above a risk level, where one is given."""
        request = pb.ListFundsRequest(
            highest_level=highest_level,  # type: ignore[arg-type]
            page_size=_PAGE,
            min_position=self.position,
        )
        while True:
            page = await patiently(
                lambda: self.stub.ListFunds(request, timeout=CALL_S), self._patience_s
            )
            for fund in page.funds:
                yield fund
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def navs(self, code: str, begin: date, end: date) -> AsyncIterator[pb.PublishedNav]:
        """Published prices of a fund between two days, both included, oldest first."""
        request = pb.ListNavsRequest(
            code=code,
            from_date=begin.isoformat(),
            to_date=end.isoformat(),
            page_size=_PAGE,
            min_position=self.position,
        )
        while True:
            page = await patiently(
                lambda: self.stub.ListNavs(request, timeout=CALL_S), self._patience_s
            )
            for nav in page.navs:
                yield nav
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

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
        response = await patiently(
            lambda: self.stub.ListHoldings(request, timeout=CALL_S), self._patience_s
        )
        return response.holdings

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
