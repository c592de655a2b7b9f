"""A preview and the real thing are one decision: the same outcome, and nothing is changed by it."""

import random

import pytest

from services.accounts.domain.book import Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Item, Linked, OpenAccount
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.journal import Decision
from services.accounts.domain.kinds import Kind
from services.accounts.domain.previews import preview
from services.accounts.domain.snapshot import freeze_book
from tests.services.accounts.desk import CZK, OPERATOR, PAYMENTS, Desk, credit, debit
from tests.services.accounts.domain.town import Town, item_of


def _state(book: Book) -> tuple[object, ...]:
    ids = {caller: dict(known) for caller, known in book.ids.items()}
    tables = (dict(book.facts), dict(book.business_keys), dict(book.holds))
    return freeze_book(book), ids, tables, list(book.deadlines), list(book.ended)


def _previewed(desk: Desk, items: list[Item], caller: Caller, now_us: int) -> list[Decision]:
    """The preview's decisions, once it is sure that the book knows nothing of them."""
    before = _state(desk.book)
    found = preview(items, caller, desk.book, now_us)
    assert _state(desk.book) == before
    return list(found.decisions)


def _agree(seed: int, commands: int) -> int:
    """Walk on, each step previewed first. How many were posted."""
    pick = random.Random(seed)  # noqa: S311 - a seed makes the run the same each time
    town, posted = Town(pick), 0
    desk = town.desk
    for _ in range(commands):
        item, caller = item_of(town)
        seconds = pick.choice([0, 0, 1, 30])
        now_us = desk.book.page_us + seconds * 1_000_000
        foretold = _previewed(desk, [item], caller, now_us)

        desk.turn_page(seconds)
        real = desk.link(item, caller) if isinstance(item, Linked) else [desk.do(item, caller)]

        assert foretold == real, item
        posted += sum(
            isinstance(decision, Entry) and not isinstance(decision.fact, CommandRefused)
            for decision in real
        )
    assert desk.replayed() == desk.book
    return posted


@pytest.mark.parametrize("seed", range(12))
def test_preview_and_real_agree(seed: int) -> None:
    assert _agree(seed, 120) > 20


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(100, 200))
def test_preview_and_real_agree_on_100_000_commands(seed: int) -> None:
    assert _agree(seed, 1_000) > 100


def test_the_items_of_one_call_are_previewed_in_their_order() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    first = desk.transferring(debit(payer, 80), credit(payee, 80))
    second = desk.transferring(debit(payer, 80), credit(payee, 80))
    items: list[Item] = [first, second, first]

    found = preview(items, PAYMENTS, desk.book, desk.book.page_us)

    assert [type(decision).__name__ for decision in found.decisions] == [
        "Entry",
        "Entry",
        "Repeated",
    ]
    assert isinstance(found.decisions[1], Entry)
    assert isinstance(found.decisions[1].fact, CommandRefused)
    assert found.book.accounts[payee].posted == 80
    assert desk.figures(payee)[0] == 0


def test_what_expires_by_then_has_expired_in_a_preview() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    for seconds in (90, 5, 60, 7, 30, 6):
        desk.posted(desk.placing(payer, 10, expires_after_s=seconds))
    command = desk.transferring(debit(payer, 60), credit(payee, 60))

    def outcome(seconds: int) -> type[object]:
        now_us = desk.book.page_us + seconds * 1_000_000
        (decision,) = _previewed(desk, [command], PAYMENTS, now_us)
        assert isinstance(decision, Entry)
        return type(decision.fact)

    assert outcome(4) is CommandRefused
    assert outcome(5) is CommandRefused
    assert outcome(7) is not CommandRefused


def test_a_preview_of_an_empty_book_begins_its_first_page() -> None:
    opening = OpenAccount(Desk().id(), "ann", Kind.CUSTOMER_WALLET, CZK, 0, "")
    found = preview([opening], OPERATOR, Book(), 1_790_000_000_000_000)
    assert isinstance(found.decisions[0], Entry)
    assert found.decisions[0].business_date == "2026-09-21"
