"""Investors, registrars, files and breaks: small lives, told whole."""

from dataclasses import replace
from datetime import date

import pytest

from libs.decider import Rejected
from libs.fund_arithmetic import InvestorKind
from libs.suitability import InvestorClass, RiskLevel
from services.funds.domain import breaks as brk
from services.funds.domain import files, investor, registrar
from tests.scenario import Scenario

people = Scenario(investor.investor)
PROFILE = investor.ClassRecorded(
    InvestorClass.C2, InvestorKind.PERSON, date(2026, 12, 31), "v1", "olga"
)
WARNING = investor.WarningAcknowledged(
    "w1", "000001", InvestorClass.C2, RiskLevel.R4, "ab" * 32, 1_000
)
SECOND = investor.SecondConfirmed("s1", "000001", "w1", 2_000)


def test_a_class_is_recorded_when_it_changes() -> None:
    people.when(investor.RecordClass(PROFILE)).then([PROFILE])
    newer = replace(PROFILE, investor_class=InvestorClass.C3)
    after = people.given([PROFILE]).when(investor.RecordClass(newer)).then([newer])
    assert after.profile == newer


def test_a_warning_and_a_second_confirmation_are_kept_by_their_ids() -> None:
    people.given([PROFILE]).when(investor.AcknowledgeWarning(WARNING)).then([WARNING])
    again = replace(WARNING, acknowledge_us=5_000)
    people.given([PROFILE, WARNING]).when(investor.AcknowledgeWarning(again)).then_nothing()
    people.given([PROFILE, WARNING]).when(investor.ConfirmAgain(SECOND)).then([SECOND])


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        (
            [PROFILE],
            investor.AcknowledgeWarning(replace(WARNING, warning_id="")),
            investor.Reason.FIELD_REQUIRED,
        ),
        ([], investor.AcknowledgeWarning(WARNING), investor.Reason.INVESTOR_NOT_IDENTIFIED),
        (
            [replace(PROFILE, investor_class=InvestorClass.C1)],
            investor.AcknowledgeWarning(WARNING),
            investor.Reason.SUITABILITY_CLASS_CHANGED,
        ),
        (
            [PROFILE, WARNING],
            investor.AcknowledgeWarning(replace(WARNING, risk_level=RiskLevel.R5)),
            investor.Reason.IDEMPOTENCY_KEY_REUSED,
        ),
        ([PROFILE], investor.ConfirmAgain(SECOND), investor.Reason.WARNING_UNKNOWN),
        (
            [PROFILE, WARNING],
            investor.ConfirmAgain(replace(SECOND, fund_code="000002")),
            investor.Reason.WARNING_UNKNOWN,
        ),
        (
            [PROFILE, WARNING, SECOND],
            investor.ConfirmAgain(replace(SECOND, warning_id="")),
            investor.Reason.IDEMPOTENCY_KEY_REUSED,
        ),
    ],
)
def test_what_investors_cannot_do_is_refused(
    history: list[investor.Event], command: investor.Command, reason: investor.Reason
) -> None:
    people.given(history).when(command).then_rejected(reason)


offices = Scenario(registrar.registrar)
HFTA = registrar.Registrar("HFTA", "Hefu", "localhost:1", "CD", "TA1", "CZK", "default")


def test_a_registrar_may_move_but_not_be_paid_elsewhere() -> None:
    known = registrar.Registered(HFTA, "olga")
    moved = replace(HFTA, address="localhost:2")

    offices.when(registrar.Register(HFTA, "olga")).then([known])
    offices.given([known]).when(registrar.Register(HFTA, "petr")).then_nothing()
    offices.given([known]).when(registrar.Register(moved, "petr")).then(
        [registrar.Registered(moved, "petr")]
    )
    other = registrar.Register(replace(moved, bank_account="TA2"), "petr")
    offices.given([known]).when(other).then_rejected(
        registrar.Reason.REGISTRAR_TERMS_FIXED, "registrar.bank_account"
    )


shelf = Scenario(files.files)
STORE = files.Store(
    "HFTA/2026-03-02/04/1", b"x" * (files.PIECE_MAX + 1), "ab" * 32, is_outgoing=False
)
STORED: list[files.Event] = [
    files.Stored(STORE.file_key, STORE.sha256, files.PIECE_MAX + 1, 2, is_outgoing=False),
    files.PieceStored(0, b"x" * files.PIECE_MAX),
    files.PieceStored(1, b"x"),
]


def test_a_file_is_kept_byte_for_byte_and_the_same_bytes_again_are_nothing_new() -> None:
    after = shelf.when(STORE).then(STORED)

    assert isinstance(after, files.Kept)
    assert after.content == STORE.content


def test_other_bytes_under_the_same_key_stop() -> None:
    other = replace(STORE, sha256="cd" * 32, content=b"y")

    shelf.given(STORED).when(other).then_rejected(files.Reason.FILE_DIFFERS)


def test_a_file_is_taken_whole_or_not_at_all() -> None:
    taken, refused = files.Accepted(5), files.Quarantined("COUNT", "six rows, five told")

    shelf.given(STORED).when(files.Accept(5)).then([taken])
    shelf.given(STORED).when(files.Quarantine("COUNT", "six rows, five told")).then([refused])
    shelf.given([*STORED, refused]).when(files.Accept(5)).then_rejected(
        files.Reason.CONTRADICTS_RECORD
    )
    shelf.when(files.Accept(5)).then_rejected(files.Reason.FILE_UNKNOWN)


