"""Transfers whose amounts the journal computes: balancing, templates, exchanges.

Each resolves to plain legs, which the entry stores with the rule and what rounding left over.
"""

from collections.abc import Sequence
from typing import assert_never

from services.accounts.domain import exchange
from services.accounts.domain.book import Account, Book
from services.accounts.domain.bounds import Touch, admit, new_fact, value_date_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Balancing,
    Computed,
    Drawing,
    Exchange,
    Leg,
    Resolved,
    Source,
    Template,
    Transfer,
)
from services.accounts.domain.entries import PostedLeg, Rounding, RoundingPart
from services.accounts.domain.kinds import Direction
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.splits import split

# A rule's name is storage.
BALANCING = "BALANCING"
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)


class Resolution:
    """What a computed transfer comes to."""

    __slots__ = ("legs", "quote_id", "rounding", "value_date")

    def __init__(
        self, legs: tuple[PostedLeg, ...], rounding: Rounding, value_date: str, quote_id: str
    ) -> None:
        self.legs = legs
        self.rounding = rounding
        self.value_date = value_date
        self.quote_id = quote_id


def resolve(command: Transfer, computed: Computed, caller: Caller, book: Book) -> Resolution:
    """Rows 19 to 32, and then the legs. Raises `Refused`."""
    match computed:
        case Balancing():
            return _balancing(command, computed, caller, book)
        case Template():
            return _template(command, computed, caller, book)
        case Exchange():
            return _exchange(command, computed, caller, book)
        case Drawing():
            return _drawing(command, computed, caller, book)
        case Resolved():
            return _resolved(command, computed, caller, book)
        case _:
            assert_never(computed)


def _balancing(command: Transfer, balancing: Balancing, caller: Caller, book: Book) -> Resolution:
    legs = command.legs
    admitted = admit([_touch(n, leg, book) for n, leg in enumerate(legs)], caller)
    touch, account = admitted[balancing.leg]
    is_lowered = (touch.direction == _CREDIT) == (account.sign < 0)
    if balancing.keep and not is_lowered:
        text = "only where the leg lowers the account"
        raise Refused(Reason.FIELD_NOT_ALLOWED, f"legs[{balancing.leg}].up_to.keep_minor", text)
    value_date = value_date_of(command.value_date, caller, book)
    new_fact(command.fact_key, book)
    room = room_below(account, balancing.keep) if is_lowered else room_above(account)
    asked = legs[balancing.leg].minor
    moved = asked if room is None else min(asked, room)
    if moved == 0:
        text = f"nothing of {asked} can move"
        raise Refused(Reason.NOTHING_TO_MOVE, f"legs[{balancing.leg}].up_to", text)
    posted = tuple(PostedLeg(leg.account_id, leg.direction, leg.currency, moved) for leg in legs)
    return Resolution(posted, Rounding(BALANCING, ()), value_date, "")


def room_below(account: Account, keep: int) -> int | None:
    """How far an account may be lowered; None: without end."""
    return None if account.floor is None else max(0, account.available - account.floor - keep)


def room_above(account: Account) -> int | None:
    """How far an account may be raised; None: without end."""
    if account.ceiling is None:
        return None
    return max(0, account.ceiling - account.posted - account.incoming)


def _touch(n: int, leg: Leg, book: Book) -> Touch:
    account = book.accounts.get(leg.account_id)
    return Touch(f"legs[{n}].account_id", account, leg.direction, leg.currency)


def _template(command: Transfer, template: Template, caller: Caller, book: Book) -> Resolution:
    accounts, currency = book.accounts, template.amount.currency
    touches = [
        Touch(f"template.sources[{n}].account_id", accounts.get(account_id), _DEBIT, currency)
        for n, (account_id, _) in enumerate(template.sources)
    ]
    touches += [
        Touch(f"template.parts[{n}].account_id", accounts.get(part.account_id), _CREDIT, currency)
        for n, part in enumerate(template.parts)
    ]
    admit(touches, caller)
    value_date = value_date_of(command.value_date, caller, book)
    new_fact(command.fact_key, book)
    rooms = [_room(accounts[account_id]) for account_id, _ in template.sources]
    legs, rounding = template_legs(template, rooms)
    return Resolution(legs, rounding, value_date, "")


