"""What is posted in one pass is what the rules post; what they might refuse is left to them."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from hefu.type.v1.money_pb2 import Money
from libs.money import MINOR_MAX
from services.accounts.calls import Call, Decided
from services.accounts.codec.facts import entry_from_wire
from services.accounts.codec.plain_calls import read_transfers, result_text
from services.accounts.domain.answers import answer_of
from services.accounts.domain.book import Account, Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    CloseAccount,
    Correction,
    FreezeAccount,
    SetBounds,
    Transfer,
)
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.journal import decide
from services.accounts.domain.kinds import FreezeSide, Kind
from services.accounts.draft import Draft
from services.accounts.posting import post
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    WALLET,
    Desk,
    credit,
    debit,
    ours,
)

USED = "0190a000-0000-7000-8000-00000000000a"
REFUSED = "0190a000-0000-7000-8000-00000000000b"
AHEAD = "01f00000-0000-7000-8000-00000000000c"


class Town:
    """Accounts of every sort that a rule could have something to say of."""

    def __init__(self) -> None:
        self.desk = desk = Desk()
        desk.window()
        rich, poor = desk.account(funds=1_000_000), desk.account(funds=3)
        full, shut = desk.account(funds=90), desk.account()
        desk.posted(SetBounds(desk.id(), full, None, 100, ""), OPERATOR)
        desk.posted(CloseAccount(desk.id(), shut), OPERATOR)
        frozen = desk.account(funds=50)
        desk.posted(
            FreezeAccount(desk.id(), frozen, FreezeSide.DEBIT, "", stop_captures=False), OPERATOR
        )
        held = desk.account(funds=50)
        desk.posted(desk.placing(held, 45))
        self.accounts = [
            rich,
            poor,
            full,
            shut,
            frozen,
            held,
            desk.account(currency="EUR", funds=70),
            desk.account(Kind.BANK_MIRROR),
            desk.account(Kind.IN_TRANSIT_IN),
            desk.account(Kind.HOUSE),
            "01900000-0000-7000-8000-0000000000ff",
        ]
        used = Transfer(USED, (debit(rich, 5), credit(poor, 5)), "", "", "fact", "", None)
        desk.posted(used)
        desk.refused(used._replace(transfer_id=REFUSED))


TOWN = Town()
# No loop runs here: the future of a call is only ever carried about.
LOOP = asyncio.new_event_loop()
PLACES = st.permutations(range(len(TOWN.accounts))).map(lambda places: places[:2])
TEXTS = st.sampled_from(["", "", "note", "new"])
CALLERS = st.sampled_from([PAYMENTS, PAYMENTS, PAYMENTS, SETTLEMENT, WALLET, OPERATOR])
ODD_LEGS: list[dict[str, object]] = [
    {"account_id": TOWN.accounts[0]},
    {"account_id": "", "bank_id": BANK},
    {"direction": 1},
    {"direction": 2},
    {"direction": 3},
    {"currency": "EUR"},
    {"currency": "XXX"},
    {"minor": 2},
    {"minor": 0},
]
ODD: list[dict[str, object]] = [
    {"transfer_id": USED},
    {"transfer_id": REFUSED},
    {"transfer_id": AHEAD},
    {"transfer_id": "no-id"},
    {"purpose": "a\x1fb"},
    {"fact_key": "fact"},
    {"value_date": "2026-09-20"},
    {"obligation": ours(5)},
    {"corrects": Correction("1.0", "")},
]
MINORS = st.sampled_from([1, 3, 5, 10, 46, 100, MINOR_MAX, MINOR_MAX + 1])


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """Ordinary ones, and ones with something odd about them."""
    minor, places = draw(MINORS), draw(PLACES)
    payer, payee = (TOWN.accounts[place] for place in places)
    legs = [debit(payer, minor), credit(payee, minor)]
    if draw(st.booleans()):
        legs.reverse()
    command = Transfer(TOWN.desk.id(), tuple(legs), draw(TEXTS), draw(TEXTS), draw(TEXTS), "", None)
    odd = draw(st.integers(0, 3))
    if odd == 0:
        n, change = draw(st.integers(0, 1)), draw(st.sampled_from(ODD_LEGS))
        legs[n] = legs[n]._replace(**change)  # type: ignore[arg-type]
        return command._replace(legs=tuple(legs))
    if odd == 1:
        return command._replace(**draw(st.sampled_from(ODD)))  # type: ignore[arg-type]
    return command


class Posted:
    """The same call, posted in one pass as far as that goes, on a book of its own."""

    def __init__(self, commands: Sequence[Transfer], caller: Caller) -> None:
        request = pb.PostTransfersRequest(transfers=map(message_of, commands))
        self.read = read_transfers(request.SerializeToString())
        self.book = turned(TOWN.desk.replayed())
        self.draft = Draft(self.book.business_date)
        self.results: Sequence[object] = ()
        self.seen: list[str] = []
        if self.read is not None:
            done: asyncio.Future[list[Decided]] = asyncio.Future(loop=LOOP)
            call = Call(caller, self.read, done, ready=len(self.read))
            self.count = post(call, self.read.plain, self.book, self.draft, self._keep)
            self.results = call.decided
            assert self.count == call.at == len(self.results)

    def _keep(self, account: Account) -> None:
        self.seen.append(account.account_id)


class ByRules:
    """The same commands, decided by the rules one after the other, until one is not posted."""

    def __init__(self, commands: Sequence[Transfer], caller: Caller) -> None:
        self.book = turned(TOWN.desk.replayed())
        self.draft = Draft(self.book.business_date)
        self.results: list[str] = []
        for command in commands:
            entry = decide(command, caller, self.book)
            if not isinstance(entry, Entry):
                break
            self.draft.add(entry, self.book)
            answer = answer_of(entry, self.book.page_number, is_replayed=False)
            self.results.append(result_text(command.transfer_id, answer))


def turned(book: Book) -> Book:
    book.begin_page(book.page_number + 1, book.page_us)
    return book


def message_of(command: Transfer) -> pb.Transfer:
    legs = []
    for account_id, bank_id, direction, currency, minor in command.legs:
        amount = Money(currency_code=currency, minor_units=minor)
        leg = pb.Leg(direction=direction, amount=amount)  # type: ignore[arg-type]
        if bank_id:
            leg.clearing_bank_id = bank_id
        else:
            leg.account_id = account_id
        legs.append(leg)
    return pb.Transfer(
        transfer_id=command.transfer_id,
        legs=legs,
        purpose=command.purpose,
        correlation_id=command.correlation_id,
        fact_key=command.fact_key,
        value_date=command.value_date,
        obligation=None if command.obligation is None else pb.ObligationTerms(bank_id=BANK),
        corrects="" if command.corrects is None else command.corrects.entry,
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(transfers(), min_size=1, max_size=5), CALLERS)
def test_what_is_posted_in_one_pass_is_what_the_rules_post_byte_by_byte(
    commands: list[Transfer], caller: Caller
) -> None:
    posted = Posted(commands, caller)
    if posted.read is None:
        return

    by_rules = ByRules(commands[: posted.count], caller)

    assert list(posted.results) == by_rules.results
    assert posted.draft.encoded == by_rules.draft.encoded
    assert sorted(posted.draft.once) == sorted(by_rules.draft.once)
    assert posted.draft.size == by_rules.draft.size
    assert posted.book == by_rules.book
    balances = [entry_of(each).balances for each in posted.draft.encoded]
    assert posted.seen == [each.account_id for some in balances for each in some]


@settings(max_examples=300, deadline=None)
@given(transfers(), CALLERS)
def test_what_is_left_to_the_rules_is_refused_repeated_or_out_of_the_ordinary(
    command: Transfer, caller: Caller
) -> None:
    posted = Posted([command], caller)
    if posted.read is not None and posted.count:
        return

    by_rules = [entry_of(each).fact for each in ByRules([command], caller).draft.encoded]
    is_refused = not by_rules or isinstance(by_rules[0], CommandRefused)
    terms = command[5:]
    accounts = [TOWN.desk.book.accounts.get(leg.account_id) for leg in command.legs]
    is_ordinary = not any(terms) and all(each and not each.is_barred for each in accounts)
    assert is_refused or not is_ordinary


@pytest.mark.parametrize("kind", [Kind.CUSTOMER_WALLET, Kind.MERCHANT])
def test_an_ordinary_transfer_is_posted_in_one_pass(kind: Kind) -> None:
    payee = TOWN.desk.account(kind)
    legs = (debit(TOWN.accounts[0], 10), credit(payee, 10))
    command = Transfer(TOWN.desk.id(), legs, "rent", "c-1", "f-1", "", None)

    posted = Posted([command], PAYMENTS)

    assert posted.count == 1


@pytest.mark.parametrize(
    "change",
    [
        {"transfer_id": USED},
        {"transfer_id": REFUSED},
        {"transfer_id": AHEAD},
        {"transfer_id": "0190a000-0000-4000-8000-00000000000d"},
        {"transfer_id": "0190a000-0000-7000-c000-00000000000d"},
        {"fact_key": "fact"},
    ],
)
def test_where_a_rule_might_speak_nothing_is_posted(change: dict[str, str]) -> None:
    legs = (debit(TOWN.accounts[0], 1), credit(TOWN.accounts[1], 1))
    command = Transfer(TOWN.desk.id(), legs, "", "", "", "", None)

    assert Posted([command], PAYMENTS).count == 1
    assert Posted([command._replace(**change)], PAYMENTS).count == 0  # type: ignore[arg-type]


def test_a_fact_is_posted_once_and_an_id_too() -> None:
    legs = (debit(TOWN.accounts[0], 1), credit(TOWN.accounts[1], 1))
    first = Transfer(TOWN.desk.id(), legs, "", "", "one", "", None)

    assert Posted([first, first._replace(transfer_id=TOWN.desk.id())], PAYMENTS).count == 1
    assert Posted([first, first._replace(fact_key="other")], PAYMENTS).count == 1


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("minor", [1, 3, 4, 5, 6, 9, 10, 11, 50, 51])
@pytest.mark.parametrize(("payer", "payee"), [(0, 2), (1, 0), (5, 0), (5, 2)])
def test_bounds_count_holds_and_what_is_coming(
    payer: int, payee: int, minor: int, *, is_turned: bool
) -> None:
    legs = [debit(TOWN.accounts[payer], minor), credit(TOWN.accounts[payee], minor)]
    if is_turned:
        legs.reverse()
    command = Transfer(TOWN.desk.id(), tuple(legs), "", "", "", "", None)

    posted, by_rules = Posted([command], PAYMENTS), ByRules([command], PAYMENTS)

    assert posted.count == 1
    assert posted.draft.encoded == by_rules.draft.encoded
    assert posted.results == by_rules.results
    assert posted.book == by_rules.book


def test_what_is_out_of_bounds_is_refused_in_one_pass() -> None:
    legs = (debit(TOWN.accounts[1], 100), credit(TOWN.accounts[0], 100))
    command = Transfer(TOWN.desk.id(), legs, "rent", "c-1", "f-1", "", None)

    posted = Posted([command], PAYMENTS)

    assert posted.count == 1
    fact = entry_of(posted.draft.encoded[0]).fact
    assert isinstance(fact, CommandRefused)
    assert fact.reason == "BALANCE_TOO_LOW"
    assert "f-1" not in posted.book.facts


def test_a_full_page_takes_no_more() -> None:
    legs = (debit(TOWN.accounts[0], 1), credit(TOWN.accounts[1], 1))
    commands = [Transfer(TOWN.desk.id(), legs, "", "", "", "", None) for _ in range(4_500)]

    posted = Posted(commands, PAYMENTS)

    assert len(posted.draft.encoded) == posted.count < len(commands)
    assert posted.draft.is_full
    one_less = Draft("", posted.draft.encoded[:-1], size=posted.draft.size - 300)
    assert not one_less.is_full


def entry_of(encoded: bytes) -> Entry:
    return entry_from_wire(events_pb2.Entry.FromString(encoded))
