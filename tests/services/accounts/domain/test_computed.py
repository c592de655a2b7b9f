"""Transfers whose amounts the journal computes: balancing, sources in order, splits, exchanges."""

from collections.abc import Callable
from typing import Any

import pytest

from libs.money import MINOR_MAX
from services.accounts.domain.commands import (
    Amount,
    Balancing,
    Computed,
    Correction,
    Exchange,
    GiveQuote,
    Part,
    SetBounds,
    Source,
    Template,
    Transfer,
)
from services.accounts.domain.entries import (
    PostedLeg,
    QuoteGiven,
    Rounding,
    RoundingPart,
    TransferPosted,
)
from services.accounts.domain.journal import Repeated
from services.accounts.domain.kinds import Direction, Kind, QuoteSide
from services.accounts.domain.quotes import priced
from tests.services.accounts.desk import (
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    WALLET,
    Desk,
    banks,
    clearing,
    credit,
    debit,
)


def _posted(desk: Desk, command: Transfer) -> TransferPosted:
    fact = desk.posted(command).fact
    assert isinstance(fact, TransferPosted)
    return fact


def _up_to(desk: Desk, payer: str, payee: str, minor: int, leg: int = 0, keep: int = 0) -> Transfer:
    command = desk.transferring(debit(payer, minor), credit(payee, minor))
    return command._replace(computed=Balancing(leg, keep))


def _templated(
    desk: Desk, minor: int, sources: list[Source], parts: list[Part], whole: int = 0
) -> Transfer:
    template = Template(1, Amount(CZK, minor), tuple(sources), whole, tuple(parts))
    return desk.transferring()._replace(computed=template)


def _capped(desk: Desk, ceiling: int, floor: int | None = None) -> str:
    account_id = desk.account(Kind.CUSTOMER_WALLET if floor is None else Kind.MERCHANT)
    desk.posted(SetBounds(desk.id(), account_id, floor, ceiling, "tier"), OPERATOR)
    return account_id


def test_up_to_moves_what_is_there_and_keeps_what_is_asked() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    desk.posted(desk.placing(payer, 100))

    fact = _posted(desk, _up_to(desk, payer, payee, 1_000, keep=50))

    assert fact.legs == (
        PostedLeg(payer, Direction.DEBIT, CZK, 350),
        PostedLeg(payee, Direction.CREDIT, CZK, 350),
    )
    assert fact.rounding == Rounding("BALANCING", ())
    assert desk.figures(payer) == (150, 100, 50)


def test_up_to_moves_no_more_than_is_asked() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    _posted(desk, _up_to(desk, payer, payee, 200))
    assert desk.figures(payer)[0] == 300


def test_up_to_an_agreed_line_and_up_to_a_ceiling() -> None:
    desk = Desk()
    merchant, wallet = _capped(desk, 10_000, floor=-300), _capped(desk, 1_000)
    promised = desk.posted(desk.placing(desk.account(funds=100), 100, wallet))
    assert promised

    _posted(desk, _up_to(desk, merchant, wallet, 9_999))
    assert desk.figures(merchant)[0] == -300
    _posted(desk, _up_to(desk, desk.account(funds=5_000), wallet, 5_000, leg=1))

    account = desk.book.accounts[wallet]
    assert (account.posted, account.incoming) == (900, 100)


def test_a_debit_normal_account_is_lowered_by_its_credit_leg() -> None:
    desk = Desk()
    wallet, in_transit = desk.account(), desk.account(Kind.IN_TRANSIT_IN)
    mirror = desk.account(Kind.BANK_MIRROR)
    desk.transfer(debit(in_transit, 700), credit(wallet, 700))

    command = desk.transferring(debit(mirror, 900), credit(in_transit, 900))
    desk.posted(command._replace(computed=Balancing(1, 100)), SETTLEMENT)

    assert desk.figures(in_transit)[0] == 100
    kept = desk.transferring(debit(mirror, 900), credit(in_transit, 900))
    keeps = kept._replace(computed=Balancing(0, 100))
    assert desk.turned_away(keeps, SETTLEMENT) == "FIELD_NOT_ALLOWED"


