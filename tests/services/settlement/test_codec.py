"""Events as stored: protobuf reads what we write, and every version ever written is still read."""

from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from hefu.accounts.v1 import events_pb2 as journal
from hefu.settlement.v1 import events_pb2
from libs.event_store import StoredEvent
from libs.hearing import to_message
from libs.money import Money
from services.settlement.codec.heard import (
    OnBankSide,
    Page,
    Seal,
    Window,
    may_hold_movements,
    page_of,
)
from services.settlement.codec.own import EventUnknown, everything
from services.settlement.domain import (
    bank_transfer,
    breaks,
    cut_off,
    evidence,
    partner,
    settlement,
    statement,
)
from services.settlement.domain.status import Outcome

GOLDEN = Path(__file__).parents[2] / "golden" / "settlement"
CZK = Money("CZK", 72_500)
ITEM = bank_transfer.Item("p1", "u1", CZK, "ACCT1", "Anna")
SAID = bank_transfer.ItemOutcome("p1", "u1", Outcome.REFUSED, "AC01", "REF1", "2030-01-15")
LINE = statement.Line(1, "u1", "e1", "REF1", statement.Favour.BANK, CZK, "2030-01-15", "2030-01-16")
LEG = settlement.DisputedLeg("p1", "u1", "AMOUNT", b"\x01ours", b"\x02theirs")

# One file each under tests/golden/settlement, never edited: a new shape is a new file beside it.
STORED: dict[str, object] = {
    "partner_registered": partner.Registered(
        "CD",
        "Bank CD",
        "localhost:1",
        "hefu://bank/CD",
        bytes(range(32)),
        "key",
        "ACCT",
        "CZK",
        partner.Capability(
            (2, 5),
            ("ACSC",),
            refusal_is_final=True,
            batch_max=250,
            credit_line_minor=10**12,
            dedupe_horizon_s=86_400,
        ),
    ),
    "partner_opened": partner.Opened("w", "mirror"),
    "transfer_intended": bank_transfer.Intended("t", "CD", bank_transfer.Kind.PAYOUT, (ITEM,), "s"),
    "transfer_send_started": bank_transfer.SendStarted(2, "m", 1_900_000_000_000),
    "transfer_not_sent": bank_transfer.NotSent("refused", 1_900_000_000_000),
    "transfer_doubted": bank_transfer.Doubted("RESET", 1_900_000_000_000, ("p1",)),
    "transfer_inquiry_sent": bank_transfer.InquirySent(1, "i", 1_900_000_000_000),
    "transfer_items_decided": bank_transfer.ItemsDecided((SAID,), "r", "REPLY", 1_900_000_000_000),
    "transfer_items_booked": bank_transfer.ItemsBooked(("p1",), 7),
    "transfer_contradicted": bank_transfer.Contradicted("p1", Outcome.DONE, Outcome.REFUSED),
    "cut_off_requested": cut_off.Requested("r", (cut_off.WindowOfBank("CD", "w"),), "2030-01-15"),
    "cut_off_completed": cut_off.Completed(("s",)),
    "settlement_drafted": settlement.Drafted(
        "s", "CD", "CZK", ("w",), 3, 5, 9, "2030-01-15", b"\xff" * 32, 0
    ),
    "settlement_proposed": settlement.Proposed(1, b"header", b"root", b"sig", 3, 5, 9),
    "settlement_differed": settlement.Differed(1, b"root", (LEG,), 4),
    "settlement_legs_carried": settlement.LegsCarried(("p1",), "w", "w2", "AMOUNT"),
    "settlement_agreed": settlement.Agreed(2, b"digest", b"sig", "key"),
    "settlement_aborted": settlement.Aborted("why"),
    "settlement_instructed": settlement.Instructed(("t",)),
    "settlement_confirmed": settlement.Confirmed(3, 1, 2),
    "settlement_tied_out": settlement.TiedOut("CD-1", -5, -5, 9),
    "settlement_finalised": settlement.Finalised(b"ours", b"theirs"),
    "settlement_payments_settled": settlement.PaymentsSettled("s", ("p1",), 1),
    "message_sent": evidence.Sent(
        "CD", "m", "pain.001.001.09", b"<a/>", b"hash", b"sig", ("p1",), "asks"
    ),
    "message_received": evidence.Received(
        "CD",
        "m",
        "camt.053.001.08",
        b"<a/>",
        b"hash",
        b"sig",
        ("p1",),
        "SIGNATURE_INVALID",
        is_repeat=True,
        summary="statement 1",
        account_number="ACCT",
        statement_number=1,
        page=2,
        is_last_page=True,
    ),
    "statement_accepted": statement.Accepted(
        "CD-1", "CD", "ACCT", "CZK", 1, "2030-01-15", "2030-01-15", 0, -5, 1, ("m",)
    ),
    "statement_lines_matched": statement.LinesMatched(
        (LINE,), (statement.LineMatch(1, "p1", 1),), 1
    ),
    "statement_quarantined": statement.Quarantined("CD", "STATEMENT_TOTALS", "why", "m"),
    "break_opened": breaks.Opened("b", "ONLY_AT_BANK", "CD", "p1", "s", CZK, "why"),
    "break_cleared": breaks.Cleared("a whole one came"),
}


