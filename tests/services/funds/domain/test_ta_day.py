"""Stories of a trading day with a registrar: files in any order, cash once, nothing forgotten."""

from collections.abc import Sequence
from datetime import date
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.funds.domain.ta_day import (
    Acknowledged,
    Action,
    ApplyFile,
    Begun,
    CashAmended,
    CashDone,
    CashFailed,
    CashRequested,
    CashSettled,
    Command,
    CutOff,
    DeliveryDoubted,
    Event,
    Fact,
    FileApplied,
    FileLate,
    FileReceived,
    FileType,
    MoveCash,
    Open,
    Opened,
    OrdersBatched,
    OrdersSent,
    Purpose,
    Reason,
    ReceiveFile,
    Reconciled,
    Record,
    RunCutOff,
    Stage,
    Step,
    TaDay,
    Total,
    Watch,
    next_step,
    ta_day,
)
from tests.scenario import Scenario

story = Scenario(ta_day)
T, CONFIRM = date(2026, 3, 2), date(2026, 3, 3)
CUT_OFF_US = 1_000
OPENED = Opened("HFTA", T, CONFIRM)
CUT = CutOff(CUT_OFF_US)
BATCH = OrdersBatched("HFTA/2026-03-02/03/1", "ab" * 32, 2, 10_000_00, 5_00)
PRICES = FileReceived(FileType.PRICES, "07/1", 3)
ANSWERS = FileReceived(FileType.CONFIRMATIONS, "04/1", 2)
BALANCES = FileReceived(FileType.BALANCES, "05/1", 1)
TOTALS = (Total(Purpose.SUB, 10_000_00), Total(Purpose.RED, 4_99))


def applied(file: FileReceived, totals: tuple[Total, ...] = ()) -> FileApplied:
    return FileApplied(file.file_key, file.rows, 0, 0, totals)


PRICED = applied(PRICES)
CONFIRMED = applied(ANSWERS, TOTALS)
BALANCED = applied(BALANCES)
SENT: list[Event] = [OPENED, CUT, BATCH, Acknowledged()]
FILES: list[Event] = [PRICES, PRICED, ANSWERS, CONFIRMED, BALANCES, BALANCED]
PAY = CashRequested(Purpose.SUB, "p1", 10_000_00)
COLLECT = CashRequested(Purpose.RED, "p2", 4_99)
DONE: list[Event] = [*SENT, *FILES, Reconciled(0)]


def state_of(history: Sequence[Event]) -> Begun:
    state = story.given(history).state
    assert isinstance(state, Begun)
    return state


def receive(file: FileReceived) -> ReceiveFile:
    return ReceiveFile(file.file_type, file.file_key, file.rows)


