"""Given these events, when this command, then those events: how a decider is told about in tests.

`Scenario(payment).given([Requested(terms)]).when(Cancel(id_)).then([CancelRequested(id_)])`
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

import pytest

from libs.decider import Decider, Rejected

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class When(Generic[C, S, E]):
    """A command about to be decided."""

    decider: Decider[C, S, E]
    history: Sequence[E]
    command: C

    def then(self, events: Sequence[E]) -> S:
        """The command gives exactly these events; deciding it again after them gives none."""
        before = self._state(self.history)
        decided = list(self.decider.decide(self.command, before))
        assert decided == list(events)
        after = self._state([*self.history, *decided])
        again = list(self.decider.decide(self.command, after))
        assert again == [], "the same command twice must record nothing the second time"
        return after

    def then_nothing(self) -> S:
        """The command is accepted and records nothing: it was known already."""
        return self.then([])

    def then_rejected(self, reason: Enum, *fields: str) -> Rejected:
        """The command is the caller's mistake. With `fields`, exactly those are named, in order."""
        with pytest.raises(Rejected) as caught:
            self.decider.decide(self.command, self._state(self.history))
        assert caught.value.reason is reason
        if fields:
            assert tuple(v.field for v in caught.value.violations) == fields
        return caught.value

    def _state(self, events: Sequence[E]) -> S:
        return self.decider.fold(self.decider.initial, events)


@dataclass(frozen=True)
class Given(Generic[C, S, E]):
    """A history."""

    decider: Decider[C, S, E]
    history: Sequence[E]

    def when(self, command: C) -> When[C, S, E]:
        """What happens on this command."""
        return When(self.decider, self.history, command)

    @property
    def state(self) -> S:
        """What the history adds up to."""
        return self.decider.fold(self.decider.initial, self.history)


@dataclass(frozen=True)
class Scenario(Generic[C, S, E]):
    """Stories about one decider; `background` comes before every history."""

    decider: Decider[C, S, E]
    background: Sequence[E] = field(default=())

    def given(self, events: Sequence[E] = ()) -> Given[C, S, E]:
        """What has happened so far; nothing for an aggregate that is not there yet."""
        return Given(self.decider, [*self.background, *events])

    def when(self, command: C) -> When[C, S, E]:
        """The command on the background alone."""
        return self.given().when(command)
