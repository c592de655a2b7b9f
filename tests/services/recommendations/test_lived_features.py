"""Cash, fees, falls, gates and what was turned down: features in a stored list, and rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.event_store import NO_STREAM
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import listing
from tests.services.recommendations.test_point_in_time import issued, rebuilt
from tests.services.recommendations.worlds import (
    DAY_US,
    TODAY,
    WALLET_ACCOUNT,
    Told,
    proposal_id,
    weekdays,
)

MILLION = 1_000_000
Event: TypeAlias = tuple[str, Mapping[str, object]]


async def bought(told: Told, name: str, code: str, minor: int, fee: int) -> str:
    """An order that was funded and confirmed; its id."""
    order_id = str(uuid4())
    amount = {"currency_code": "CNY", "minor_units": str(minor)}
    terms = {"investor_id": name, "subscription": {"fund_code": code, "amount": amount}}
    row = {"amount_minor": str(minor), "fee_minor": str(fee)}
    events: Sequence[Event] = [
        ("FundOrderPlaced", {"order_id": order_id, "terms": terms}),
        ("FundOrderFunded", {"journal_position": "1"}),
        ("FundOrderConfirmed", {"confirmation": row}),
    ]
    await told.tell(f"fund_order-{order_id}", "funds", events, NO_STREAM)
    return order_id


async def sold(told: Told, name: str, code: str, minor: int, fee: int) -> None:
    """An order whose proceeds are in the wallet; a fast one's went to the bank."""
    for kind, position in (("redemption", "7"), ("fast_redemption", "0")):
        order_id = str(uuid4())
        terms = {"investor_id": name, kind: {"fund_code": code, "shares": "100"}}
        row = {"amount_minor": str(minor), "fee_minor": str(fee)}
        paid = {"row_id": "r", "amount_minor": str(minor), "journal_position": position}
        events: Sequence[Event] = [
            ("FundOrderPlaced", {"order_id": order_id, "terms": terms}),
            ("FundOrderConfirmed", {"confirmation": row}),
            ("FundOrderPartPaid", paid),
        ]
        await told.tell(f"fund_order-{order_id}", "funds", events, NO_STREAM)


async def refunded(told: Told, minor: int) -> None:
    """A payment to a merchant that was given back."""
    id_ = str(uuid4())
    paid = {"payer_account_id": WALLET_ACCOUNT, "merchant_account_id": str(uuid4())}
    amount = {"currency_code": "CNY", "minor_units": str(minor)}
    terms = {"amount": amount, "merchant_payment": paid}
    events: Sequence[Event] = [
        ("PaymentRequested", {"payment_id": id_, "terms": terms}),
        ("PaymentCompleted", {}),
        ("PaymentRefundCompleted", {"refund_id": "r", "amount_minor": str(minor)}),
    ]
    await told.tell(f"payment-{id_}", "payments", events, NO_STREAM)


async def features_of(served: Served, number: int) -> dict[str, int]:
    found = await issued(served, number)
    assert await rebuilt(served.world, found) == found.feature_hash, "the log proves it"
    return dict(found.features)


async def test_cash_and_fees_are_those_of_all_that_payments_and_orders_moved(
    served: Served,
) -> None:
    world, told = served.world, served.world.told
    name = await served.investor("anna")
    await told.top_up(WALLET_ACCOUNT, 1_000_000)
    await refunded(told, 30_000)
    order_id = await bought(told, name, "000001", 400_000, 400)
    await sold(told, name, "000001", 50_000, 250)
    await told.lot(name, "000001", 350_000)
    await world.heard(served.parts)

    await served.wallet.ListRecommendations(listing(name, 1))
    before = await features_of(served, 1)
    amended = {"amount_minor": "400000", "fee_minor": "400"}
    lower = {"amount_minor": "300000", "fee_minor": "300"}
    events: Sequence[Event] = [
        ("FundOrderConfirmationAmended", {"before": amended, "after": lower}),
        ("FundOrderReturned", {"amount_minor": "100000"}),
    ]
    await told.tell(f"fund_order-{order_id}", "funds", events)
    await world.heard(served.parts)
    await served.wallet.ListRecommendations(listing(name, 2))
    after = await features_of(served, 2)

    # 1,000,000 in, 400,000 into the fund, 50,000 out of it again; 350,000 are held.
    assert before["held_minor:CNY"] == 350_000 * MILLION
    assert before["cash_share:CNY"] == 650_000
    assert before["fees_paid_365d:CNY"] == 900 * MILLION
    assert before["realised_fee:CNY"] == 900 * MILLION // 500_000
    assert after["cash_share:CNY"] == 750_000 * MILLION // 1_100_000
    assert after["realised_fee:CNY"] == 800 * MILLION // 400_000
    assert await features_of(served, 1) == before