def _room(account: Account) -> int | None:
    """How far a source may be debited."""
    return room_above(account) if account.sign < 0 else room_below(account, 0)


def template_legs(
    template: Template, rooms: Sequence[int | None]
) -> tuple[tuple[PostedLeg, ...], Rounding]:
    """A template's legs, by what each source can give (None: without end). Raises `Refused`."""
    currency, total = template.amount
    taken = drawn(total, template.sources, rooms)
    shares = split(total, template.whole, template.parts)
    legs = [
        PostedLeg(source.account_id, _DEBIT, currency, minor)
        for source, minor in zip(template.sources, taken, strict=True)
        if minor
    ]
    legs += [
        PostedLeg(part.account_id, _CREDIT, currency, minor)
        for part, minor in zip(template.parts, shares.amounts, strict=True)
        if minor
    ]
    left_over = tuple(
        RoundingPart(template.parts[n].account_id, numerator, denominator)
        for n, numerator, denominator in shares.remainders
    )
    return tuple(legs), Rounding(shares.rule, left_over)


def drawn(total: int, sources: Sequence[Source], rooms: Sequence[int | None]) -> list[int]:
    """What each source gives. Raises `Refused` where it is short."""
    taken = as_far_as_they_can(total, sources, rooms)
    if sum(taken) < total:
        text = f"{sum(taken)} of {total} is available"
        raise Refused(Reason.BALANCE_TOO_LOW, "template.sources", text)
    return taken


def as_far_as_they_can(
    total: int, sources: Sequence[Source], rooms: Sequence[int | None]
) -> list[int]:
    """What each source gives, in their order, until the total is met or none has any more."""
    taken: list[int] = []
    left = total
    for source, room in zip(sources, rooms, strict=True):
        limits = [each for each in (left, source.at_most, room) if each is not None]
        taken.append(min(limits))
        left -= taken[-1]
    return taken


def _exchange(command: Transfer, asked: Exchange, caller: Caller, book: Book) -> Resolution:
    admit(exchange.touches_of(asked, book), caller)
    value_date = value_date_of(command.value_date, caller, book)
    quote = exchange.quote_of(asked, caller, book)
    new_fact(command.fact_key, book)
    legs, rounding = exchange.legs_of(asked, quote.given)
    return Resolution(legs, rounding, value_date, asked.quote_id)


def _drawing(command: Transfer, drawing: Drawing, caller: Caller, book: Book) -> Resolution:
    """Whether it is enough is seen when the last of a template's sources has been asked."""
    (currency, left), accounts = drawing.amount, book.accounts
    touches = [
        Touch(f"template.sources[{n}].account_id", accounts.get(account_id), _DEBIT, currency)
        for n, (account_id, _) in enumerate(drawing.sources, drawing.first)
    ]
    admit(touches, caller)
    value_date = value_date_of(command.value_date, caller, book)
    rooms = [_room(accounts[account_id]) for account_id, _ in drawing.sources]
    taken = as_far_as_they_can(left, drawing.sources, rooms)
    legs = [
        PostedLeg(source.account_id, _DEBIT, currency, minor)
        for source, minor in zip(drawing.sources, taken, strict=True)
        if minor
    ]
    if legs:
        legs.append(PostedLeg(drawing.transit, _CREDIT, currency, sum(taken)))
    return Resolution(tuple(legs), Rounding("", ()), value_date, "")


def _resolved(command: Transfer, resolved: Resolved, caller: Caller, book: Book) -> Resolution:
    legs = command.legs
    admit([_touch(n, leg, book) for n, leg in enumerate(legs)], caller)
    value_date = value_date_of(command.value_date, caller, book)
    new_fact(command.fact_key, book)
    posted = tuple(PostedLeg(leg.account_id, *leg[2:]) for leg in legs)
    rounding = Rounding(resolved.rule, tuple(RoundingPart(*part) for part in resolved.parts))
    return Resolution(posted, rounding, value_date, "")
