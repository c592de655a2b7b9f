"""What the journal's pages make us do: the mirror follows each pull credited to a wallet."""

from collections.abc import Callable, Sequence

from libs.event_store import StoredEvent
from libs.ids import derived_id
from libs.telemetry import get_logger
from services.settlement.aggregates import Aggregates
from services.settlement.clients.accounts import Accounts, Posting, accounts_of
from services.settlement.codec.heard import MIRROR, Movement, page_of
from services.settlement.domain.bank_transfer import Live
from services.settlement.domain.statement import Favour
from services.settlement.domain.status import Outcome
from services.settlement.sending import post_bank_facts

log = get_logger()


def pull_id_of(payment_id: str) -> str:
    """A payment is pulled by one transfer, so its id is the payment's child."""
    return str(derived_id(payment_id, "pull"))


class Mirroring:
    """Posts the bank's side of what payments posted on the wallet's side."""

    def __init__(
        self, aggregates: Aggregates, accounts: Accounts, wake_bank: Callable[[str], None]
    ) -> None:
        self._aggregates = aggregates
        self._accounts = accounts
        self._wake_bank = wake_bank

    async def react(self, events: Sequence[StoredEvent]) -> None:
        """Idempotent: a fact has one key, so a page heard again posts nothing."""
        postings = []
        banks = set()
        for stored in events:
            page = page_of(stored)
            for fact in page.facts if page else ():
                if isinstance(fact, Movement) and fact.favour is Favour.OURS:
                    posting = await self._mirror(fact)
                    if posting is not None:
                        postings.append(posting)
                        banks.add(fact.bank_id)
        if not postings:
            return
        for posting, posted in zip(
            postings, await post_bank_facts(self._accounts, postings), strict=True
        ):
            if not posted.is_done:
                log.error(
                    "mirroring_refused", payment_id=posting.correlation_id, reason=posted.refusal
                )
        for bank_id in banks:
            self._wake_bank(bank_id)

    async def _mirror(self, movement: Movement) -> Posting | None:
        payment_id = movement.payment_id
        state = (await self._aggregates.transfers.load(pull_id_of(payment_id))).state
        known = state.items.get(payment_id) if isinstance(state, Live) else None
        if known is None or known.outcome is not Outcome.DONE:
            # A wallet was credited without the bank's word: money we cannot claim to have there.
            await self._aggregates.open_break(
                "ONLY_WITH_US",
                movement.bank_id,
                f"{payment_id}/{MIRROR}",
                payment_id=payment_id,
                amount=movement.amount,
                description="a wallet was credited and the bank has not said that it paid",
            )
            return None
        accounts = accounts_of(movement.bank_id, movement.amount.currency)
        return Posting(
            derived_id(payment_id, MIRROR),
            accounts.mirror,
            accounts.in_transit_in,
            movement.amount,
            "pull received at the bank",
            payment_id,
            f"{payment_id}/{MIRROR}",
            known.value_date,
        )