async def paid_in(told: Told, currency: str, minor: int) -> None:
    """A top-up in a currency."""
    id_ = str(uuid4())
    amount = {"currency_code": currency, "minor_units": str(minor)}
    terms = {"amount": amount, "top_up": {"wallet_account_id": WALLET_ACCOUNT}}
    events: Sequence[Event] = [
        ("PaymentRequested", {"payment_id": id_, "terms": terms}),
        ("PaymentCompleted", {}),
    ]
    await told.tell(f"payment-{id_}", "payments", events, NO_STREAM)


async def test_money_of_several_currencies_is_told_by_currency_and_older_sets_add_it(
    served: Served,
) -> None:
    world, told = served.world, served.world.told
    name = await served.investor("anna")
    for code, currency in (("00000J", "JPY"), ("00000U", "USD")):
        await told.fund(code, 2, "BOND", currency=currency)
        await told.navs(code, 260)
        price = {"nav_date": TODAY.isoformat(), "nav": "10000"}
        await told.again(code, "FundNavPublished", {"nav": price})
    for currency, minor in (("CNY", 1_000_000), ("USD", 50_000), ("JPY", 9_000)):
        await paid_in(told, currency, minor)
    await bought(told, name, "00000U", 20_000, 40)
    await sold(told, name, "00000J", 3_000, 30)
    await told.lot(name, "00000U", 20_000)
    await told.lot(name, "00000J", 100_000)
    await told.lot(name, "000002", 480_000)
    await world.heard(served.parts)

    await served.wallet.ListRecommendations(listing(name, 1))
    found = await features_of(served, 1)
    stored = await issued(served, 1)

    # A share of a yen fund at 1.0000 is worth one yen, which has no hundredths.
    assert found["held_minor:JPY"] == 1_000 * MILLION
    assert found["held_minor:USD"] == 20_000 * MILLION
    assert found["cash_share:CNY"] == 1_000_000 * MILLION // (
        1_000_000 + found["held_minor:CNY"] // MILLION
    )
    assert found["cash_share:USD"] == 30_000 * MILLION // 50_000
    assert found["cash_share:JPY"] == 12_000 * MILLION // 13_000
    assert found["realised_fee:USD"] == 40 * MILLION // 20_000
    assert found["realised_fee:JPY"] == 60 * MILLION // 6_000
    assert "realised_fee:CNY" not in found
    assert found["holding:00000U"] == found["holding:000002"] == MILLION
    assert found["funds_held"] == 3 * MILLION
    assert await rebuilt(world, replace(stored, feature_set="4")) != stored.feature_hash
    # What is held in dollars and yen crowds nobody's holdings in yuan.
    refused = {each[0]: set(each[1]) for each in stored.refused}
    assert "000002" in refused["CONCENTRATION"]
    assert not {"00000U", "00000J"} & refused["CONCENTRATION"]


async def test_a_booking_that_was_reversed_is_not_held_beside_what_it_is_now(
    served: Served,
) -> None:
    world, told = served.world, served.world.told
    name = await served.investor("anna")
    day = {"confirm_date": "2026-10-01"}
    sale = {"row_id": "s", "parts": [{"shares": "40000"}], **day}
    first: Sequence[Event] = [
        ("HoldingLotAdded", {"row_id": "r", "shares": "100000", **day}),
        ("HoldingLotAdded", {"row_id": "q", "shares": "7000", **day}),
        ("HoldingSharesRedeemed", sale),
    ]
    stream = f"holding-{name}-000001"
    await told.tell(stream, "funds", first)
    await world.heard(served.parts)
    await served.wallet.ListRecommendations(listing(name, 1))
    undone: Event = ("HoldingBookingReversed", {"row_id": "r", "proposal_id": "p"})
    again: Sequence[Event] = [
        undone,
        ("HoldingLotAdded", {"row_id": "r", "shares": "90000", "taken": "40000", **day}),
        undone,
        ("HoldingLotAdded", {"row_id": "r", "shares": "80000", "taken": "40000", **day}),
    ]
    await told.tell(stream, "funds", again)
    await world.heard(served.parts)
    await served.wallet.ListRecommendations(listing(name, 2))

    assert (await features_of(served, 1))["held_minor:CNY"] == 67_000 * MILLION
    assert (await features_of(served, 2))["held_minor:CNY"] == 47_000 * MILLION


