"""An entry that is dated on the journal's business date, as all are but postings."""

from services.accounts.domain.book import Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.entries import BalanceAfter, Entry, Fact
from services.accounts.domain.terms import Digest


def of_today(  # noqa: PLR0913 - the parts of an entry
    fact: Fact,
    command_id: str,
    digest: Digest,
    caller: Caller,
    book: Book,
    balances: tuple[BalanceAfter, ...] = (),
    *,
    correlation_id: str = "",
) -> Entry:
    today = book.business_date
    return Entry(
        fact,
        command_id,
        caller.name,
        correlation_id,
        digest.hash,
        digest.checks,
        today,
        today,
        None,
        balances,
    )
