"""What a bank's codes mean: exactly one of five outcomes; whatever is unsure is unknown."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

_ENDS_WELL = frozenset({"ACSC", "ACCC"})
_ON_ITS_WAY = frozenset(
    {"RCVD", "ACTC", "ACCP", "ACFC", "ACPD", "ACSP", "ACWP", "PATC", "PDNG", "ACWC"}
)
_STOPPED = "BLCK"
_REJECTED = "RJCT"
_CANCELLED = "CANC"
_NOT_FOUND = frozenset({"AG09", "NOOR"})
_REPEAT = re.compile(r"AM05|DU0[1-5]", re.ASCII)
_ABORTED = re.compile(r"AB(0[1-9]|1[01])", re.ASCII)
_RULE = re.compile(r"AC[0-9]{2}|AM0[2-4]|AG01|FF01|RR[0-9]{2}", re.ASCII)
# Without the bank's word that its refusals are final, two inquiries must agree.
_AGREEING_INQUIRIES = 2
NOT_FOUND = "NOT_FOUND"


class Outcome(Enum):
    """The five outcomes of a bank link. Only `DONE` and `REFUSED` are final."""

    DONE = auto()
    PENDING = auto()
    REFUSED = auto()
    NOT_SENT = auto()
    UNKNOWN = auto()

    @property
    def is_final(self) -> bool:
        return self in (Outcome.DONE, Outcome.REFUSED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, the reason to keep with it, and whether a case must be opened."""

    outcome: Outcome
    reason: str = ""
    opens_case: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What bears on a code besides itself.

    `inquiries_refused` counts answers to inquiries that refused, the one in hand included.
    """

    final_status: Collection[str]
    refusal_is_final: bool
    is_inquiry_answer: bool = False
    inquiries_refused: int = 0


def verdict(status: str, reason: str, standing: Standing) -> Verdict:
    """The outcome of a transaction status (joint settlement, section 14)."""
    if status in _ENDS_WELL:
        return Verdict(Outcome.DONE if status in standing.final_status else Outcome.PENDING)
    if status in _ON_ITS_WAY:
        return Verdict(Outcome.PENDING)
    if status == _STOPPED:
        return Verdict(Outcome.PENDING, status, opens_case=True)
    if status == _CANCELLED:
        return Verdict(Outcome.UNKNOWN, status, opens_case=True)
    if status == _REJECTED:
        return _rejected(reason, standing)
    return Verdict(Outcome.UNKNOWN, f"STATUS_{status}" if status else "NO_STATUS")


def _rejected(reason: str, standing: Standing) -> Verdict:
    if standing.is_inquiry_answer and reason in _NOT_FOUND:
        return Verdict(Outcome.UNKNOWN, NOT_FOUND)
    if _REPEAT.fullmatch(reason):
        # Refused because of a repeat: another copy exists.
        return Verdict(Outcome.UNKNOWN, reason)
    if _ABORTED.fullmatch(reason):
        is_confirmed = standing.is_inquiry_answer and standing.inquiries_refused > 0
        return Verdict(Outcome.REFUSED if is_confirmed else Outcome.UNKNOWN, reason)
    if _RULE.fullmatch(reason):
        is_final = standing.refusal_is_final or standing.inquiries_refused >= _AGREEING_INQUIRIES
        return Verdict(Outcome.REFUSED if is_final else Outcome.UNKNOWN, reason)
    return Verdict(Outcome.UNKNOWN, f"RJCT_{reason}" if reason else _REJECTED)


def line_outcome(status: str) -> Outcome | None:
    """The outcome of a notice's or statement's line; None: it says nothing."""
    match status:
        case "BOOK":
            return Outcome.DONE
        case "PDNG":
            return Outcome.PENDING
        case "INFO":
            return None
        case _:
            return Outcome.UNKNOWN
