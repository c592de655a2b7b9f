"""The trial balance: what each kind of account adds up to, by currency."""

from typing import NamedTuple

from services.accounts.domain.book import Book
from services.accounts.domain.kinds import Kind


class KindTotal(NamedTuple):
    """Sums in minor units. Over all kinds of one currency, `credit_minus_debit` comes to 0."""

    kind: Kind
    currency: str
    credit_minus_debit: int
    accounts: int
    held: int


class TrialBalance(NamedTuple):
    """The totals, and the page and hash they stand at (of several shards: those of shard 0)."""

    totals: list[KindTotal]
    page_number: int
    head_hash: bytes


def totals_of(book: Book) -> list[KindTotal]:
    sums: dict[tuple[Kind, str], tuple[int, int, int]] = {}
    for account in book.accounts.values():
        key = (account.kind, account.currency)
        credit, accounts, held = sums.get(key, (0, 0, 0))
        credit += account.sign * account.posted
        sums[key] = (credit, accounts + 1, held + account.held)
    return [KindTotal(*key, *sums[key]) for key in sorted(sums)]
