"""What a quote comes to: both amounts, from the one given and the rate."""

from typing import NamedTuple

from libs.money import exponent
from services.accounts.domain.commands import GiveQuote
from services.accounts.domain.kinds import QuoteSide


class Priced(NamedTuple):
    """Both amounts of a quote, in minor units."""

    sold: int
    bought: int


def priced(quote: GiveQuote) -> Priced:
    """What is not given follows from the rate; rounding is never against the position."""
    up = quote.numerator * 10 ** exponent(quote.bought_currency)
    down = quote.denominator * 10 ** exponent(quote.sold_currency)
    if quote.side == QuoteSide.SOLD:
        return Priced(quote.given, quote.given * up // down)
    return Priced(-(-quote.given * down // up), quote.given)
