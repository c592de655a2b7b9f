"""A walk through the journal: commands drawn, and what must hold after each."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    CloseWindow,
    Command,
    FreezeAccount,
    SealWindow,
    UnfreezeAccount,
)
from services.accounts.domain.entries import Entry, HoldPlaced, Obligation
from services.accounts.domain.forgetting import lower_to
from services.accounts.domain.journal import Repeated, decide
from services.accounts.domain.kinds import Direction, FreezeSide, Kind
from services.accounts.domain.snapshot import freeze_book, thaw_book
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    Desk,
    banks,
    clearing,
    credit,
    debit,
    ours,
)
from tests.services.accounts.domain.reference import Reference

# Mostly within what the wallets have: a walk of refusals proves little.
AMOUNTS = st.one_of(st.integers(1, 90), st.integers(1, 1_500))


class Walk(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.desk = Desk()
        self.reference = Reference()
        self.taken = 0
        desk = self.desk
        self.wallets = [desk.account(funds=1_000) for _ in range(3)]
        self.merchant = desk.account(Kind.MERCHANT)
        self.in_transit = desk.account(Kind.IN_TRANSIT_IN)
        self.out = desk.account(Kind.IN_TRANSIT_OUT)
        self.mirror = desk.account(Kind.BANK_MIRROR)
        self.windows = [desk.window()]
        self.holds: list[str] = []
        self.freezes: list[tuple[str, str]] = []
        self.obligations: list[Obligation] = []

    def _do(self, command: Command, caller: Caller = PAYMENTS) -> Entry | None:
        """Decide twice: the second time must change nothing."""
        decision = self.desk.do(command, caller)
        before = freeze_book(self.desk.book)
        again = decide(command, caller, self.desk.book)
        assert not isinstance(again, Entry)
        if isinstance(decision, Entry) and not isinstance(command, SealWindow | CloseWindow):
            assert isinstance(again, Repeated)
            assert not again.terms
        assert freeze_book(self.desk.book) == before
        if not isinstance(decision, Entry):
            return None
        if decision.obligation is not None:
            self.obligations.append(decision.obligation)
        return decision

    @rule(payer=st.integers(0, 2), payee=st.integers(0, 2), minor=AMOUNTS)
    def transfer(self, payer: int, payee: int, minor: int) -> None:
        source, target = self.wallets[payer], self.wallets[payee]
        self._do(self.desk.transferring(debit(source, minor), credit(target, minor)))

    @rule(wallet=st.integers(0, 2), minor=AMOUNTS)
    def top_up(self, wallet: int, minor: int) -> None:
        legs = (debit(self.in_transit, minor), credit(self.wallets[wallet], minor))
        self._do(self.desk.transferring(*legs, obligation=ours(minor)))

    @rule(minor=AMOUNTS)
    def mirror_what_the_bank_booked(self, minor: int) -> None:
        legs = (debit(self.mirror, minor), credit(self.in_transit, minor))
        self._do(self.desk.transferring(*legs), SETTLEMENT)

    @rule(
        wallet=st.integers(0, 2),
        minor=AMOUNTS,
        seconds=st.sampled_from([0, 5, 60]),
        is_named=st.booleans(),
    )
    def place(self, wallet: int, minor: int, seconds: int, *, is_named: bool) -> None:
        destination = self.merchant if is_named else ""
        command = self.desk.placing(self.wallets[wallet], minor, destination, seconds)
        entry = self._do(command)
        if entry is not None and isinstance(entry.fact, HoldPlaced):
            self.holds.append(command.hold_id)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), is_final=st.booleans(), is_all=st.booleans(), to_bank=st.booleans())
    def capture(self, data: st.DataObject, *, is_final: bool, is_all: bool, to_bank: bool) -> None:
        hold_id = data.draw(st.sampled_from(self.holds[-3:]))
        minor = None if is_all else data.draw(AMOUNTS)
        if to_bank:
            amount = minor or 1
            command = self.desk.capturing(
                hold_id, minor, bank_id=BANK, is_final=is_final, obligation=banks(amount)
            )
        else:
            command = self.desk.capturing(hold_id, minor, self.merchant, is_final=is_final)
        self._do(command)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), is_all=st.booleans())
    def release(self, data: st.DataObject, *, is_all: bool) -> None:
        hold_id = data.draw(st.sampled_from(self.holds))
        self._do(self.desk.releasing(hold_id, None if is_all else data.draw(AMOUNTS)))

    @rule(seconds=st.integers(0, 30))
    def turn_the_page(self, seconds: int) -> None:
        self.desk.turn_page(seconds)

    @rule(wallet=st.integers(0, 2), side=st.sampled_from(FreezeSide), stops=st.booleans())
    def freeze(self, wallet: int, side: FreezeSide, *, stops: bool) -> None:
        freeze_id = self.desk.id()
        self._do(FreezeAccount(freeze_id, self.wallets[wallet], side, "x", stops), OPERATOR)
        self.freezes.append((freeze_id, self.wallets[wallet]))

    @precondition(lambda self: self.freezes)
    @rule()
    def unfreeze(self) -> None:
        self._do(UnfreezeAccount(self.desk.id(), *self.freezes.pop()), OPERATOR)

    @rule()
    def seal(self) -> None:
        next_id = self.desk.id()
        self._do(SealWindow(next_id, self.windows[-1]), SETTLEMENT)
        self.windows.append(next_id)

    @precondition(lambda self: len(self.windows) > 1)
    @rule(data=st.data())
    def instruct_and_close(self, data: st.DataObject) -> None:
        window = self.desk.book.windows[data.draw(st.sampled_from(self.windows[:-1]))]
        owed = self.desk.book.accounts[window.clearing_account_id].posted
        if owed:
            legs = (debit(window.clearing_account_id, owed), credit(self.out, owed))
            self._do(self.desk.transferring(*legs), SETTLEMENT)
        self._do(CloseWindow(window.window_id), SETTLEMENT)

    @rule(minor=AMOUNTS)
    def give_back(self, minor: int) -> None:
        legs = (debit(self.out, minor), credit(self.wallets[0], minor))
        self._do(self.desk.transferring(*legs))

    @rule(minor=AMOUNTS)
    def spend_into_the_window(self, minor: int) -> None:
        legs = (debit(self.wallets[1], minor), clearing(Direction.CREDIT, minor))
        self._do(self.desk.transferring(*legs, obligation=banks(minor)))

    @invariant()
    def the_reference_agrees(self) -> None:
        entries = [entry for page in self.desk.pages for entry in page]
        for entry in entries[self.taken :]:
            self.reference.take(entry)
        self.taken = len(entries)
        for account_id, account in self.desk.book.accounts.items():
            assert account.posted == self.reference.posted(account_id)
            assert account.held == self.reference.held(account_id)
            assert account.incoming == self.reference.incoming(account_id)
            assert account.floor is None or account.available >= account.floor
        assert not self.reference.imbalances()
        assert not list(self.reference.unexplained_holds())

    @invariant()
    def windows_count_what_entries_say(self) -> None:
        for window_id, window in self.desk.book.windows.items():
            mine = [each for each in self.obligations if each.window_id == window_id]
            assert window.legs == len(mine)
            assert window.sum_ours == sum(each.minor for each in mine if each.favour == 1)
            assert window.sum_bank == sum(each.minor for each in mine if each.favour != 1)

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        assert self.desk.replayed() == self.desk.book
        thawed = thaw_book(*freeze_book(self.desk.book))
        lower_to(self.desk.book, self.desk.book.page_number)
        assert thawed == self.desk.book
        assert thawed.next_deadline_us() == self.desk.book.next_deadline_us()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=50)