def test_nothing_to_move_is_a_refusal_that_stands() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=50), desk.account()
    command = _up_to(desk, payer, payee, 100, keep=50)
    assert desk.refused(command) == "NOTHING_TO_MOVE"
    desk.fund(payer, 100)
    assert isinstance(desk.do(command), Repeated)


def test_a_repeat_of_up_to_moves_nothing_more() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=50), desk.account()
    command = _up_to(desk, payer, payee, 100)
    _posted(desk, command)
    desk.fund(payer, 100)

    assert isinstance(desk.do(command), Repeated)
    assert desk.figures(payee)[0] == 50
    assert desk.replayed() == desk.book


def test_sources_are_taken_in_their_order_until_the_amount_is_met() -> None:
    desk = Desk()
    first, second, third = (desk.account(funds=400) for _ in range(3))
    payee = desk.account(Kind.MERCHANT)
    sources = [Source(first, 100), Source(second, None), Source(third, None)]

    fact = _posted(desk, _templated(desk, 600, sources, [Part(payee, is_rest=True)]))

    assert [leg.minor for leg in fact.legs] == [100, 400, 100, 600]
    assert desk.figures(payee)[0] == 600


def test_sources_that_are_short_move_nothing() -> None:
    desk = Desk()
    first, second = desk.account(funds=400), desk.account(funds=400)
    payee = desk.account(Kind.MERCHANT)
    sources = [Source(first, 100), Source(second, None)]
    command = _templated(desk, 501, sources, [Part(payee, is_rest=True)])
    assert desk.refused(command) == "BALANCE_TOO_LOW"
    assert desk.figures(first) == (400, 0, 400)


def test_a_split_names_its_rule_and_who_has_the_remainder() -> None:
    desk = Desk()
    payer, fees = desk.account(funds=1_000), desk.account(Kind.FEE_INCOME)
    merchant = desk.account(Kind.MERCHANT)
    parts = [Part(fees, fixed=10), Part(fees, share=150), Part(merchant, is_rest=True)]

    fact = _posted(desk, _templated(desk, 999, [Source(payer, None)], parts, 10_000))

    assert [leg.minor for leg in fact.legs] == [999, 10, 14, 975]
    lost = RoundingPart(merchant, 989 * 150 % 10_000, 10_000)
    assert fact.rounding == Rounding("FLOOR_THEN_REST", (lost,))


def test_units_left_over_are_named_where_they_went() -> None:
    desk = Desk()
    payer, thirds = desk.account(funds=1_000), [desk.account() for _ in range(3)]
    parts = [Part(account_id, share=1) for account_id in thirds]
    fact = _posted(desk, _templated(desk, 100, [Source(payer, None)], parts, 3))
    assert fact.rounding == Rounding("FLOOR_THEN_LIST_ORDER", (RoundingPart(thirds[0], 1, 1),))
    assert [desk.figures(each)[0] for each in thirds] == [34, 33, 33]


def test_a_correction_names_its_entry_and_the_day_it_belongs_to() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=50), desk.account()
    command = desk.transferring(debit(payer, 5), credit(payee, 5))
    fact = _posted(desk, command._replace(corrects=Correction("0.7", "2026-08-01")))
    assert (fact.corrects, fact.corrects_date) == ("0.7", "2026-08-01")
    wrong = desk.transferring(debit(payer, 5), credit(payee, 5))
    entry = wrong._replace(corrects=Correction("7", ""))
    assert desk.turned_away(entry) == "FIELD_NOT_ALLOWED"
    noted = wrong._replace(corrects=Correction("0.7", "1 August"))
    assert desk.turned_away(noted) == "DATE_MALFORMED"


