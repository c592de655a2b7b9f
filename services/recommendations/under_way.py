"""What an investor has under way: orders that are not settled, and advice still being ordered."""

from dataclasses import dataclass
from typing import Final

from libs.decider import FieldViolation, Rejected
from libs.event_store import EventStore
from libs.projection import Projection
from libs.read_model import Database
from services.recommendations import watching
from services.recommendations.asking import Reason

# How long it is waited for what funds have told.
HEARD_WITHIN_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class UnderWay:
    """While there is anything, nothing is rebalanced: what is held is about to change."""

    own: Projection
    funds: Projection
    database: Database
    store: EventStore

    async def refuse_any(self, investor_id: str) -> None:
        """Raises `Rejected` with the orders, and the proposals whose orders are still to be placed.

        An order is stored before its proposal says so: up to one position none is in neither row.
        Raises `Behind` where the rows are older: then it is not known.
        """
        head = await self.store.head()
        await self.own.wait_for(head, HEARD_WITHIN_S)
        await self.funds.wait_for(head, HEARD_WITHIN_S, asks_at_once=True)
        proposals, orders = await self.database.read(
            lambda c: (
                watching.ordering_of(c, investor_id),
                watching.orders_under_way(c, investor_id),
            )
        )
        told = [
            *(
                FieldViolation(f"orders.{id_}", f"of {code}: not settled yet")
                for id_, code in orders
            ),
            *(
                FieldViolation(f"proposals.{id_}", "orders are still to be placed")
                for id_ in proposals
            ),
        ]
        if told:
            raise Rejected(
                Reason.ORDERS_UNDER_WAY,
                "what is held is about to change: ask again when it has",
                told,
            )
