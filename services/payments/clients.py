"""Calls to the journal and to settlement, as the steps of a payment need them.

An answer is a posting or a refusal by name. Everything else raises `Unavailable`: it is not known
what was done, and the same call with the same ids tells.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import grpc

from hefu.accounts.v1 import accounts_pb2 as accounts_pb
from hefu.accounts.v1 import events_pb2 as journal_pb
from hefu.settlement.v1 import settlement_pb2 as settlement_pb
from hefu.settlement.v1 import settlement_pb2_grpc
from libs.client.accounts import CALL_S, AccountsClient
from libs.client.calls import check_shape, patiently
from libs.client.command_bytes import command_bytes, transfer_bytes
from libs.client.errors import HefuError
from libs.client.joining import Joiner
from libs.ids import account_id_of, is_uuid7
from libs.money import Money
from libs.transient import Unavailable
from libs.wire import money_to_wire
from services.payments.postings import Capture, Hold, Move, Posted, Posting, Refused, Release

# These say that our own ids or records are wrong: nothing may be concluded about the payment.
_IMPOSSIBLE: Final = frozenset({"IDEMPOTENCY_KEY_REUSED", "ID_MALFORMED"})
# Not recorded where they are said: the same id may succeed later.
_NOT_YET: Final = frozenset({"ID_FROM_FUTURE", "WINDOW_NOT_OPEN", "PARTNER_NOT_OPEN"})
_WALLETS: Final = frozenset(
    {journal_pb.ACCOUNT_KIND_CUSTOMER_WALLET, journal_pb.ACCOUNT_KIND_MERCHANT}
)
_OF_FUNDS: Final = _WALLETS | {
    journal_pb.ACCOUNT_KIND_FUND_CLEARING,
    journal_pb.ACCOUNT_KIND_ADVANCE,
}


class Accounts(Protocol):
    """The journal. All raise `Unavailable`."""

    async def post(self, posting: Posting) -> Posted | Refused:
        """Post, or learn what was posted under this id."""
        ...

    async def post_each(
        self, postings: Sequence[Posting]
    ) -> Sequence[Posted | Refused | Exception]:
        """What `post` would answer or raise of each, once all are answered."""

        async def one(posting: Posting) -> Posted | Refused | Exception:
            try:
                return await self.post(posting)
            except Exception as error:  # noqa: BLE001 - the answer of this one among many
                return error

        return await asyncio.gather(*map(one, postings))

    async def check_wallet(
        self, account_id: str, currency: str, *, is_of_funds: bool = False
    ) -> Refused | None:
        """Why this account could not be used, as far as can be seen now.

        `is_of_funds`: the accounts of fund distribution may be used too.
        """
        ...

    async def open_fee_income(self, currency: str) -> None:
        """See to it that our fees in a currency have an account."""
        ...

    async def business_date(self, account_id: str) -> str:
        """The journal's business date, ISO 8601; asked with an account that is to be touched."""
        ...


class Settlement(Protocol):
    """Settlement. Raises `Unavailable`."""

    async def pull(
        self, payment_id: str, bank_id: str, bank_account: str, amount: Money
    ) -> Refused | None:
        """Hand a pull over, kept there by the payment's id; None: taken."""
        ...


class GrpcAccounts(Accounts):
    """The journal over gRPC; calls made together travel together."""

    def __init__(self, client: AccountsClient) -> None:
        self._client = client
        self._fees_opened: set[str] = set()

    async def post(self, posting: Posting) -> Posted | Refused:
        try:
            result = await self._client.submit(command_of(posting))
        except HefuError as error:
            return _refused_or_raise(error)
        return _outcome(result)

    async def post_each(
        self, postings: Sequence[Posting]
    ) -> Sequence[Posted | Refused | Exception]:
        found = await self._client.submit_each([bytes_of(each) for each in postings])
        answers: list[Posted | Refused | Exception] = []
        for each in found:
            try:
                if isinstance(each, HefuError):
                    answers.append(_refused_or_raise(each))
                else:
                    answers.append(each if isinstance(each, Exception) else _outcome(each))
            except Exception as error:  # noqa: BLE001 - the answer of this one among many
                answers.append(error)
        return answers

    async def check_wallet(
        self, account_id: str, currency: str, *, is_of_funds: bool = False
    ) -> Refused | None:
        try:
            account = await self._client.get_account(account_id)
        except HefuError as error:
            if error.reason == "ACCOUNT_NOT_FOUND":
                return Refused(error.reason, error.description)
            return _refused_or_raise(error)
        if account.currency_code != currency:
            return Refused("ACCOUNT_CURRENCY_DIFFERS", f"it is kept in {account.currency_code}")
        if account.kind not in (_OF_FUNDS if is_of_funds else _WALLETS):
            return Refused("ROUTE_NOT_ALLOWED", "not a customer's or merchant's account")
        return Refused("ACCOUNT_CLOSED") if account.is_closed else None

    async def open_fee_income(self, currency: str) -> None:
        if currency in self._fees_opened:
            return
        account_id = account_id_of("house", "FEE_INCOME", currency)
        try:
            await self._client.open_account(account_id, "house", "FEE_INCOME", currency)
        except HefuError as error:
            # Opened by another service, under its own name: it is there.
            if error.reason != "ACCOUNT_KEY_TAKEN":
                raise Unavailable(str(error)) from error
        self._fees_opened.add(currency)

    async def business_date(self, account_id: str) -> str:
        request = accounts_pb.GetAccountsRequest(account_ids=[account_id])
        try:
            found = await patiently(lambda: self._client.stub.GetAccounts(request, timeout=CALL_S))
        except HefuError as error:
            raise Unavailable(str(error)) from error
        return found.business_date


