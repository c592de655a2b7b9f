"""What can be said of a command by itself; such refusals are not recorded, the id stays free."""

import re
from collections.abc import Sequence
from datetime import date

from libs.money import MINOR_MAX, CurrencyUnknown, exponent
from services.accounts.domain.commands import (
    Amount,
    CaptureHold,
    CloseAccount,
    CloseWindow,
    Command,
    FreezeAccount,
    Leg,
    MoveBusinessDate,
    ObligationTerms,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    SealWindow,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import KINDS, Direction, Favour, FreezeSide
from services.accounts.domain.refusals import Reason, Refused

LEGS_MIN, LEGS_MAX = 2, 64
INT64_MAX = 2**63 - 1
EXPIRES_AFTER_MAX_S = 10 * 366 * 86_400
ORDINAL_MAX = 2**31 - 1
_UUID7 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
_FAVOURS = (int(Favour.OURS), int(Favour.BANK))
_SIDES = tuple(int(side) for side in FreezeSide)


def check(command: Command) -> None:  # noqa: C901 - one case for each kind of command
    """Raises `Refused` with the first reason that applies."""
    if _UUID7.fullmatch(command[0]) is None:
        raise Refused(Reason.ID_MALFORMED, _id_field(command), "must be a UUIDv7 in lower case")
    match command:
        case Transfer():
            _transfer(command)
        case PlaceHold():
            _place(command)
        case CaptureHold():
            _capture(command)
        case ReleaseHold(_, _, amount, correlation_id):
            texts(correlation_id=correlation_id)
            if amount is not None:
                amounts((amount,), ("amount",))
        case OpenAccount():
            _open(command)
        case FreezeAccount(_, _, side, purpose, _):
            texts(purpose=purpose)
            if side not in _SIDES:
                raise Refused(Reason.FIELD_NOT_ALLOWED, "side", "debit, credit or both")
        case OpenWindow(_, _, code):
            currencies((code,), ("currency_code",))
        case MoveBusinessDate(_, to_date):
            day(to_date, "to_date")
        case UnfreezeAccount() | CloseAccount() | SealWindow() | CloseWindow():
            pass


def _id_field(command: Command) -> str:
    return type(command)._fields[0]


def texts(**named: str) -> None:
    """No control characters: terms are joined by one."""
    for field, text in named.items():
        if _CONTROL.search(text):
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


def _transfer(command: Transfer) -> None:
    if not _is_plain(command):
        _first_fault(command)
    if command.value_date:
        day(command.value_date, "value_date")


def _is_plain(command: Transfer) -> bool:
    """Whether nothing is wrong, in one pass: nearly always so, and then no more is looked at."""
    legs, obligation = command.legs, command.obligation
    if not LEGS_MIN <= len(legs) <= LEGS_MAX:
        return False
    if _CONTROL.search(f"{command.purpose}{command.correlation_id}{command.fact_key}"):
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
    return _is_currency(currency)


def _is_plain_obligation(terms: ObligationTerms) -> bool:
    return (
        bool(terms.bank_id and terms.payment_id)
        and terms.favour in _FAVOURS
        and 0 < terms.minor <= MINOR_MAX
        and _is_currency(terms.currency)
        and not _CONTROL.search(f"{terms.payment_id}{terms.carried_from}")
    )


def _is_currency(code: str) -> bool:
    try:
        exponent(code)
    except CurrencyUnknown:
        return False
    return True


def _first_fault(command: Transfer) -> None:
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
    _obligation(command.obligation)
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


def _obligation(terms: ObligationTerms | None) -> None:
    if terms is None:
        return
    texts(**{"obligation.payment_id": terms.payment_id})
    texts(**{"obligation.carried_from_window_id": terms.carried_from})
    if terms.favour not in _FAVOURS:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "obligation.favour", "ours or the bank's")
    if not terms.bank_id or not terms.payment_id:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "obligation", "names a bank and a payment")


def _place(command: PlaceHold) -> None:
    texts(purpose=command.purpose, correlation_id=command.correlation_id)
    texts(destination_account_id=command.destination)
    if not 0 <= command.expires_after_s <= EXPIRES_AFTER_MAX_S:
        text = f"0 to {EXPIRES_AFTER_MAX_S} seconds"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "expires_after_s", text)
    amounts((command.amount,), ("amount",))
    if command.destination == command.account_id:
        text = "the account itself"
        raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, "destination_account_id", text)


def _capture(command: CaptureHold) -> None:
    texts(
        purpose=command.purpose,
        correlation_id=command.correlation_id,
        fact_key=command.fact_key,
    )
    if command.account_id and command.bank_id:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "destination", "an account, or a bank's clearing")
    _obligation(command.obligation)
    values = [value for value in (command.amount, command.obligation) if value is not None]
    fields = ["amount"] * (command.amount is not None)
    amounts(values, [*fields, "obligation.amount"][: len(values)])


def _open(command: OpenAccount) -> None:
    texts(owner=command.owner, correlation_id=command.correlation_id)
    if not command.owner:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "owner", "must be named")
    if command.kind not in KINDS:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "kind", "no kind of account")
    if not 0 <= command.ordinal <= ORDINAL_MAX:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "ordinal", "0 or more")
    currencies((command.currency,), ("currency_code",))
