"""Fields of commands by themselves: texts, amounts, currencies, days, obligations."""

import re
from collections.abc import Sequence
from datetime import date

from libs.money import MINOR_MAX, CurrencyUnknown, exponent
from services.accounts.domain.commands import Amount, Leg, ObligationTerms
from services.accounts.domain.kinds import Favour
from services.accounts.domain.refusals import Reason, Refused

INT64_MAX = 2**63 - 1
FAVOURS = (int(Favour.OURS), int(Favour.BANK))
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def texts(**named: str) -> None:
    """No control characters: terms are joined by one."""
    for field, text in named.items():
        if CONTROL.search(text):
            raise Refused(Reason.FIELD_NOT_ALLOWED, field, "control characters")


def amounts(
    values: Sequence[Amount | Leg | ObligationTerms], fields: Sequence[str], *, sum_of_legs: int = 0
) -> None:
    """Rows 4 to 6 of the table, each over all amounts before the next row."""
    for value, field in zip(values, fields, strict=True):
        if value.minor <= 0:
            raise Refused(Reason.AMOUNT_NOT_POSITIVE, field, "must be above 0")
    for value, field in zip(values, fields, strict=True):
        if value.minor > MINOR_MAX:
            raise Refused(Reason.AMOUNT_OUT_OF_RANGE, field, f"at most {MINOR_MAX}")
    if sum_of_legs > INT64_MAX:
        raise Refused(Reason.AMOUNT_OUT_OF_RANGE, "legs", "their sum is too large")
    currencies([value.currency for value in values], fields)


def currencies(codes: Sequence[str], fields: Sequence[str]) -> None:
    for code, field in zip(codes, fields, strict=True):
        try:
            exponent(code)
        except CurrencyUnknown as error:
            raise Refused(Reason.CURRENCY_UNKNOWN, field, "not money of ISO 4217") from error


def day(text: str, field: str) -> date:
    """A day as ISO 8601 writes it."""
    try:
        # The pattern first: Python also takes 20260921 and 2026-W39-1.
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise Refused(Reason.DATE_MALFORMED, field, "yyyy-mm-dd")
    return found


def check_obligation(terms: ObligationTerms | None) -> None:
    if terms is None:
        return
    texts(**{"obligation.payment_id": terms.payment_id})
    texts(**{"obligation.carried_from_window_id": terms.carried_from})
    if terms.favour not in FAVOURS:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "obligation.favour", "ours or the bank's")
    if not terms.bank_id or not terms.payment_id:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "obligation", "names a bank and a payment")