class GrpcSettlement(Settlement):
    """Settlement over gRPC; pulls asked for together travel together."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: settlement_pb2_grpc.SettlementServiceAsyncStub = (
            settlement_pb2_grpc.SettlementServiceStub(channel)
        )
        self._joiner: Joiner[settlement_pb.Pull, settlement_pb.PullResult] = Joiner(
            self._pull_many, lambda result: result.refusal_reason
        )

    async def pull(
        self, payment_id: str, bank_id: str, bank_account: str, amount: Money
    ) -> Refused | None:
        asked = settlement_pb.Pull(
            payment_id=payment_id,
            bank_id=bank_id,
            bank_account=bank_account,
            amount=money_to_wire(amount),
        )
        try:
            check_shape(asked)
            result = await self._joiner.submit(asked)
        except HefuError as error:
            return _refused_or_raise(error)
        if not result.refusal_reason:
            return None
        return _refused(result.refusal_reason, result.refusal_description)

    async def close(self) -> None:
        await self._joiner.close()

    async def _pull_many(
        self, pulls: Sequence[settlement_pb.Pull]
    ) -> Sequence[settlement_pb.PullResult]:
        request = settlement_pb.PullFundsRequest(pulls=pulls)
        return (await self._stub.PullFunds(request, timeout=CALL_S)).results


def _outcome(result: accounts_pb.CommandResult) -> Posted | Refused:
    if not result.HasField("refusal"):
        return Posted(result.position, result.window_id)
    return _refused(result.refusal.reason, result.refusal.description)


def _refused_or_raise(error: HefuError) -> Refused:
    # A call that failed says nothing of the command inside, except that its shape was refused.
    if error.reason == "FIELD_INVALID":
        return Refused(error.reason, str(error))
    raise Unavailable(str(error)) from error


def _refused(reason: str, description: str) -> Refused:
    if reason in _NOT_YET:
        raise Unavailable(f"{reason}: {description}")
    if reason in _IMPOSSIBLE:
        raise AssertionError(f"{reason}: {description}")
    return Refused(reason, description)


def bytes_of(posting: Posting) -> bytes:
    """The command in its bytes; the most frequent one is put together by hand."""
    match posting:
        case Move(
            transfer_id,
            currency,
            ((payer, minor),),
            ((payee, credited),),
            payment_id,
            purpose,
            fact_key,
            "",
        ) if minor == credited and is_uuid7(payer) and is_uuid7(payee):
            return transfer_bytes(
                transfer_id,
                payer,
                payee,
                Money(currency, minor),
                purpose=purpose,
                correlation_id=payment_id,
                fact_key=fact_key,
            )
        case _:
            return command_bytes(command_of(posting))


def command_of(posting: Posting) -> accounts_pb.Command:
    match posting:
        case Hold():
            return accounts_pb.Command(
                place_hold=accounts_pb.HoldPlacement(
                    hold_id=posting.hold_id,
                    account_id=posting.account_id,
                    amount=money_to_wire(posting.amount),
                    purpose="payout",
                    correlation_id=posting.payment_id,
                )
            )
        case Capture():
            return accounts_pb.Command(capture_hold=_capture(posting))
        case Release():
            return accounts_pb.Command(
                release_hold=accounts_pb.HoldRelease(
                    release_id=posting.release_id,
                    hold_id=posting.hold_id,
                    correlation_id=posting.payment_id,
                )
            )
        case Move():
            return accounts_pb.Command(transfer=_transfer(posting))


def _capture(posting: Capture) -> accounts_pb.HoldCapture:
    return accounts_pb.HoldCapture(
        capture_id=posting.capture_id,
        hold_id=posting.hold_id,
        clearing_bank_id=posting.bank_id,
        purpose="payout",
        correlation_id=posting.payment_id,
        fact_key=posting.fact_key,
        obligation=accounts_pb.ObligationTerms(
            bank_id=posting.bank_id,
            favour=journal_pb.FAVOUR_BANK,
            amount=money_to_wire(posting.amount),
            payment_id=posting.payment_id,
        ),
    )


def _transfer(posting: Move) -> accounts_pb.Transfer:
    sides = (
        (posting.debits, journal_pb.DIRECTION_DEBIT),
        (posting.credits, journal_pb.DIRECTION_CREDIT),
    )
    total = Money(posting.currency, sum(minor for _, minor in posting.credits))
    favour = accounts_pb.ObligationTerms(
        bank_id=posting.in_our_favour_of,
        favour=journal_pb.FAVOUR_OURS,
        amount=money_to_wire(total),
        payment_id=posting.payment_id,
    )
    return accounts_pb.Transfer(
        transfer_id=posting.transfer_id,
        legs=[
            accounts_pb.Leg(
                account_id=account_id,
                direction=direction,
                amount=money_to_wire(Money(posting.currency, minor)),
            )
            for legs, direction in sides
            for account_id, minor in legs
        ],
        purpose=posting.purpose,
        correlation_id=posting.payment_id,
        fact_key=posting.fact_key,
        obligation=favour if posting.in_our_favour_of else None,
    )
