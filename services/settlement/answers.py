"""What a bank's message says about a transfer's items; pure, and any disagreement is unknown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from libs.iso20022 import Entry, Notice, StatusReport, TransactionStatus
from services.settlement.domain.bank_transfer import (
    ItemOutcome,
    ItemState,
    Kind,
    Live,
    Source,
)
from services.settlement.domain.partner import Capability
from services.settlement.domain.status import NOT_FOUND, Outcome, Standing, line_outcome, verdict

_REFERENCE_DIGITS = 32
_PER_TRANSACTION = "PART"


def payment_id_of(end_to_end_id: str) -> str | None:
    """The payment a reference of ours names; None where it is no reference of ours."""
    if len(end_to_end_id) != _REFERENCE_DIGITS:
        return None
    try:
        return str(UUID(end_to_end_id))
    except ValueError:
        return None


def end_to_end_id_of(payment_id: str) -> str:
    """A payment's reference at banks: its id as 32 hex digits."""
    return payment_id.replace("-", "")


def payments_of(message: StatusReport | Notice) -> list[str | None]:
    """The payments a message names, in order; None for a reference that is not ours."""
    parts: Iterable[TransactionStatus | Entry] = (
        message.transactions if isinstance(message, StatusReport) else message.entries
    )
    return [payment_id_of(part.end_to_end_id) for part in parts]


def _by_reference(transfer: Live) -> Mapping[str, ItemState]:
    # A report may speak of hundreds of transfers: one look for each of its lines, no parsing.
    return {end_to_end_id_of(id_): known for id_, known in transfer.items.items()}


def said_by_report(
    report: StatusReport, transfer: Live, capability: Capability, source: Source
) -> list[ItemOutcome]:
    """Outcomes of the items the report names; of all where it speaks of the whole message."""
    by_reference = _by_reference(transfer)
    said = [
        _of_status(status, report, known, capability, source)
        for status in report.transactions
        if (known := by_reference.get(status.end_to_end_id)) is not None
    ]
    if report.group_status and report.group_status != _PER_TRANSACTION and not said:
        group = TransactionStatus(None, "", report.group_status, report.group_reason)
        said = [
            _of_status(group, report, known, capability, source)
            for known in transfer.items.values()
        ]
    return said


def _of_status(
    status: TransactionStatus,
    report: StatusReport,
    known: ItemState,
    capability: Capability,
    source: Source,
) -> ItemOutcome:
    item = known.item
    if status.uetr is not None and str(status.uetr) != item.uetr:
        return ItemOutcome(item.payment_id, item.uetr, Outcome.UNKNOWN, "OTHER_REFERENCE")
    if status.amount is not None and status.amount != item.amount:
        return ItemOutcome(item.payment_id, item.uetr, Outcome.UNKNOWN, "OTHER_AMOUNT")
    is_inquiry = source is Source.INQUIRY
    code = status.status or ("" if report.group_status == _PER_TRANSACTION else report.group_status)
    found = verdict(
        code,
        status.reason,
        Standing(
            capability.final_status,
            capability.refusal_is_final,
            is_inquiry_answer=is_inquiry,
            inquiries_refused=known.inquiries_refused + is_inquiry,
        ),
    )
    return ItemOutcome(
        item.payment_id,
        item.uetr,
        found.outcome,
        found.reason,
        status.bank_reference,
        status.value_date,
    )


def said_by_notice(notice: Notice, account_number: str, transfer: Live) -> list[ItemOutcome]:
    """Outcomes of the items that the notice's lines name and agree with in every term."""
    said = []
    by_reference = _by_reference(transfer)
    for entry in notice.entries:
        known = by_reference.get(entry.end_to_end_id)
        outcome = line_outcome(entry.status)
        if known is None or outcome is None:
            continue
        if notice.account_number != account_number or not _agrees(entry, known, transfer):
            outcome = Outcome.UNKNOWN
        reason = "OTHER_TERMS" if outcome is Outcome.UNKNOWN else ""
        said.append(
            ItemOutcome(
                known.item.payment_id,
                known.item.uetr,
                outcome,
                reason,
                entry.bank_reference,
                entry.value_date,
            )
        )
    return said


def _agrees(entry: Entry, known: ItemState, transfer: Live) -> bool:
    favour = "C" if transfer.terms.kind is Kind.PULL else "D"
    return (
        not entry.is_reversal
        and entry.amount == known.item.amount
        and entry.favour == favour
        and (entry.uetr is None or str(entry.uetr) == known.item.uetr)
    )


def with_silence(transfer: Live, said: Sequence[ItemOutcome]) -> tuple[ItemOutcome, ...]:
    """The same, and unknown for each item that an answer to its send says nothing of."""
    named = {each.payment_id for each in said}
    silent = [
        ItemOutcome(known.item.payment_id, known.item.uetr, Outcome.UNKNOWN, "NO_STATUS")
        for known in transfer.items.values()
        if known.item.payment_id not in named and known.outcome is None
    ]
    return (*said, *silent)


def contradictions(transfer: Live, said: Sequence[ItemOutcome]) -> list[ItemOutcome]:
    """What contradicts a final outcome: stored as such, never an edit."""
    return [
        each
        for each in said
        if (known := transfer.items.get(each.payment_id)) is not None
        and known.is_final
        and each.outcome.is_final
        and each.outcome is not known.outcome
    ]


def in_words(message: StatusReport | Notice) -> str:
    """The message in a few words: "248 ACSC, 2 RJCT AC01"."""
    if isinstance(message, Notice):
        counted = Counter(f"{entry.status} {entry.favour}" for entry in message.entries)
    else:
        counted = Counter(
            f"{tx.status or message.group_status} {tx.reason}".strip()
            for tx in message.transactions
        )
        if not counted:
            counted[f"group {message.group_status} {message.group_reason}".strip()] = 1
    return ", ".join(f"{count} {what}" for what, count in sorted(counted.items()))[:200]


__all__ = [
    "NOT_FOUND",
    "contradictions",
    "end_to_end_id_of",
    "in_words",
    "payment_id_of",
    "payments_of",
    "said_by_notice",
    "said_by_report",
    "with_silence",
]
