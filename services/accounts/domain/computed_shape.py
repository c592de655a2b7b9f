"""Transfers whose amounts the journal computes, and quotes, by themselves."""

from libs.money import MINOR_MAX
from services.accounts.domain.commands import (
    Amount,
    Asked,
    Balancing,
    Exchange,
    GiveQuote,
    ObligationTerms,
    Template,
    Transfer,
)
from services.accounts.domain.fields import amounts, check_obligation, currencies, texts
from services.accounts.domain.kinds import QuoteSide
from services.accounts.domain.legs import LEGS_MAX, LEGS_MIN, first_fault
from services.accounts.domain.quotes import priced
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.splits import check_split

TEMPLATE_VERSION = 1
BALANCING_LEGS = 2
# With a currency's decimals, both terms of a rate stay within an int64.
RATE_MAX = 10**12
QUOTE_S_MAX = 86_400
_QUOTE_SIDES = tuple(int(side) for side in QuoteSide)


def check_computed(command: Transfer, computed: Asked) -> None:
    """The shape of a transfer whose amounts the journal computes. Raises `Refused`."""
    if isinstance(computed, Balancing):
        _balancing(command, computed)
        return
    if command.legs:
        text = "none, where a template or an exchange says what moves"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "legs", text)
    texts(purpose=command.purpose, correlation_id=command.correlation_id, fact_key=command.fact_key)
    if isinstance(computed, Template):
        _template(command, computed)
    else:
        _exchange(command, computed)


def _balancing(command: Transfer, balancing: Balancing) -> None:
    at, keep = balancing
    if len(command.legs) != BALANCING_LEGS or not 0 <= at < BALANCING_LEGS:
        text = "allowed on one leg of a two-leg transfer"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "legs.up_to", text)
    field = f"legs[{at}].up_to"
    if command.obligation is not None or any(leg.bank_id for leg in command.legs):
        raise Refused(Reason.FIELD_NOT_ALLOWED, field, "not between us and a bank")
    if not 0 <= keep <= MINOR_MAX:
        raise Refused(Reason.FIELD_NOT_ALLOWED, f"{field}.keep_minor", f"0 to {MINOR_MAX}")
    first_fault(command)


def _template(command: Transfer, template: Template) -> None:
    sources, parts = template.sources, template.parts
    texts(**{f"template.sources[{n}].account_id": s.account_id for n, s in enumerate(sources)})
    texts(**{f"template.parts[{n}].account_id": p.account_id for n, p in enumerate(parts)})
    if template.version != TEMPLATE_VERSION:
        text = f"only {TEMPLATE_VERSION} is known"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "template.version", text)
    for n, part in enumerate(parts):
        if [part.fixed is None, part.share is None, not part.is_rest].count(False) != 1:
            text = "a fixed amount, a share or the rest"
            raise Refused(Reason.FIELD_NOT_ALLOWED, f"template.parts[{n}]", text)
    debited = [source.account_id for source in sources]
    if len(set(debited)) != len(debited):
        text = "an account stands in it once"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "template.sources", text)
    check_obligation(command.obligation)
    if not sources or not parts or len(sources) + len(parts) > LEGS_MAX:
        raise Refused(Reason.LEG_COUNT, "template", f"{LEGS_MIN} to {LEGS_MAX}")
    code = template.amount.currency
    named = {"template.amount": template.amount}
    named |= {
        f"template.sources[{n}].max_minor": Amount(code, source.at_most)
        for n, source in enumerate(sources)
        if source.at_most is not None
    }
    named |= {
        f"template.parts[{n}].fixed_minor": Amount(code, part.fixed)
        for n, part in enumerate(parts)
        if part.fixed is not None
    }
    values: dict[str, Amount | ObligationTerms] = dict(named)
    if command.obligation is not None:
        values["obligation.amount"] = command.obligation
    amounts(list(values.values()), list(values))
    for n, part in enumerate(parts):
        if part.account_id in debited:
            text = "debited and credited in one entry"
            field = f"template.parts[{n}].account_id"
            raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, field, text)
    check_split(template.amount.minor, template.whole, parts)


def _exchange(command: Transfer, exchange: Exchange) -> None:
    _, sold, bought, *accounts = exchange
    texts(exchange="".join([exchange.quote_id, *accounts]))
    if command.obligation is not None:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "obligation", "not in an exchange")
    if sold.currency == bought.currency:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "exchange.bought", "the currency that is sold")
    amounts((sold, bought), ("exchange.sold", "exchange.bought"))
    if len(set(accounts)) != len(accounts):
        text = "five different accounts"
        raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, "exchange", text)


def check_quote(quote: GiveQuote) -> None:
    """Raises `Refused`."""
    texts(correlation_id=quote.correlation_id)
    if quote.side not in _QUOTE_SIDES:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "side", "sold or bought")
    for field in ("numerator", "denominator"):
        if not 0 < getattr(quote, field) <= RATE_MAX:
            raise Refused(Reason.FIELD_NOT_ALLOWED, f"rate_{field}", f"1 to {RATE_MAX}")
    if not 0 <= quote.spread <= MINOR_MAX:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "spread_minor", f"0 to {MINOR_MAX}")
    if not 0 < quote.expires_after_s <= QUOTE_S_MAX:
        text = f"1 to {QUOTE_S_MAX} seconds"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "expires_after_s", text)
    if quote.sold_currency == quote.bought_currency:
        text = "the currency that is sold"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "bought_currency_code", text)
    is_sold = quote.side == QuoteSide.SOLD
    given = Amount(quote.sold_currency if is_sold else quote.bought_currency, quote.given)
    amounts((given,), ("given_minor",))
    codes = (quote.sold_currency, quote.bought_currency)
    currencies(codes, ("sold_currency_code", "bought_currency_code"))
    sold, bought = priced(quote)
    if bought <= quote.spread:
        text = f"{bought} bought leave nothing after the spread"
        raise Refused(Reason.AMOUNT_NOT_POSITIVE, "given_minor", text)
    if max(sold, bought) > MINOR_MAX:
        raise Refused(Reason.AMOUNT_OUT_OF_RANGE, "given_minor", f"at most {MINOR_MAX}")