Shape = Callable[[Desk, str, str], Transfer]


def _as(command: Transfer, computed: Computed) -> Transfer:
    return command._replace(computed=computed)


def _template_of(desk: Desk, a: str, b: str, **changed: Any) -> Transfer:  # noqa: ANN401 - any of its fields
    template = Template(1, Amount(CZK, 9), (Source(a, None),), 0, (Part(b, is_rest=True),))
    return _as(desk.transferring(), template._replace(**changed))


SHAPES: list[tuple[str, Shape]] = [
    ("FIELD_NOT_ALLOWED", lambda d, a, b: _up_to(d, a, b, 0, leg=-1)),
    ("FIELD_NOT_ALLOWED", lambda d, a, b: _up_to(d, a, b, 0, keep=-1)),
    ("FIELD_NOT_ALLOWED", lambda d, a, b: _up_to(d, a, b, 0)._replace(obligation=banks(5))),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, _: _as(
            d.transferring(debit(a, 0), clearing(Direction.CREDIT, 0)), Balancing(0, 0)
        ),
    ),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: _as(
            d.transferring(debit(a, 0), credit(b, 1), credit(a, 1)), Balancing(0, 0)
        ),
    ),
    ("AMOUNT_NOT_POSITIVE", lambda d, a, b: _up_to(d, a, b, 0)),
    ("FIELD_NOT_ALLOWED", lambda d, a, b: _template_of(d, a, b, version=2, amount=Amount(CZK, 0))),
    ("FIELD_NOT_ALLOWED", lambda d, a, b: _template_of(d, a, b, parts=(Part(b),))),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: _template_of(d, a, b, parts=(Part(b, share=1, is_rest=True),)),
    ),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: _template_of(d, a, b, sources=(Source(a, 5), Source(a, 5))),
    ),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: _template_of(d, a, b)._replace(legs=(debit(a, 1), credit(b, 1))),
    ),
    ("LEG_COUNT", lambda d, a, b: _template_of(d, a, b, sources=(), amount=Amount(CZK, 0))),
    ("LEG_COUNT", lambda d, a, b: _template_of(d, a, b, parts=(Part(b, share=1),) * 64, whole=64)),
    ("AMOUNT_NOT_POSITIVE", lambda d, a, b: _template_of(d, a, b, amount=Amount("XXX", 0))),
    (
        "AMOUNT_NOT_POSITIVE",
        lambda d, a, b: _template_of(d, a, b, sources=(Source(a, 0),), whole=-1),
    ),
    (
        "AMOUNT_OUT_OF_RANGE",
        lambda d, a, b: _template_of(d, a, b, amount=Amount("XXX", MINOR_MAX + 1)),
    ),
    ("CURRENCY_UNKNOWN", lambda d, a, _: _template_of(d, a, a, amount=Amount("XXX", 1))),
    (
        "SAME_ACCOUNT_BOTH_SIDES",
        lambda d, a, _: _template_of(d, a, a, parts=(Part(a, fixed=1),)),
    ),
    ("SPLIT_INVALID", lambda d, a, b: _template_of(d, a, b, parts=(Part(b, fixed=1),))),
]


@pytest.mark.parametrize(("reason", "command"), SHAPES)
def test_computed_shapes_are_refused_by_their_first_fault(reason: str, command: Shape) -> None:
    desk = Desk()
    a, b = desk.account(funds=5), desk.account()
    entries = len(desk.pages[-1])
    assert desk.turned_away(command(desk, a, b)) == reason
    assert len(desk.pages[-1]) == entries