@pytest.mark.parametrize(
    ("history", "stage", "step"),
    [
        ([OPENED], Stage.OPEN, None),
        ([OPENED, CUT], Stage.CUT_OFF, Action.BATCH_ORDERS),
        ([OPENED, CUT, BATCH], Stage.CUT_OFF, Action.SEND_ORDERS),
        ([OPENED, CUT, BATCH, DeliveryDoubted("x")], Stage.CUT_OFF, Action.ASK_FOR_RECEIPT),
        ([OPENED, CUT, BATCH, OrdersSent()], Stage.ORDERS_SENT, Action.SEND_ORDERS),
        (SENT, Stage.ACKNOWLEDGED, None),
        ([*SENT, PRICES], Stage.ACKNOWLEDGED, ApplyFile(FileType.PRICES, "07/1")),
        ([*SENT, PRICES, PRICED], Stage.PRICED, None),
        ([*SENT, ANSWERS, PRICES], Stage.ACKNOWLEDGED, ApplyFile(FileType.PRICES, "07/1")),
        (
            [*SENT, ANSWERS, PRICES, PRICED],
            Stage.PRICED,
            ApplyFile(FileType.CONFIRMATIONS, "04/1"),
        ),
        ([*SENT, *FILES[:4]], Stage.CONFIRMED, None),
        ([*SENT, *FILES], Stage.CONFIRMED, Action.RECONCILE),
        (DONE, Stage.RECONCILED, MoveCash(Purpose.SUB, 10_000_00, 0)),
        ([*DONE, PAY], Stage.RECONCILED, MoveCash(Purpose.RED, 4_99, 0)),
        ([*DONE, PAY, COLLECT], Stage.RECONCILED, None),
        (
            [*DONE, PAY, CashFailed("p1", "AC04")],
            Stage.RECONCILED,
            MoveCash(Purpose.SUB, 10_000_00, 1),
        ),
        (
            [*DONE, PAY, COLLECT, CashDone("p1"), CashDone("p2"), CashSettled()],
            Stage.CASH_SETTLED,
            None,
        ),
    ],
)
def test_where_the_day_stands_and_what_comes_next(
    history: list[Event], stage: Stage, step: Step | None
) -> None:
    state = state_of(history)

    assert state.stage is stage
    assert next_step(state) == step


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], Open("HFTA", T, CONFIRM), [OPENED]),
        ([OPENED], RunCutOff(CUT_OFF_US, CUT_OFF_US), [CUT]),
        ([OPENED, CUT], Record(BATCH), [BATCH]),
        ([OPENED, CUT, BATCH], Record(DeliveryDoubted("cut")), [DeliveryDoubted("cut")]),
        ([OPENED, CUT, BATCH], Record(OrdersSent()), [OrdersSent()]),
        ([OPENED, CUT, BATCH, DeliveryDoubted("x")], Record(Acknowledged()), [Acknowledged()]),
        (SENT, Record(DeliveryDoubted("late word")), []),
        (SENT, receive(PRICES), [PRICES]),
        # A registrar that answers orders has them.
        ([OPENED, CUT, BATCH, DeliveryDoubted("x")], receive(ANSWERS), [Acknowledged(), ANSWERS]),
        ([*SENT, PRICES], Record(PRICED), [PRICED]),
        ([*SENT, *FILES], Record(Reconciled(2)), [Reconciled(2)]),
        (DONE, Record(PAY), [PAY]),
        ([*DONE, PAY], Record(CashDone("p1")), [CashDone("p1")]),
        (
            [*DONE, PAY, COLLECT, CashDone("p1")],
            Record(CashDone("p2")),
            [CashDone("p2"), CashSettled()],
        ),
    ],
)
def test_what_happens_in_order_is_recorded_once(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], RunCutOff(0, 0), Reason.TA_DAY_NOT_FOUND),
        ([], receive(PRICES), Reason.TA_DAY_NOT_FOUND),
        ([OPENED], RunCutOff(CUT_OFF_US - 1, CUT_OFF_US), Reason.BEFORE_CUT_OFF),
        ([OPENED], Record(BATCH), Reason.TA_DAY_STATE),
        ([OPENED, CUT], Record(OrdersSent()), Reason.TA_DAY_STATE),
        (
            [OPENED, CUT, BATCH],
            Record(OrdersBatched("HFTA/2026-03-02/03/2", "cd" * 32, 2, 1, 1)),
            Reason.BATCH_DIFFERS,
        ),
        ([*SENT, PRICES], ReceiveFile(FileType.PRICES, "07/1", 4), Reason.CONTRADICTS_RECORD),
        (SENT, ReceiveFile(FileType.ORDERS, "03/9", 4), Reason.CONTRADICTS_RECORD),
        (SENT, Record(PRICED), Reason.TA_DAY_STATE),
        ([*SENT, *FILES[:5]], Record(Reconciled(0)), Reason.TA_DAY_STATE),
        (DONE, Record(CashRequested(Purpose.SUB, "p", 10_000_01)), Reason.TA_DAY_STATE),
        ([*DONE, PAY], Record(CashRequested(Purpose.SUB, "p", 1)), Reason.TA_DAY_STATE),
        (DONE, Record(CashDone("p1")), Reason.TA_DAY_STATE),
        ([*DONE, PAY, CashDone("p1")], Record(CashFailed("p1", "x")), Reason.TA_DAY_STATE),
    ],
)
def test_what_cannot_be_is_refused(history: list[Event], command: Command, reason: Reason) -> None:
    story.given(history).when(command).then_rejected(reason)


def test_a_file_that_is_late_is_seen_until_it_comes() -> None:
    due = ((FileType.PRICES, 100), (FileType.CONFIRMATIONS, 200))

    late = FileLate(FileType.PRICES, 100)
    after = story.given(SENT).when(Watch(150, due)).then([late])
    assert isinstance(after, Begun)
    assert after.late == (late,)
    assert state_of([*SENT, late, PRICES]).late == ()
    story.given([*SENT, PRICES]).when(Watch(150, due)).then_nothing()


def test_a_day_without_orders_and_cash_ends_when_it_is_reconciled() -> None:
    quiet = [*SENT, PRICES, PRICED, ANSWERS, applied(ANSWERS), BALANCES, BALANCED]

    story.given(quiet).when(Record(Reconciled(0))).then([Reconciled(0), CashSettled()])


