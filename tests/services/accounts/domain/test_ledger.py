"""The journal against a ledger in plain Python, after every command of random histories."""

import random
from copy import deepcopy

import pytest

from services.accounts.domain.book import Window
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    CloseWindow,
    Command,
    Linked,
    OpenAccount,
    OpenWindow,
    SealWindow,
)
from services.accounts.domain.entries import (
    AccountOpened,
    CommandRefused,
    Entry,
    TransferPosted,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.journal import Decision, Repeated, decide
from services.accounts.domain.refusals import UNRECORDED, Reason, Refusal
from tests.services.accounts.desk import TODAY, Desk
from tests.services.accounts.domain.ledger import Ledger
from tests.services.accounts.domain.town import Town, item_of

_BY_SHAPE = {reason.name for reason in UNRECORDED} - {Reason.IDEMPOTENCY_KEY_REUSED.name}
_WINDOWS = (OpenWindow, SealWindow, CloseWindow)


class Shadow:
    """A ledger that is told all that the desk is asked."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ledger = Ledger(TODAY, desk.book.page_us)
        for page in desk.pages:
            for entry in page:
                self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        """The town as it was founded: openings, a window, and money from nowhere."""
        match entry.fact:
            case TransferPosted(legs):
                self.ledger.legs += [(leg.account_id, leg.direction, leg.minor) for leg in legs]
            case WindowOpened(id_, bank, currency, clearing, _):
                self.ledger.take_window(OpenWindow(id_, bank, currency), clearing)
            case AccountOpened(id_, owner, kind, currency, ordinal):
                opening = OpenAccount(id_, owner, kind, currency, ordinal, "")
                self.ledger.take(opening, Caller("operator"))

    def alone(self, command: Command, caller: Caller) -> None:
        """One command, decided by both."""
        before = self.ledger.was_told(command, caller)
        reasons = self.ledger.against(command, caller)
        decision = self.desk.do(command, caller)
        if isinstance(command, _WINDOWS):
            self._window(command, decision)
        elif not _is_of_shape(decision):
            assert _outcome(decision) in _expected(before, reasons), (command, reasons)
            self._take(command, caller, decision, None)
        self._again(command, caller)

    def together(self, linked: Linked, caller: Caller) -> None:
        """A group: all of its members, or none of them."""
        decisions = self.desk.link(linked, caller)
        commands = linked.commands
        if any(_is_of_shape(decision) for decision in decisions):
            assert not any(isinstance(decision, Entry) for decision in decisions)
            return
        outcomes = [_outcome(decision) for decision in decisions]
        if any(self.ledger.was_told(each, caller, commands) for each in commands):
            for command, outcome in zip(commands, outcomes, strict=True):
                known = self.ledger.was_told(command, caller, commands)
                assert outcome == (known or "LINKED_FAILED")
            return
        trial, fault = deepcopy(self.ledger), -1
        for n, command in enumerate(commands):
            reasons = trial.against(command, caller)
            if reasons:
                fault = n
                assert outcomes[n] in reasons, (command, reasons)
                break
            trial.take(command, caller)
        if fault < 0:
            assert set(outcomes) == {"POSTED"}
            self.ledger = trial
        else:
            others = outcomes[:fault] + outcomes[fault + 1 :]
            assert set(others) <= {"LINKED_FAILED"}
        for command in commands:
            self.ledger.told[caller.name, command[0]] = (command, commands)

    def agrees(self) -> None:
        """Every figure, and what must hold of them."""
        book, ledger = self.desk.book, self.ledger
        assert book.accounts.keys() == ledger.accounts.keys()
        sums: dict[str, int] = {}
        for id_, account in book.accounts.items():
            plain = ledger.accounts[id_]
            assert account.posted == ledger.posted(id_)
            assert account.held == ledger.held(id_)
            assert account.incoming == ledger.incoming(id_)
            assert account.is_closed == plain.is_closed
            assert (account.floor, account.ceiling) == (plain.floor, plain.ceiling)
            assert account.floor is None or account.available >= account.floor
            currency = account.currency
            sums[currency] = sums.get(currency, 0) + account.sign * account.posted
        assert not any(sums.values())
        assert (book.business_date, book.locked_date) == (ledger.today, ledger.locked)

    def _take(self, command: Command, caller: Caller, decision: Decision, group: object) -> None:
        if isinstance(decision, Entry):
            if not isinstance(decision.fact, CommandRefused):
                self.ledger.take(command, caller)
            self.ledger.told[caller.name, command[0]] = (command, group)

    def _window(self, command: Command, decision: Decision) -> None:
        if isinstance(decision, Entry):
            match decision.fact:
                case WindowOpened() as opened:
                    clearing = opened.clearing_account_id
                case WindowSealed() as sealed:
                    clearing = sealed.next_clearing_account_id
                case _:
                    clearing = ""
            self.ledger.take_window(command, clearing)
            self.ledger.told["settlement", decision.command_id] = (command, None)

    def _again(self, command: Command, caller: Caller) -> None:
        """Asked again, it records nothing."""
        again = decide(command, caller, self.desk.book)
        assert isinstance(again, Repeated | Refusal | Window)


def _is_of_shape(decision: Decision) -> bool:
    return isinstance(decision, Refusal) and decision.reason in _BY_SHAPE


def _outcome(decision: Decision) -> str:
    match decision:
        case Entry(CommandRefused(reason)) | Refusal(reason):
            return reason
        case Repeated(_, terms):
            return "IDEMPOTENCY_KEY_REUSED" if terms else "REPLAYED"
        case _:
            return "POSTED"


def _expected(before: str, reasons: set[str]) -> set[str]:
    if before:
        return {before}
    return reasons or {"POSTED"}


def _history(seed: int, steps: int) -> int:
    """A history told to both. How many entries there were that were no refusals."""
    pick = random.Random(seed)  # noqa: S311 - a seed makes the run the same each time
    town = Town(pick)
    desk, shadow = town.desk, Shadow(town.desk)
    for _ in range(steps):
        seconds = pick.choice([0, 0, 1, 30])
        desk.turn_page(seconds)
        shadow.ledger.turn_page(desk.book.page_us)
        item, caller = item_of(town)
        if isinstance(item, Linked):
            shadow.together(item, caller)
        else:
            shadow.alone(item, caller)
        shadow.agrees()
    assert desk.replayed() == desk.book
    told = [entry for page in desk.pages for entry in page]
    return sum(not isinstance(entry.fact, CommandRefused) for entry in told)


@pytest.mark.parametrize("seed", range(10))
def test_the_journal_and_a_plain_ledger_say_the_same(seed: int) -> None:
    posted = sum(_history(1_000 * seed + n, 50) for n in range(12))
    assert posted > 12 * 25


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", range(100))
def test_the_journal_and_a_plain_ledger_say_the_same_10_000_times(seed: int) -> None:
    posted = sum(_history(100_000 + 100 * seed + n, 50) for n in range(100))
    assert posted > 100 * 25


def test_the_plain_ledger_would_notice() -> None:
    """A cent that is not where it should be, seen at once."""
    town = Town(random.Random(1))  # noqa: S311 - a seed makes the run the same each time
    shadow = Shadow(town.desk)
    shadow.agrees()
    town.desk.book.accounts[town.wallets[0]].posted += 1
    with pytest.raises(AssertionError):
        shadow.agrees()