@pytest.mark.parametrize("name", STORED)
def test_an_event_reads_back_as_it_was(name: str) -> None:
    event = STORED[name]
    assert everything.decode(*everything.encode(event)) == event


@pytest.mark.parametrize("name", STORED)
def test_protobuf_itself_reads_and_writes_the_same(name: str) -> None:
    type_, data = everything.encode(STORED[name])
    descriptor = events_pb2.DESCRIPTOR.message_types_by_name[type_.rpartition(".")[2]]
    message = json_format.Parse(data, GetMessageClass(descriptor)())
    written = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert written == orjson.loads(data)


@pytest.mark.parametrize("name", STORED)
def test_every_version_ever_written_is_still_read(name: str) -> None:
    document = orjson.loads((GOLDEN / f"{name}.v1.json").read_bytes())
    decoded = everything.decode(document["type"], orjson.dumps(document["data"]))
    assert decoded == STORED[name]


def test_every_event_of_the_contract_has_a_file() -> None:
    kept = {orjson.loads(file.read_bytes())["type"] for file in GOLDEN.glob("*.json")}
    stems = ("Partner", "BankTransfer", "CutOff", "Settlement", "BankMessage", "Statement", "Break")
    values = {"StatementLine"}
    contract = {
        name
        for name in events_pb2.DESCRIPTOR.message_types_by_name
        if name.startswith(stems) and name not in values
    }
    assert {type_.rpartition(".")[2] for type_ in kept} == contract


def test_an_event_of_a_newer_version_is_named() -> None:
    with pytest.raises(EventUnknown):
        everything.decode("hefu.settlement.v1.SettlementReopened", b"{}")


def test_absent_fields_are_the_most_cautious_capability() -> None:
    data = orjson.dumps({"bank_id": "CD", "capability": {}})
    event = everything.decode("hefu.settlement.v1.PartnerRegistered", data)
    assert isinstance(event, partner.Registered)
    assert event.capability == partner.Capability()
    assert event.capability.schedule_s == (60, 600, 3_600)
    assert event.capability.batch_size == 1


def stored_page(entry: journal.Entry, metadata: dict[str, str]) -> StoredEvent:
    data = journal.PageWritten(page_number=7, entries=[entry]).SerializeToString()
    type_ = "hefu.accounts.v1.PageWritten"
    return StoredEvent(uuid4(), type_, data, metadata, "journal-0", 7, 77, 1, is_json=False)


PLAIN = journal.Entry(transfer_posted=journal.TransferPosted(fact_key="p/credit"))
MIRRORED = journal.Entry(transfer_posted=journal.TransferPosted(fact_key="p/mirror"))
SEALED = journal.Entry(window_sealed=journal.WindowSealed(window_id="w", next_window_id="x"))
OF_NO_WINDOW = {"actor": "accounts", "windows": "none"}


@pytest.mark.parametrize("metadata", [{}, {"actor": "accounts"}, OF_NO_WINDOW])
def test_what_the_mirror_followed_is_heard_whatever_the_page_says(
    metadata: dict[str, str],
) -> None:
    assert page_of(stored_page(MIRRORED, metadata)) == Page(7, (OnBankSide("p"),))
    assert page_of(stored_page(PLAIN, metadata)) == Page(7, ())


def test_windows_are_heard_unless_the_page_says_that_there_is_none() -> None:
    facts = (Seal("w", "", "", "x", 0, 0, 0), Window("x", "", ""))
    assert page_of(stored_page(SEALED, {"actor": "accounts"})) == Page(7, facts)
    assert page_of(stored_page(SEALED, OF_NO_WINDOW)) == Page(7, ())


@pytest.mark.parametrize(
    ("metadata", "may_hold"),
    [
        ({}, True),
        ({"actor": "accounts"}, True),
        ({"actor": '"windows":"none"'}, True),
        (OF_NO_WINDOW, False),
    ],
)
def test_a_page_of_no_window_holds_no_movement(metadata: dict[str, str], *, may_hold: bool) -> None:
    page = stored_page(PLAIN, metadata)

    assert may_hold_movements(to_message("accounts", page, 0, 0)) is may_hold