def test_an_empty_file_has_no_pieces() -> None:
    empty = files.Store("k", b"", "e3" * 32, is_outgoing=True)

    after = shelf.when(empty).then([files.Stored("k", "e3" * 32, 0, 0, is_outgoing=True)])

    assert isinstance(after, files.Kept)
    assert after.content == b""


desk = Scenario(brk.breaks)
TERMS = brk.Terms("b1", brk.BreakType.AMOUNT_DIFF, "HFTA", date(2026, 3, 2), ours="1", theirs="2")
FOUND = brk.Found(TERMS, 1_000)
LATE = brk.Found(replace(TERMS, type=brk.BreakType.LATE), 1_000)
PROPOSED = brk.RepairProposed("p1", brk.Repair.ACCEPT_THEIRS, "seen the paper", "olga")
APPROVED = brk.RepairApproved("p1", "petr")
PROPOSE = brk.ProposeRepair("p1", brk.Repair.ACCEPT_THEIRS, "seen the paper", "olga")
FAILED = brk.RepairFailed("p1", "no row")
SECOND_TRY = replace(PROPOSE, proposal_id="p2")
# A row that came later than the one the order was answered with.
LATER = brk.Found(replace(TERMS, order_id="o1", theirs="HFTA-2026-03-02-04-002#1"), 1_000)
AMENDING = replace(PROPOSED, repair=brk.Repair.AMEND)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], brk.Find(TERMS, 1_000), [FOUND]),
        ([FOUND], brk.Find(TERMS, 9_000), []),
        ([FOUND], brk.SetOwner("olga"), [brk.OwnerSet("olga")]),
        ([FOUND], PROPOSE, [PROPOSED]),
        ([FOUND, PROPOSED], brk.ApproveRepair("p1", "petr"), [APPROVED]),
        (
            [FOUND, PROPOSED],
            brk.RefuseRepair("p1", "petr", "no"),
            [brk.RepairRefused("p1", "petr", "no")],
        ),
        ([FOUND, PROPOSED, APPROVED], brk.Close("repaired"), [brk.Closed("repaired")]),
        ([FOUND, PROPOSED, APPROVED], brk.FailRepair("p1", "no row"), [FAILED]),
        ([FOUND, PROPOSED, APPROVED, FAILED], SECOND_TRY, [replace(PROPOSED, proposal_id="p2")]),
        ([LATER], replace(PROPOSE, repair=brk.Repair.AMEND), [AMENDING]),
        # Only what was late closes itself.
        ([LATE], brk.Close("the row arrived"), [brk.Closed("the row arrived")]),
    ],
)
def test_a_break_is_found_once_and_repaired_by_two(
    history: list[brk.Event], command: brk.Command, events: list[brk.Event]
) -> None:
    desk.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], PROPOSE, brk.Reason.BREAK_NOT_FOUND),
        ([FOUND], replace(PROPOSE, proposal_id=""), brk.Reason.FIELD_REQUIRED),
        ([FOUND], brk.ApproveRepair("p1", "petr"), brk.Reason.PROPOSAL_NOT_FOUND),
        ([FOUND, PROPOSED], brk.ApproveRepair("p1", "olga"), brk.Reason.APPROVER_IS_MAKER),
        ([FOUND, PROPOSED], brk.RefuseRepair("p1", "olga", ""), brk.Reason.APPROVER_IS_MAKER),
        ([FOUND, PROPOSED], replace(PROPOSE, note="other"), brk.Reason.PROPOSAL_DIFFERS),
        (
            [FOUND, PROPOSED, APPROVED],
            replace(PROPOSE, proposal_id="p2"),
            brk.Reason.PROPOSAL_DIFFERS,
        ),
        (
            [FOUND, PROPOSED, brk.RepairRefused("p1", "petr", "")],
            PROPOSE,
            brk.Reason.PROPOSAL_DIFFERS,
        ),
        ([FOUND, PROPOSED], brk.Close("by itself"), brk.Reason.REPAIR_NOT_APPROVED),
        ([LATE, brk.Closed("came")], PROPOSE, brk.Reason.BREAK_CLOSED),
        ([LATER], PROPOSE, brk.Reason.REPAIR_NOT_POSSIBLE),
        ([FOUND], replace(PROPOSE, repair=brk.Repair.AMEND), brk.Reason.REPAIR_NOT_POSSIBLE),
        ([FOUND, PROPOSED], brk.FailRepair("p1", "x"), brk.Reason.REPAIR_NOT_APPROVED),
        ([FOUND, PROPOSED, APPROVED, FAILED], PROPOSE, brk.Reason.PROPOSAL_DIFFERS),
    ],
)
def test_what_operators_cannot_do_is_refused(
    history: list[brk.Event], command: brk.Command, reason: brk.Reason
) -> None:
    desk.given(history).when(command).then_rejected(reason)


def test_an_approved_repair_is_due_until_the_break_is_closed() -> None:
    approved: list[brk.Event] = [FOUND, PROPOSED, APPROVED]

    assert brk.next_step(desk.given([FOUND, PROPOSED]).state) is None
    assert brk.next_step(desk.given(approved).state) is brk.Action.REPAIR
    assert brk.next_step(desk.given([*approved, brk.Closed("done")]).state) is None


def test_a_break_has_an_age() -> None:
    state = desk.given([FOUND]).state

    assert isinstance(state, brk.Standing)
    assert brk.age_us(state, 5_000) == 4_000


def test_impossible_history_stops() -> None:
    with pytest.raises(AssertionError):
        brk.evolve(brk.Absent(), APPROVED)
    with pytest.raises(AssertionError):
        files.evolve(files.Absent(), files.Accepted(1))
    with pytest.raises(Rejected):
        brk.decide(brk.Close("x"), brk.Absent())
