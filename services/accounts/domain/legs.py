"""The legs of a transfer by themselves: rows 2 to 9 of the table."""

from collections.abc import Sequence

from libs.money import MINOR_MAX, CurrencyUnknown, exponent
from services.accounts.domain.commands import Leg, ObligationTerms, Transfer
from services.accounts.domain.fields import (
    CONTROL,
    FAVOURS,
    INT64_MAX,
    amounts,
    check_obligation,
    texts,
)
from services.accounts.domain.kinds import Direction
from services.accounts.domain.refusals import Reason, Refused

LEGS_MIN, LEGS_MAX = 2, 64
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)


def check_legs(command: Transfer) -> None:
    """Raises `Refused`."""
    if not _is_plain(command):
        first_fault(command)


def _is_plain(command: Transfer) -> bool:
    """Whether nothing is wrong, in one pass: nearly always so, and then no more is looked at."""
    legs, obligation = command.legs, command.obligation
    if not LEGS_MIN <= len(legs) <= LEGS_MAX:
        return False
    if CONTROL.search(f"{command.purpose}{command.correlation_id}{command.fact_key}"):
        return False
    currency = legs[0].currency
    if obligation is not None and not _is_plain_obligation(obligation):
        return False
    debit = credit = 0
    debited: list[str] = []
    credited: list[str] = []
    for account_id, bank_id, direction, code, minor in legs:
        if code != currency or not 0 < minor <= MINOR_MAX or bool(account_id) == bool(bank_id):
            return False
        if direction == _DEBIT:
            debit += minor
            debited.append(account_id or bank_id)
        elif direction == _CREDIT:
            credit += minor
            credited.append(account_id or bank_id)
        else:
            return False
    if debit != credit or debit > INT64_MAX or not set(debited).isdisjoint(credited):
        return False
    return is_currency(currency)


def _is_plain_obligation(terms: ObligationTerms) -> bool:
    return (
        bool(terms.bank_id and terms.payment_id)
        and terms.favour in FAVOURS
        and 0 < terms.minor <= MINOR_MAX
        and is_currency(terms.currency)
        and not CONTROL.search(f"{terms.payment_id}{terms.carried_from}")
    )


def is_currency(code: str) -> bool:
    """Whether it is money of ISO 4217."""
    try:
        exponent(code)
    except CurrencyUnknown:
        return False
    return True


def first_fault(command: Transfer) -> None:
    """The checks one after the other, in the table's order."""
    legs = command.legs
    texts(
        purpose=command.purpose,
        correlation_id=command.correlation_id,
        fact_key=command.fact_key,
    )
    for n, leg in enumerate(legs):
        if leg.direction not in (_DEBIT, _CREDIT):
            raise Refused(Reason.FIELD_NOT_ALLOWED, f"legs[{n}].direction", "debit or credit")
        if bool(leg.account_id) == bool(leg.bank_id):
            field = f"legs[{n}].target"
            raise Refused(Reason.FIELD_NOT_ALLOWED, field, "an account, or a bank's clearing")
    check_obligation(command.obligation)
    if not LEGS_MIN <= len(legs) <= LEGS_MAX:
        raise Refused(Reason.LEG_COUNT, "legs", f"{LEGS_MIN} to {LEGS_MAX}")
    values: list[Leg | ObligationTerms] = list(legs)
    fields = [f"legs[{n}].amount" for n in range(len(legs))]
    if command.obligation is not None:
        values.append(command.obligation)
        fields.append("obligation.amount")
    totals = _totals(legs)
    amounts(values, fields, sum_of_legs=max(max(pair) for pair in totals.values()))
    _both_sides(legs)
    for code, (debit, credit) in totals.items():
        if debit != credit:
            text = f"{code}: debits are {debit}, credits {credit}"
            raise Refused(Reason.LEGS_NOT_BALANCED, "legs", text)


def _totals(legs: Sequence[Leg]) -> dict[str, tuple[int, int]]:
    totals: dict[str, tuple[int, int]] = {}
    for leg in legs:
        debit, credit = totals.get(leg.currency, (0, 0))
        if leg.direction == _DEBIT:
            debit += leg.minor
        else:
            credit += leg.minor
        totals[leg.currency] = (debit, credit)
    return totals


def _both_sides(legs: Sequence[Leg]) -> None:
    seen: dict[tuple[str, str, str], int] = {}
    for n, leg in enumerate(legs):
        # A bank has one clearing account for each currency.
        target = (leg.account_id, leg.bank_id, leg.currency if leg.bank_id else "")
        if seen.setdefault(target, leg.direction) != leg.direction:
            text = "debited and credited in one entry"
            raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, f"legs[{n}].target", text)
