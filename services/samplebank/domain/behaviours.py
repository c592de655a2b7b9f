"""How a bank behaves: which tricks it plays, on which message, and whom it knows."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

UNKNOWN_PAYEE_IN = 97
DUPLICATES_MAX = 5


class Behaviour(StrEnum):
    # Executes, and the reply never arrives.
    LOST_REPLY = "LOST_REPLY"
    # Fails before or after executing, by the toss of a seeded coin.
    ERROR_500 = "ERROR_500"
    # Fails before it has read a byte.
    REFUSE_CONNECTION = "REFUSE_CONNECTION"
    HALF_REPLY = "HALF_REPLY"
    GARBAGE = "GARBAGE"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    FOREIGN_REFERENCE = "FOREIGN_REFERENCE"
    # Answers for some of a batch and says nothing of the rest.
    PARTIAL_BATCH = "PARTIAL_BATCH"
    # Says "pending", confirms seconds later.
    LATE_CONFIRM = "LATE_CONFIRM"
    # Loses the reply and does not find the order at the first inquiry.
    NOT_FOUND_THEN_FOUND = "NOT_FOUND_THEN_FOUND"
    # The same notice twice, or five times where the bank is hostile.
    DUPLICATE_CONFIRM = "DUPLICATE_CONFIRM"
    # Pending is said after done.
    OUT_OF_ORDER = "OUT_OF_ORDER"
    # Records one leg with another amount than advised.
    ROOT_DIFFERS = "ROOT_DIFFERS"
    STATEMENT_REPEATED = "STATEMENT_REPEATED"
    STATEMENT_LATE = "STATEMENT_LATE"
    # Refuses a payee it does not know: no trick, but a matter of manners too.
    UNKNOWN_PAYEE = "UNKNOWN_PAYEE"


# In what an ordinary bank fails, one each, in the order of the banks.
_ORDINARY = (
    Behaviour.LOST_REPLY,
    Behaviour.DUPLICATE_CONFIRM,
    Behaviour.LATE_CONFIRM,
    Behaviour.ROOT_DIFFERS,
)
# What may happen to the answer of one message of a hostile bank.
_TO_A_REPLY = (
    Behaviour.LOST_REPLY,
    Behaviour.HALF_REPLY,
    Behaviour.ERROR_500,
    Behaviour.PARTIAL_BATCH,
    Behaviour.BAD_SIGNATURE,
    Behaviour.NOT_FOUND_THEN_FOUND,
    Behaviour.GARBAGE,
    Behaviour.LATE_CONFIRM,
    Behaviour.FOREIGN_REFERENCE,
    Behaviour.REFUSE_CONNECTION,
)
_BESIDE = (
    Behaviour.DUPLICATE_CONFIRM,
    Behaviour.OUT_OF_ORDER,
    Behaviour.ROOT_DIFFERS,
    Behaviour.STATEMENT_REPEATED,
    Behaviour.STATEMENT_LATE,
)
_BEFORE_EXECUTING = frozenset({Behaviour.REFUSE_CONNECTION})


@dataclass(frozen=True, slots=True)
class Script:
    """What one bank will do, known before its day begins.

    `payouts` and `pulls` name what happens to the answers of its first messages of a kind, in
    order; `beside` what happens once, wherever it first can.
    """

    seed: str
    bank_id: str
    payouts: tuple[Behaviour, ...] = ()
    pulls: tuple[Behaviour, ...] = ()
    beside: frozenset[Behaviour] = field(default_factory=frozenset)
    knows_every_payee: bool = True
    duplicates: int = 2
    # Accounts that are surely this bank's.
    customers: frozenset[str] = frozenset()

    @property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """All that the bank runs."""
        unknown = () if self.knows_every_payee else (Behaviour.UNKNOWN_PAYEE,)
        return tuple(sorted({*self.payouts, *self.pulls, *self.beside, *unknown}))

    def knows(self, account: str) -> bool:
        """Whether the payee's account is one of this bank's."""
        return (
            self.knows_every_payee
            or account in self.customers
            or _number(self.seed, self.bank_id, account) % (UNKNOWN_PAYEE_IN) != 0
        )

    def planned(self, kind: str) -> tuple[Behaviour, ...]:
        """What happens, one after the other, to the answers of messages of a kind."""
        return self.payouts if kind == "PAYOUT" else self.pulls

    def is_executed(self, behaviour: Behaviour | None, message_id: str) -> bool:
        """Whether the message is executed although it is not answered well."""
        if behaviour is Behaviour.ERROR_500:
            return _number(self.seed, self.bank_id, message_id) % 2 == 0
        return behaviour not in _BEFORE_EXECUTING

    def pick(self, keys: list[str]) -> str:
        """One of several keys: always the same one for the same seed."""
        return min(keys, key=lambda key: _number(self.seed, self.bank_id, key))


def script_of(manners: str, seed: str, bank_id: str, ordinal: int, banks: int) -> Script:
    """The script of the bank at a place (from 0) among `banks`."""
    if manners == "clean":
        return Script(seed, bank_id)
    if manners == "ordinary":
        mine = [
            behaviour
            for place, behaviour in enumerate(_ORDINARY)
            if place % min(banks, len(_ORDINARY)) == ordinal
        ]
        replies = {Behaviour.LOST_REPLY, Behaviour.LATE_CONFIRM}
        return Script(
            seed,
            bank_id,
            payouts=tuple(behaviour for behaviour in mine if behaviour in replies),
            beside=frozenset(mine) - replies,
            knows_every_payee=False,
        )
    # Two to each bank, so that five banks play them all; the next five swap the two.
    round_, place = divmod(2 * ordinal, len(_TO_A_REPLY))
    pair = _TO_A_REPLY[place : place + 2]
    return Script(
        seed,
        bank_id,
        payouts=pair[round_ % 2 :][:1],
        pulls=pair[1 - round_ % 2 :][:1],
        beside=frozenset(_BESIDE),
        knows_every_payee=False,
        duplicates=DUPLICATES_MAX,
    )


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest(), "big")
