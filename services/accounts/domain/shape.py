"""What can be said of a command by itself; such refusals are not recorded, the id stays free."""

import re

from libs.money import MINOR_MAX
from services.accounts.domain.commands import (
    Balancing,
    BeginSpan,
    CaptureHold,
    Command,
    Exchange,
    FreezeAccount,
    GiveQuote,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    ReopenAccount,
    SetBounds,
    Template,
    Transfer,
)
from services.accounts.domain.computed_shape import check_computed, check_quote
from services.accounts.domain.fields import amounts, check_obligation, currencies, day, texts
from services.accounts.domain.kinds import KINDS, FreezeSide
from services.accounts.domain.legs import check_legs
from services.accounts.domain.refusals import Reason, Refused

EXPIRES_AFTER_MAX_S = 10 * 366 * 86_400
ORDINAL_MAX = 2**31 - 1
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_PLACE = re.compile(r"[0-9]{1,18}[.][0-9]{1,9}", re.ASCII)
_SIDES = tuple(int(side) for side in FreezeSide)


def check(command: Command) -> None:  # noqa: C901, PLR0912 - one case each
    """Raises `Refused` with the first reason that applies."""
    if UUID7.fullmatch(command[0]) is None:
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
        case GiveQuote():
            check_quote(command)
        case MoveBusinessDate(_, to_date, closing_date):
            day(to_date, "to_date")
            if closing_date:
                day(closing_date, "closing_date")
        case LockPeriod(_, last_date):
            day(last_date, "last_date")
        case SetBounds():
            _bounds(command)
        case ReopenAccount(_, _, purpose):
            texts(purpose=purpose)
        case BeginSpan(transfer=transfer):
            _transfer(transfer)
        case _:
            pass  # ids alone; or our own router says it


def _id_field(command: Command) -> str:
    return type(command)._fields[0]


def _transfer(command: Transfer) -> None:
    corrects = command.corrects
    if corrects is not None and _PLACE.fullmatch(corrects.entry) is None:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "corrects", "an entry: page.ordinal")
    match command.computed:
        case Balancing() | Template() | Exchange():
            check_computed(command, command.computed)
        case _:
            check_legs(command)
    if command.value_date:
        day(command.value_date, "value_date")
    if corrects is not None and corrects.day:
        day(corrects.day, "corrects_date")


def _bounds(command: SetBounds) -> None:
    texts(purpose=command.purpose)
    if command.floor is not None and not -MINOR_MAX <= command.floor <= 0:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "floor_minor", "minus an agreed line")
    _ceiling(command.ceiling)


def _ceiling(minor: int | None) -> None:
    if minor is not None and not 0 <= minor <= MINOR_MAX:
        raise Refused(Reason.FIELD_NOT_ALLOWED, "ceiling_minor", f"0 to {MINOR_MAX}")


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
    check_obligation(command.obligation)
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
    _ceiling(command.ceiling)
    currencies((command.currency,), ("currency_code",))
