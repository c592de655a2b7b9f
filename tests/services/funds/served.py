"""Steps of a served world, through the contract alone."""

from collections.abc import Awaitable

import grpc
import pytest

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from hefu.registrar.v1 import registrar_pb2
from hefu.type.v1 import suitability_pb2
from libs.client.fund_terms import subscribe
from libs.grpc_errors import reason_of
from libs.money import Money
from libs.registrar_files import OrderRow
from libs.wire import time_to_wire
from services.funds.api.messages import to_wire
from services.funds.clients.registrar import package_to_wire
from tests.services.funds.conftest import Served
from tests.services.funds.scripted import FUND, REGISTRAR, Scripted, T, terms
from tests.services.funds.worlds import CURRENCY, INVESTOR, TA, WALLET, at, order_id

BUY = subscribe(INVESTOR, WALLET, FUND, Money(CURRENCY, 1_000_000))


async def reason(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def bring_to_market(served: Served, **changes: object) -> None:
    """Through the contract alone: a registrar, a fund, an investor who may buy it."""
    registrar = to_wire(REGISTRAR, events_pb2.Registrar())
    await served.operator.RegisterRegistrar(pb.RegisterRegistrarRequest(registrar=registrar))
    told = to_wire(terms(**changes), events_pb2.FundTerms())  # type: ignore[arg-type]
    await served.operator.PublishFund(pb.PublishFundRequest(terms=told))
    await served.operator.SetFundClock(
        pb.SetFundClockRequest(now_time=time_to_wire(at("2026-09-24 14:00")))
    )
    await classify(served, suitability_pb2.INVESTOR_CLASS_C4)


async def classify(
    served: Served, investor_class: "suitability_pb2.InvestorClass.ValueType"
) -> None:
    await served.advice.RecordInvestorClass(
        pb.RecordInvestorClassRequest(
            investor_id=INVESTOR,
            investor_class=investor_class,
            valid_until="2030-01-01",
            profile_version=f"v{int(investor_class)}",
        )
    )


async def sent_to_the_registrar(served: Served) -> tuple[Scripted, OrderRow]:
    """Ten thousand at T, in the registrar's hands; who plays it, and the order it has."""
    registrar = Scripted(served.world)
    served.world.journal.balances[WALLET] = 1_000_000
    await served.wallet.place(order_id(1), BUY)
    accepted = pb.FUND_ORDER_STATE_ACCEPTED
    await served.wallet.wait(order_id(1), lambda order: order.state >= accepted)
    await clock(served, f"{T} 15:00")
    await served.operator.RunCutOff(pb.RunCutOffRequest(ta_id=TA, trade_date=T.isoformat()))
    await served.world.until(f"ta_day-{TA}-{T}", "TaDayAcknowledged")
    (order,) = registrar.orders()
    return registrar, order


async def bought(served: Served) -> None:
    """Ten thousand at T, confirmed by the registrar over its own link, and settled."""
    registrar, order = await sent_to_the_registrar(served)
    await deliver(served, registrar, {"07": [registrar.price()]})
    await clock(served, "2026-09-28 09:00")
    rows = {"04": [registrar.bought(order, 989_589, 7_937)], "05": [registrar.balance(989_589)]}
    await deliver(served, registrar, rows)
    await served.wallet.wait(order_id(1))


async def clock(served: Served, text: str) -> None:
    now = time_to_wire(at(text))
    await served.operator.SetFundClock(pb.SetFundClockRequest(now_time=now))


async def deliver(served: Served, registrar: Scripted, contents: dict[str, object]) -> None:
    package = package_to_wire(registrar.package(contents), TA)
    request = registrar_pb2.DeliverFilesRequest(package=package)
    answer = await served.registrar.DeliverFiles(request)
    accepted = registrar_pb2.RECEIPT_OUTCOME_ACCEPTED
    assert all(each.outcome == accepted for each in answer.receipts), answer