class Market:
    """Wallets, positions and fees of two currencies."""

    def __init__(self, desk: Desk, sold: str = "CNY", bought: str = "USD") -> None:
        self.desk = desk
        self.sold, self.bought = sold, bought
        self.seller, self.buyer = desk.account(currency=sold), desk.account(currency=bought)
        self.positions = (
            desk.account(Kind.FX_POSITION, sold),
            desk.account(Kind.FX_POSITION, bought),
        )
        self.fees = desk.account(Kind.FEE_INCOME, bought)
        desk.fund(self.seller, 100_000, sold)

    def quoting(self, given: int = 72_500, spread: int = 69, seconds: int = 60) -> GiveQuote:
        """7.20 sold for 1 bought."""
        side = QuoteSide.SOLD
        pair = (self.sold, self.bought)
        return GiveQuote(self.desk.id(), *pair, 100, 720, side, given, spread, seconds, "")

    def exchanging(
        self, quote_id: str, sold: int = 72_500, bought: int = 10_069, fact_key: str = ""
    ) -> Transfer:
        exchange = Exchange(
            quote_id,
            Amount(self.sold, sold),
            Amount(self.bought, bought),
            self.seller,
            self.buyer,
            *self.positions,
            self.fees,
        )
        return self.desk.transferring(fact_key=fact_key)._replace(computed=exchange)


def test_the_exchange_of_the_reference_to_the_cent() -> None:
    desk = Desk()
    market = Market(desk)
    quote = market.quoting()
    given = desk.posted(quote).fact
    assert isinstance(given, QuoteGiven)
    assert (given.sold, given.bought) == (Amount("CNY", 72_500), Amount("USD", 10_069))

    fact = _posted(desk, market.exchanging(quote.quote_id))

    in_yuan, in_dollars = market.positions
    assert fact.legs == (
        PostedLeg(market.seller, Direction.DEBIT, "CNY", 72_500),
        PostedLeg(in_yuan, Direction.CREDIT, "CNY", 72_500),
        PostedLeg(in_dollars, Direction.DEBIT, "USD", 10_069),
        PostedLeg(market.buyer, Direction.CREDIT, "USD", 10_000),
        PostedLeg(market.fees, Direction.CREDIT, "USD", 69),
    )
    # 725 / 7.20 is 100.69 and 4/9 of a cent, which stays in the position.
    kept = RoundingPart(in_dollars, 4, 9)
    assert fact.rounding == Rounding("FLOOR_INTO_POSITION", (kept,))
    assert fact.quote_id == quote.quote_id
    assert desk.figures(market.buyer)[0] == 10_000


def test_what_is_bought_may_be_given_and_what_is_sold_is_rounded_up() -> None:
    quote = GiveQuote("q", "CNY", "USD", 100, 720, QuoteSide.BOUGHT, 10_069, 69, 60, "")
    assert priced(quote) == (72_497, 10_069)
    assert 72_497 * 100 // 720 == 10_069 > 72_496 * 100 // 720


def test_currencies_of_other_exponents_are_exchanged_in_their_own_units() -> None:
    yen = GiveQuote("q", "JPY", "KWD", 21, 10_000, QuoteSide.SOLD, 1_000, 0, 60, "")
    assert priced(yen) == (1_000, 2_100)
    dinars = GiveQuote("q", "KWD", "JPY", 10_000, 21, QuoteSide.SOLD, 2_100, 0, 60, "")
    assert priced(dinars) == (2_100, 1_000)


def test_an_exchange_without_spread_has_no_leg_for_it() -> None:
    desk = Desk()
    market = Market(desk)
    quote = market.quoting(spread=0)
    desk.posted(quote)
    assert len(_posted(desk, market.exchanging(quote.quote_id)).legs) == 4


