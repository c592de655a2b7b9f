"""The journal as settlement uses it: postings, windows, and the balances of its own accounts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from libs.client.accounts import AccountsClient
from libs.client.calls import patiently
from libs.client.errors import HefuError, Unanswered
from libs.ids import account_id_of
from libs.money import Money
from libs.transient import Unavailable
from libs.wire import money_to_wire

T = TypeVar("T")
CALL_S = 10.0
PATIENCE_S = 20.0
NOT_SEALED = -1


@dataclass(frozen=True, slots=True)
class BankAccounts:
    """Ids of the journal's accounts that stand for one bank."""

    mirror: str
    in_transit_in: str
    in_transit_out: str
    suspense_long: str
    suspense_short: str


def accounts_of(bank_id: str, currency: str) -> BankAccounts:
    """The system accounts of a bank, by name."""
    kinds = (
        "BANK_MIRROR",
        "IN_TRANSIT_IN",
        "IN_TRANSIT_OUT",
        "SUSPENSE_LONG",
        "SUSPENSE_SHORT",
    )
    return BankAccounts(*(str(account_id_of(f"bank:{bank_id}", kind, currency)) for kind in kinds))


@dataclass(frozen=True, slots=True)
class Carried:
    """A leg taken out of a sealed window into the one that is open."""

    bank_id: str
    payment_id: str
    from_window_id: str


@dataclass(frozen=True, slots=True)
class Posting:
    """Two legs. With `carried` the credit goes to the clearing account of its open window."""

    posting_id: UUID
    debit: str
    credit: str
    amount: Money
    purpose: str
    correlation_id: str
    fact_key: str
    value_date: str = ""
    carried: Carried | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A posting's outcome; `refusal` is empty where it stands in the journal."""

    position: int
    window_id: str = ""
    refusal: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the fact stands, by this posting or an earlier one."""
        return self.refusal in ("", "FACT_ALREADY_POSTED")


@dataclass(frozen=True, slots=True)
class JournalWindow:
    window_id: str
    clearing_account_id: str
    legs: int
    sum_ours_minor: int
    sum_bank_minor: int
    seal_position: int


class Accounts(Protocol):
    """The port. Calls that get no answer raise `libs.transient.Unavailable`."""

    async def post(self, postings: Sequence[Posting]) -> Sequence[Posted]:
        """Each posting's own outcome, in order."""
        ...

    async def open_bank(self, bank_id: str, currency: str) -> None:
        """Open the system accounts of a bank; those that are there stay."""
        ...

    async def open_window(self, window_id: str, bank_id: str, currency: str) -> JournalWindow:
        """Open the first window, or answer the one open now."""
        ...

    async def window_open_now(self, bank_id: str, currency: str) -> JournalWindow:
        """The window open at this moment, with its running totals."""
        ...

    async def seal_window(self, window_id: str, next_window_id: str) -> JournalWindow:
        """Seal it; sealed before: its seal."""
        ...

    async def close_window(self, window_id: str) -> bool:
        """Whether it is closed; False while its clearing account is not at 0."""
        ...

    async def balance(self, account_id: str) -> tuple[int, int]:
        """What is posted on the account, on its normal side, and the page that was so at."""
        ...


class JournalAccounts(Accounts):
    """The port over gRPC: postings travel together, windows one by one."""

    def __init__(self, client: AccountsClient) -> None:
        self._client = client

    async def post(self, postings: Sequence[Posting]) -> Sequence[Posted]:
        try:
            results = await asyncio.gather(
                *(self._client.submit(_command(posting)) for posting in postings)
            )
        except Unanswered as error:
            raise Unavailable(str(error)) from error
        return [Posted(r.position, r.window_id, r.refusal.reason) for r in results]

    async def open_bank(self, bank_id: str, currency: str) -> None:
        kinds = (
            "BANK_MIRROR",
            "IN_TRANSIT_IN",
            "IN_TRANSIT_OUT",
            "SUSPENSE_LONG",
            "SUSPENSE_SHORT",
        )
        for kind in kinds:
            owner = f"bank:{bank_id}"
            account_id = account_id_of(owner, kind, currency)
            try:
                await self._client.open_account(account_id, owner, kind, currency)
            except Unanswered as error:
                raise Unavailable(str(error)) from error
            except HefuError as error:
                if error.reason != "ACCOUNT_KEY_TAKEN":
                    raise

    async def open_window(self, window_id: str, bank_id: str, currency: str) -> JournalWindow:
        request = pb.OpenWindowRequest(window_id=window_id, bank_id=bank_id, currency_code=currency)
        stub = self._client.stub
        reply = await _asked(lambda: stub.OpenWindow(request, timeout=CALL_S))
        return _window(reply.window)

    async def window_open_now(self, bank_id: str, currency: str) -> JournalWindow:
        request = pb.GetWindowRequest(open_bank_id=bank_id, currency_code=currency)
        stub = self._client.stub
        reply = await _asked(lambda: stub.GetWindow(request, timeout=CALL_S))
        return _window(reply.window)

    async def seal_window(self, window_id: str, next_window_id: str) -> JournalWindow:
        request = pb.SealWindowRequest(window_id=window_id, next_window_id=next_window_id)
        stub = self._client.stub
        reply = await _asked(lambda: stub.SealWindow(request, timeout=CALL_S))
        return _window(reply.window)

    async def close_window(self, window_id: str) -> bool:
        request = pb.CloseWindowRequest(window_id=window_id)
        stub = self._client.stub
        try:
            await _asked(lambda: stub.CloseWindow(request, timeout=CALL_S))
        except HefuError as error:
            if error.reason == "WINDOW_NOT_EMPTY":
                return False
            raise
        return True

    async def balance(self, account_id: str) -> tuple[int, int]:
        request = pb.GetAccountRequest(account_id=account_id)
        stub = self._client.stub
        reply = await _asked(lambda: stub.GetAccount(request, timeout=CALL_S))
        return reply.account.posted_minor, reply.position


async def _asked(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await patiently(call, PATIENCE_S)
    except Unanswered as error:
        raise Unavailable(str(error)) from error


def _command(posting: Posting) -> pb.Command:
    amount = money_to_wire(posting.amount)
    debit = pb.Leg(account_id=posting.debit, direction=events_pb2.DIRECTION_DEBIT, amount=amount)
    credit = pb.Leg(direction=events_pb2.DIRECTION_CREDIT, amount=amount)
    transfer = pb.Transfer(
        transfer_id=str(posting.posting_id),
        purpose=posting.purpose,
        correlation_id=posting.correlation_id,
        fact_key=posting.fact_key,
        value_date=posting.value_date,
    )
    if posting.carried is None:
        credit.account_id = posting.credit
    else:
        carried = posting.carried
        credit.clearing_bank_id = carried.bank_id
        transfer.obligation.CopyFrom(
            pb.ObligationTerms(
                bank_id=carried.bank_id,
                favour=events_pb2.FAVOUR_BANK,
                amount=amount,
                payment_id=carried.payment_id,
                carried_from_window_id=carried.from_window_id,
            )
        )
    transfer.legs.extend((debit, credit))
    return pb.Command(transfer=transfer)


def _window(window: pb.Window) -> JournalWindow:
    return JournalWindow(
        window.window_id,
        window.clearing_account_id,
        window.legs,
        window.sum_ours_minor,
        window.sum_bank_minor,
        window.seal_position,
    )
