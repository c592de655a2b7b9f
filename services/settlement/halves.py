"""Our half of a settlement: its legs in order, their leaves and tree, and the header we sign."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from libs.money import exponent
from libs.read_model import Database
from libs.two_halves import NO_DIGEST, Header, Leg, Tree, key_list_hash, leaf_bytes
from services.settlement import queries
from services.settlement.answers import end_to_end_id_of
from services.settlement.domain.partner import Registered
from services.settlement.domain.settlement import Live
from services.settlement.domain.statement import Favour
from services.settlement.queries import WindowLeg
from services.settlement.references import uetr_text

# Each movement is a leg; the bank moved our account for pulls, and pays out after agreement.
MODEL = "GROSS_DEFERRED"
EXPIRES_AFTER_MS = 3_600_000
KEPT_MAX = 64


@dataclass(frozen=True)
class Half:
    """Legs by UETR, and the tree over them."""

    legs: tuple[WindowLeg, ...]
    uetrs: tuple[UUID, ...]
    tree: Tree

    @property
    def keys(self) -> bytes:
        """The ordered keys, 16 bytes each."""
        return b"".join(uetr.bytes for uetr in self.uetrs)

    def sum_of(self, favour: Favour) -> int:
        """Sum of the legs in one side's favour, in minor units."""
        return sum(leg.amount.minor for leg in self.legs if leg.favour is favour)


def half_of(legs: Sequence[WindowLeg], account_number: str) -> Half:
    """The half that these legs make, in the order of their UETRs."""
    ordered = sorted(((UUID(uetr_text(leg.payment_id)), leg) for leg in legs), key=_by_bytes)
    leaves = [
        leaf_bytes(
            Leg(
                uetr,
                "C" if leg.favour is Favour.OURS else "D",
                leg.amount.currency,
                exponent(leg.amount.currency),
                leg.amount.minor,
                account_number,
                end_to_end_id_of(leg.payment_id),
            )
        )
        for uetr, leg in ordered
    ]
    return Half(tuple(leg for _, leg in ordered), tuple(uetr for uetr, _ in ordered), Tree(leaves))


def _by_bytes(pair: tuple[UUID, WindowLeg]) -> bytes:
    return pair[0].bytes


def header_of(
    settlement: Live, bank: Registered, half: Half, previous_digest: bytes, created_ms: int
) -> Header:
    """The header of the settlement's next round."""
    terms = settlement.terms
    return Header(
        settlement_id=UUID(terms.settlement_id),
        round=settlement.round + 1,
        bank_id=bank.bank_id,
        account=bank.account_number,
        currency=terms.currency_code,
        exponent=exponent(terms.currency_code),
        model=MODEL,
        value_date=int(terms.value_date.replace("-", "")),
        window_ids=tuple(sorted(UUID(window_id) for window_id in terms.window_ids)),
        legs=len(half.legs),
        sum_ours_minor=half.sum_of(Favour.OURS),
        sum_bank_minor=half.sum_of(Favour.BANK),
        key_list_hash=key_list_hash(half.uetrs),
        root=half.tree.root,
        created_ms=created_ms,
        expires_ms=created_ms + EXPIRES_AFTER_MS,
        previous_digest=previous_digest or NO_DIGEST,
    )


class Halves:
    """Makes halves from the movements, and keeps the newest ones: a walk asks many times."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[str, frozenset[str]], Half] = OrderedDict()

    async def of(self, settlement: Live, bank: Registered) -> Half:
        """The half over what was not carried out of the settlement's windows."""
        key = (settlement.terms.settlement_id, settlement.carried)
        kept = self._kept.get(key)
        if kept is None:
            window_ids = settlement.terms.window_ids
            legs = await self._database.read(lambda c: queries.legs_of(c, window_ids))
            if len(legs) != settlement.terms.legs:
                raise AssertionError(f"{key[0]}: {len(legs)} movements, sealed with other")
            staying = [leg for leg in legs if leg.payment_id not in settlement.carried]
            kept = await asyncio.to_thread(half_of, staying, bank.account_number)
            self._kept[key] = kept
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return kept