def test_a_quote_is_used_once_until_it_expires_and_as_it_was_agreed() -> None:
    desk = Desk()
    market = Market(desk)
    quote, lapsing = market.quoting(1_000, 1), market.quoting(1_000, 1)
    desk.posted(quote)
    desk.posted(lapsing)
    assert desk.refused(market.exchanging(desk.id())) == "QUOTE_NOT_FOUND"
    other = market.exchanging(quote.quote_id, 1_000, 139)
    assert desk.refused(other) == "QUOTE_TERMS_DIFFER"

    desk.posted(market.exchanging(quote.quote_id, 1_000, 138))

    assert desk.refused(market.exchanging(quote.quote_id, 1_000, 138)) == "QUOTE_USED"
    desk.turn_page(seconds=60)
    assert desk.refused(market.exchanging(quote.quote_id, 9, 9)) == "QUOTE_USED"
    assert desk.refused(market.exchanging(lapsing.quote_id, 9, 9)) == "QUOTE_EXPIRED"
    desk.turn_page(seconds=86_400)
    assert desk.refused(market.exchanging(lapsing.quote_id, 1_000, 138)) == "QUOTE_NOT_FOUND"
    assert desk.replayed() == desk.book


def test_a_refused_exchange_leaves_its_quote() -> None:
    desk = Desk()
    market = Market(desk)
    quote = market.quoting(200_000, 1)
    desk.posted(quote)
    assert desk.refused(market.exchanging(quote.quote_id, 200_000, 27_777)) == "BALANCE_TOO_LOW"
    desk.fund(market.seller, 200_000, "CNY")
    desk.posted(market.exchanging(quote.quote_id, 200_000, 27_777))


def test_a_quote_belongs_to_its_caller() -> None:
    desk = Desk()
    market = Market(desk)
    quote = market.quoting()
    desk.posted(quote, WALLET)
    assert desk.refused(market.exchanging(quote.quote_id), PAYMENTS) == "QUOTE_NOT_FOUND"


def test_currencies_change_in_positions_only() -> None:
    desk = Desk()
    market = Market(desk)
    quote = market.quoting()
    desk.posted(quote)
    market.positions = (desk.account(Kind.FEE_INCOME, "CNY"), market.positions[1])
    assert desk.refused(market.exchanging(quote.quote_id)) == "ROUTE_NOT_ALLOWED"


def test_quotes_come_before_facts_and_facts_before_balances() -> None:
    desk = Desk()
    market = Market(desk)
    first, second = market.quoting(), market.quoting(200_000, 1)
    desk.posted(first)
    desk.posted(second)
    desk.posted(market.exchanging(first.quote_id, fact_key="swap"))
    unknown = market.exchanging(desk.id(), 200_000, fact_key="swap")
    assert desk.refused(unknown) == "QUOTE_NOT_FOUND"
    again = market.exchanging(second.quote_id, 200_000, 27_777, "swap")
    assert desk.refused(again) == "FACT_ALREADY_POSTED"
    poor = market.exchanging(second.quote_id, 200_000, 27_777)
    assert desk.refused(poor) == "BALANCE_TOO_LOW"


QUOTES: list[tuple[str, dict[str, object]]] = [
    ("FIELD_NOT_ALLOWED", {"side": 0, "given": 0}),
    ("FIELD_NOT_ALLOWED", {"numerator": 0}),
    ("FIELD_NOT_ALLOWED", {"denominator": 10**12 + 1}),
    ("FIELD_NOT_ALLOWED", {"spread": -1}),
    ("FIELD_NOT_ALLOWED", {"expires_after_s": 0}),
    ("FIELD_NOT_ALLOWED", {"bought_currency": "CNY"}),
    ("AMOUNT_NOT_POSITIVE", {"given": 0, "bought_currency": "XXX"}),
    ("AMOUNT_NOT_POSITIVE", {"spread": 10_069}),
    ("AMOUNT_OUT_OF_RANGE", {"given": MINOR_MAX, "numerator": 10**12, "denominator": 1}),
    ("CURRENCY_UNKNOWN", {"bought_currency": "XXX"}),
]


@pytest.mark.parametrize(("reason", "changed"), QUOTES)
def test_the_shape_of_a_quote(reason: str, changed: dict[str, object]) -> None:
    desk = Desk()
    quote = Market(desk).quoting()
    assert desk.turned_away(quote._replace(**changed)) == reason  # type: ignore[arg-type]
