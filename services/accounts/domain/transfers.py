"""Transfers: n legs, balanced in each currency, posted as one entry or not at all."""

from collections.abc import Sequence

from services.accounts.domain.book import Account, Book
from services.accounts.domain.bounds import (
    Move,
    Touch,
    admit,
    clearing_of,
    new_fact,
    obligation_of,
    value_date_of,
    within_bounds,
)
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Computed, Transfer
from services.accounts.domain.computed import resolve
from services.accounts.domain.entries import (
    BalanceAfter,
    Entry,
    PostedLeg,
    TransferPosted,
)
from services.accounts.domain.fields import INT64_MAX
from services.accounts.domain.kinds import Direction
from services.accounts.domain.past_days import Closing, lowest_from
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest

_DEBIT = int(Direction.DEBIT)
# Where nothing comes near it, overflow need not be looked for exactly.
_FAR_FROM_OVERFLOW = INT64_MAX >> 1


def transfer(command: Transfer, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that posts it. Raises `Refused`."""
    if command.computed is not None:
        return _computed(command, command.computed, digest, caller, book)
    legs: list[PostedLeg] = []
    nets: dict[str, int] = {}
    is_plain = True
    accounts, posts_to = book.accounts, caller.posts_to
    for account_id, bank_id, direction, currency, minor in command.legs:
        target = account_id or clearing_of(bank_id, currency, f"legs[{len(legs)}].target", book)
        legs.append(PostedLeg(target, direction, currency, minor))
        nets[target] = nets.get(target, 0) + (-minor if direction == _DEBIT else minor)
        account = accounts.get(target)
        if (
            account is None
            or account.is_barred
            or account.currency != currency
            or account.kind not in posts_to
        ):
            is_plain = False
    obligation = obligation_of(command.obligation, book)
    if not is_plain or len(nets) != len(legs):
        _both_sides(legs)
        admit(
            [
                Touch(f"legs[{n}].account_id", accounts.get(leg[0]), leg[1], leg[2])
                for n, leg in enumerate(legs)
            ],
            caller,
        )
    value_date = value_date_of(command.value_date, caller, book)
    new_fact(command.fact_key, book)
    corrects = command.corrects
    fact = (
        TransferPosted(tuple(legs), command.purpose, command.fact_key)
        if corrects is None
        else TransferPosted(tuple(legs), command.purpose, command.fact_key, *corrects)
    )
    return Entry(
        fact,
        command.transfer_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        value_date,
        book.business_date,
        obligation,
        _balances(legs, nets, caller, book),
        "",
        value_date < book.business_date and _is_past_day_negative(nets, value_date, book),
    )


def _computed(
    command: Transfer, computed: Computed, digest: Digest, caller: Caller, book: Book
) -> Entry:
    obligation = obligation_of(command.obligation, book)
    resolved = resolve(command, computed, caller, book)
    nets: dict[str, int] = {}
    for account_id, direction, _, minor in resolved.legs:
        nets[account_id] = nets.get(account_id, 0) + (-minor if direction == _DEBIT else minor)
    value_date = resolved.value_date
    return Entry(
        TransferPosted(
            resolved.legs,
            command.purpose,
            command.fact_key,
            *(command.corrects or ("", "")),
            resolved.rounding,
            resolved.quote_id,
        ),
        command.transfer_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        value_date,
        book.business_date,
        obligation,
        _balances(resolved.legs, nets, caller, book),
        "",
        value_date < book.business_date and _is_past_day_negative(nets, value_date, book),
    )


def _is_past_day_negative(nets: dict[str, int], value_date: str, book: Book) -> bool:
    """Whether, dated back, it takes an account below its floor at the end of an earlier day."""
    for account_id, net in nets.items():
        account = book.accounts[account_id]
        delta = net * account.sign
        if account.floor is None or delta >= 0:
            continue
        closings = account.closings
        if account.day != book.business_date:
            closings = (*closings, Closing(account.day, account.posted))
        if lowest_from(closings, value_date, delta) < account.floor:
            return True
    return False


def _both_sides(legs: list[PostedLeg]) -> None:
    """A clearing leg may turn out to be the very account that another leg names."""
    seen: dict[str, int] = {}
    for n, leg in enumerate(legs):
        if seen.setdefault(leg.account_id, leg.direction) != leg.direction:
            text = "debited and credited in one entry"
            raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, f"legs[{n}].target", text)


def _balances(
    legs: Sequence[PostedLeg], nets: dict[str, int], caller: Caller, book: Book
) -> tuple[BalanceAfter, ...]:
    balances: list[BalanceAfter] = []
    is_plain = True
    for account_id, net in nets.items():
        account = book.accounts[account_id]
        delta = net * account.sign
        posted, held, incoming = account.posted + delta, account.held, account.incoming
        if not -_FAR_FROM_OVERFLOW < posted < _FAR_FROM_OVERFLOW:
            is_plain = False
        elif delta < 0:
            if account.floor is not None and posted - held < account.floor:
                is_plain = False
        elif account.ceiling is not None and posted + incoming > account.ceiling:
            is_plain = False
        balances.append(BalanceAfter(account_id, account.seq + 1, posted, held, incoming))
    if not (is_plain or caller.completes):
        within_bounds([_move(n, leg, nets, book) for n, leg in enumerate(legs)])
    return tuple(balances)


def _move(n: int, leg: PostedLeg, nets: dict[str, int], book: Book) -> Move:
    account: Account = book.accounts[leg.account_id]
    posted = account.posted + nets[leg.account_id] * account.sign
    return Move(f"legs[{n}].account_id", account, posted, account.held, account.incoming)