async def test_a_fall_is_lived_through_by_who_held_the_fund_then(served: Served) -> None:
    world, told = served.world, served.world.told
    long, new = await served.investor("anna"), await served.investor("boris")
    await told.lot(long, "000004", 90_000, day="2020-01-02")
    await told.lot(new, "000004", 90_000, day=TODAY.isoformat())
    await world.heard(served.parts)

    await served.wallet.ListRecommendations(listing(long, 1))
    await served.wallet.ListRecommendations(listing(new, 2))

    assert (await features_of(served, 1))["fall_lived:CNY"] > 10_000
    assert "fall_lived:CNY" not in await features_of(served, 2), "not one evening yet"


async def test_a_dismissed_list_is_remembered_of_each_fund_it_held(served: Served) -> None:
    name = await served.investor("anna")
    first = (await served.wallet.ListRecommendations(listing(name, 1))).proposal
    dismissal = pb.DismissProposalRequest(
        proposal_id=proposal_id(1), request_id=str(uuid4()), cause="NOT_NOW"
    )
    await served.wallet.DismissProposal(dismissal)
    await served.world.heard(served.parts)

    about = await served.parts.advice.known(name)
    await served.wallet.ListRecommendations(listing(name, 2))

    turned_down = {fact.fund_code for fact in about.facts if fact.kind == "TURNED_DOWN"}
    assert turned_down == {item.fund_code for item in first.issued.items}
    assert about.features["dismissals"] == MILLION
    await features_of(served, 2)
    # A change of the fund does not end what was ended.
    await served.world.told.again(
        first.issued.items[0].fund_code, "FundStatusChanged", {"status": "FUND_STATUS_CLOSED"}
    )
    await served.world.heard(served.parts)
    assert await served.world.names(f"proposal-{proposal_id(1)}") == [
        "RecommendationIssued",
        "ProposalDismissed",
    ]


async def test_gates_of_a_fund_are_counted_up_to_its_newest_price(served: Served) -> None:
    world, told = served.world, served.world.told
    shut, open_again = {"status": "FUND_STATUS_PAUSED_OUT"}, {"status": "FUND_STATUS_OPEN"}
    for status in (shut, open_again, shut, shut):
        await told.again("000002", "FundStatusChanged", status)
    shelf = served.parts.shelf
    await world.heard(served.parts)
    before = (await shelf.features_of(["000002"], shelf.catalogue))["000002"]
    price = {"nav_date": TODAY.isoformat(), "nav": "10000"}
    await told.again("000002", "FundNavPublished", {"nav": price})
    await told.again("000002", "FundStatusChanged", open_again)
    await world.heard(served.parts)

    found = (await shelf.features_of(["000002"], shelf.catalogue))["000002"]

    assert (before["gates"], before["gated"]) == (0, 0)
    assert (found["gates"], found["gated"]) == (2 * MILLION, MILLION)
    name = await served.investor("anna")
    issued_with = await served.wallet.ListRecommendations(listing(name, 1))
    assert issued_with.proposal.issued.items
    await features_of(served, 1)


async def test_a_large_redemption_that_is_deferred_gates_the_fund_for_two_prices(
    served: Served,
) -> None:
    world, told, shelf = served.world, served.world.told, served.parts.shelf
    days = weekdays(3, TODAY)
    name = await served.investor("anna")
    body = {"fund_code": "000002", "trade_date": days[-1], "rolls_over": True, "shares": "5"}
    for order in ("o1", "o2"):
        events = [("FundOrderPartlyConfirmed", {"confirmation": body})]
        await told.tell(f"fund_order-{order}", "funds", events)
    await world.heard(served.parts)

    gated = shelf.catalogue.find("000002")
    before = (await shelf.features_of(["000002"], shelf.catalogue))["000002"]
    listed = (await served.wallet.ListRecommendations(listing(name, 1))).proposal.issued

    assert gated is not None
    assert gated.is_gated
    assert (before["deferrals"], before["deferring"]) == (0, 0), "its newest price came before"
    assert "000002" not in {item.fund_code for item in listed.items}
    assert "000002" in next(r.fund_codes for r in listed.refused if r.code == "PRODUCT_EXCLUDED")

    following = [TODAY + timedelta(days=n) for n in (1, 2)]
    found = []
    for day in following:
        world.now_us += DAY_US
        price = {"nav_date": day.isoformat(), "nav": "10000"}
        await told.again("000002", "FundNavPublished", {"nav": price})
        await world.heard(served.parts)
        features = (await shelf.features_of(["000002"], shelf.catalogue))["000002"]
        fund = shelf.catalogue.find("000002")
        assert fund is not None
        found.append((features["deferrals"], features["deferring"], fund.is_gated))

    assert found == [(MILLION, MILLION, True), (MILLION, 0, False)]
