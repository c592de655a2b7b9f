"""Transfers: n legs, balanced in each currency, posted as one entry or not at all."""

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
from services.accounts.domain.commands import Transfer
from services.accounts.domain.entries import (
    BalanceAfter,
    Entry,
    PostedLeg,
    TransferPosted,
)
from services.accounts.domain.kinds import Direction
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.shape import INT64_MAX
from services.accounts.domain.terms import Digest

_DEBIT = int(Direction.DEBIT)
# Where nothing comes near it, overflow need not be looked for exactly.
_FAR_FROM_OVERFLOW = INT64_MAX >> 1


def transfer(command: Transfer, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that posts it. Raises `Refused`."""
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
    return Entry(
        TransferPosted(tuple(legs), command.purpose, command.fact_key),
        command.transfer_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        value_date,
        book.business_date,
        obligation,
        _balances(legs, nets, book),
    )


def _both_sides(legs: list[PostedLeg]) -> None:
    """A clearing leg may turn out to be the very account that another leg names."""
    seen: dict[str, int] = {}
    for n, leg in enumerate(legs):
        if seen.setdefault(leg.account_id, leg.direction) != leg.direction:
            text = "debited and credited in one entry"
            raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, f"legs[{n}].target", text)


def _balances(legs: list[PostedLeg], nets: dict[str, int], book: Book) -> tuple[BalanceAfter, ...]:
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
    if not is_plain:
        within_bounds([_move(n, leg, nets, book) for n, leg in enumerate(legs)])
    return tuple(balances)


def _move(n: int, leg: PostedLeg, nets: dict[str, int], book: Book) -> Move:
    account: Account = book.accounts[leg.account_id]
    posted = account.posted + nets[leg.account_id] * account.sign
    return Move(f"legs[{n}].account_id", account, posted, account.held, account.incoming)
