"""Two pairs of eyes: what one operator proposes, another lets count or not, once for ever."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from libs.decider import Rejected


class Reason(Enum):
    PROPOSAL_DIFFERS = auto()
    PROPOSAL_NOT_FOUND = auto()
    APPROVER_IS_MAKER = auto()


class Proposal(Protocol):
    @property
    def proposal_id(self) -> str: ...
    @property
    def maker(self) -> str: ...


P = TypeVar("P", bound=Proposal)


@dataclass(frozen=True, slots=True)
class Proposals(Generic[P]):
    """What was proposed, oldest first, and what was decided of each."""

    every: tuple[P, ...] = ()
    approved: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    def get(self, proposal_id: str) -> P | None:
        return next((each for each in self.every if each.proposal_id == proposal_id), None)

    def proposed(self, proposal: P) -> "Proposals[P]":
        return replace(self, every=(*self.every, proposal))

    def with_approved(self, proposal_id: str) -> "Proposals[P]":
        return replace(self, approved=self.approved | {proposal_id})

    def with_refused(self, proposal_id: str) -> "Proposals[P]":
        return replace(self, refused=self.refused | {proposal_id})

    def to_approve(self, proposal_id: str, checker: str) -> P | None:
        """What the checker lets count now; None: it does already. Raises `Rejected`."""
        known = self._decided_by(checker, proposal_id)
        if proposal_id in self.refused:
            raise Rejected(Reason.PROPOSAL_DIFFERS, "it was refused")
        return None if proposal_id in self.approved else known

    def to_refuse(self, proposal_id: str, checker: str) -> P | None:
        """What the checker refuses now; None: it was refused before. Raises `Rejected`."""
        known = self._decided_by(checker, proposal_id)
        if proposal_id in self.approved:
            raise Rejected(Reason.PROPOSAL_DIFFERS, "it was approved")
        return None if proposal_id in self.refused else known

    def _decided_by(self, checker: str, proposal_id: str) -> P:
        known = self.get(proposal_id)
        if known is None:
            raise Rejected(Reason.PROPOSAL_NOT_FOUND)
        if known.maker == checker:
            raise Rejected(Reason.APPROVER_IS_MAKER, "another operator decides")
        return known
