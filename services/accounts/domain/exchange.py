"""Foreign exchange: a quote that holds for one exchange, and the legs of one at a quote."""

from fractions import Fraction

from libs.money import exponent
from services.accounts.domain.book import QUOTE_KEPT_US, Book, Quote
from services.accounts.domain.bounds import Touch
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Amount, Exchange, GiveQuote
from services.accounts.domain.entries import (
    Entry,
    PostedLeg,
    QuoteGiven,
    Rounding,
    RoundingPart,
)
from services.accounts.domain.kinds import Direction, Kind
from services.accounts.domain.quotes import priced
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest

# A rule's name is storage.
INTO_POSITION = "FLOOR_INTO_POSITION"
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
_MICRO = 1_000_000


def give(command: GiveQuote, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that fixes the quote."""
    sold, bought = priced(command)
    fact = QuoteGiven(
        command.quote_id,
        Amount(command.sold_currency, sold),
        Amount(command.bought_currency, bought),
        command.numerator,
        command.denominator,
        command.side,
        command.spread,
        book.page_us + command.expires_after_s * _MICRO,
    )
    return Entry(
        fact,
        command.quote_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        book.business_date,
        book.business_date,
        None,
        (),
    )


def touches_of(exchange: Exchange, book: Book) -> list[Touch]:
    """The accounts an exchange goes through: currencies change in positions only."""
    sold, bought = exchange.sold.currency, exchange.bought.currency
    position = Kind.FX_POSITION
    named = (
        ("seller_account_id", exchange.seller, _DEBIT, sold, None),
        ("sold_position_account_id", exchange.sold_position, _CREDIT, sold, position),
        ("bought_position_account_id", exchange.bought_position, _DEBIT, bought, position),
        ("buyer_account_id", exchange.buyer, _CREDIT, bought, None),
        ("spread_account_id", exchange.spread_account, _CREDIT, bought, Kind.FEE_INCOME),
    )
    accounts = book.accounts
    return [
        Touch(f"exchange.{field}", accounts.get(account_id), direction, currency, kind=kind)
        for field, account_id, direction, currency, kind in named
    ]


def quote_of(exchange: Exchange, caller: Caller, book: Book) -> Quote:
    """Row 30, in its order. Raises `Refused`."""
    quote = book.quotes.get((caller.name, exchange.quote_id))
    if quote is None or quote.given.expires_us <= book.page_us - QUOTE_KEPT_US:
        raise Refused(Reason.QUOTE_NOT_FOUND, "exchange.quote_id", "no such quote")
    given = quote.given
    if quote.is_used:
        raise Refused(Reason.QUOTE_USED, "exchange.quote_id", "an exchange has used it up")
    if book.page_us >= given.expires_us:
        raise Refused(Reason.QUOTE_EXPIRED, "exchange.quote_id", "it has expired")
    for field, asked, fixed in (
        ("sold", exchange.sold, given.sold),
        ("bought", exchange.bought, given.bought),
    ):
        if asked != fixed:
            text = f"the quote says {fixed.minor} {fixed.currency}"
            raise Refused(Reason.QUOTE_TERMS_DIFFER, f"exchange.{field}", text)
    return quote


def legs_of(exchange: Exchange, given: QuoteGiven) -> tuple[tuple[PostedLeg, ...], Rounding]:
    """The entry's legs: both currencies balance, the spread is a leg of its own."""
    (sold_currency, sold), (bought_currency, bought) = given.sold, given.bought
    legs = [
        PostedLeg(exchange.seller, _DEBIT, sold_currency, sold),
        PostedLeg(exchange.sold_position, _CREDIT, sold_currency, sold),
        PostedLeg(exchange.bought_position, _DEBIT, bought_currency, bought),
        PostedLeg(exchange.buyer, _CREDIT, bought_currency, bought - given.spread),
    ]
    if given.spread:
        legs.append(PostedLeg(exchange.spread_account, _CREDIT, bought_currency, given.spread))
    up = given.numerator * 10 ** exponent(bought_currency)
    down = given.denominator * 10 ** exponent(sold_currency)
    left_over = Fraction(sold * up - bought * down, down)
    part = RoundingPart(exchange.bought_position, left_over.numerator, left_over.denominator)
    return tuple(legs), Rounding(INTO_POSITION, (part,) if left_over else ())