def test_what_comes_after_the_end_is_applied_reconciled_and_paid_too() -> None:
    history = [*DONE, PAY, COLLECT, CashDone("p1"), CashDone("p2"), CashSettled()]
    more = FileReceived(FileType.CONFIRMATIONS, "04/2", 1)

    after = [*history, more]
    assert next_step(state_of(after)) == ApplyFile(FileType.CONFIRMATIONS, "04/2")
    after.append(applied(more, (Total(Purpose.SUB, 5_00),)))
    assert next_step(state_of(after)) is Action.RECONCILE
    after.append(Reconciled(0))
    assert next_step(state_of(after)) == MoveCash(Purpose.SUB, 5_00, 1)


def test_a_row_amended_after_the_end_is_paid_back_or_on_and_ends_the_day_again() -> None:
    history = [*DONE, PAY, COLLECT, CashDone("p1"), CashDone("p2"), CashSettled()]
    less = CashAmended("order/row", COLLECT.purpose, -7)
    story.given(history).when(Record(less)).then([less])

    state = state_of([*history, less])
    assert next_step(state) == MoveCash(COLLECT.purpose, -7, 1)
    assert not state.is_even(COLLECT.purpose)
    back = CashRequested(COLLECT.purpose, "p3", -7)
    too_much = CashRequested(COLLECT.purpose, "p3", -8)
    story.given([*history, less]).when(Record(too_much)).then_rejected(Reason.TA_DAY_STATE)
    done = CashDone("p3")
    story.given([*history, less, back]).when(Record(done)).then([done, CashSettled()])
    # The newest word of a place counts: taken back, nothing is to be paid.
    same = CashAmended("order/row", COLLECT.purpose, 0)
    story.given([*history, less]).when(Record(same)).then([same, CashSettled()])


@pytest.mark.parametrize("order", list(permutations([PRICES, ANSWERS, BALANCES])))
def test_files_in_any_order_end_in_the_same_state(order: tuple[FileReceived, ...]) -> None:
    state: TaDay = ta_day.fold(ta_day.initial, [OPENED, CUT, BATCH])
    for file in order:
        state = ta_day.fold(state, ta_day.decide(receive(file), state))
    facts = {PRICES.file_key: PRICED, ANSWERS.file_key: CONFIRMED, BALANCES.file_key: BALANCED}
    applied_keys = []
    while isinstance(step := next_step(state), ApplyFile):
        applied_keys.append(step.file_key)
        state = ta_day.fold(state, ta_day.decide(Record(facts[step.file_key]), state))

    assert applied_keys == ["07/1", "04/1", "05/1"]
    assert next_step(state) is Action.RECONCILE


def answers(step: Step, draw: st.DrawFn) -> Fact:
    """What the world may make of a step."""
    match step:
        case Action.BATCH_ORDERS:
            return BATCH
        case Action.SEND_ORDERS:
            return DeliveryDoubted("lost") if draw(st.booleans()) else Acknowledged()
        case Action.ASK_FOR_RECEIPT:
            return Acknowledged()
        case Action.RECONCILE:
            return Reconciled(draw(st.integers(0, 3)))
        case ApplyFile(_, key):
            totals = (Total(draw(st.sampled_from(Purpose)), draw(st.integers(0, 5))),)
            return FileApplied(key, 1, 0, 0, totals)
        case MoveCash(purpose, amount, ordinal):
            return CashRequested(purpose, f"{purpose.name}-{ordinal}", amount)


@given(st.data())
def test_every_day_that_gets_its_files_comes_to_its_end(data: st.DataObject) -> None:
    state: TaDay = ta_day.fold(ta_day.initial, [OPENED, CUT])
    files = data.draw(st.permutations([PRICES, ANSWERS, BALANCES]))
    waiting = list(files)
    for _ in range(60):
        step = next_step(state)
        if waiting and (step is None or data.draw(st.booleans())):
            command: Command = receive(waiting.pop())
        elif step is not None:
            command = Record(data.draw(_facts(step)))
        else:
            asked = [
                each.request.payment_id
                for each in getattr(state, "cash", ())
                if each.stage.name == "REQUESTED"
            ]
            if not asked:
                break
            is_done = data.draw(st.booleans())
            fact = CashDone(asked[0]) if is_done else CashFailed(asked[0], "x")
            command = Record(fact)
        state = ta_day.fold(state, ta_day.decide(command, state))
        assert list(ta_day.decide(command, state)) == []

    assert isinstance(state, Begun)
    if next_step(state) is None and not any(c.stage.name == "REQUESTED" for c in state.cash):
        assert state.stage is Stage.CASH_SETTLED
        for purpose in Purpose:
            assert state.requested(purpose) == state.total(purpose)


@st.composite
def _facts(draw: st.DrawFn, step: Step) -> Fact:
    return answers(step, draw)
