"""The client a wallet back end uses: typed, asynchronous, safe to repeat.

async with HefuClient.open() as hefu:
    terms = payout(wallet, "CD", "1234567890", Money("CZK", 72500))
    asked = await hefu.payments.create(new_id(), terms)
    payment = await hefu.payments.wait(asked.payment_id)
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hefu.settlement.v1 import settlement_pb2_grpc
from libs.client.accounts import AccountsClient
from libs.client.calls import PATIENCE_S
from libs.client.errors import HefuError, Unanswered
from libs.client.funds import FundsClient
from libs.client.payments import PaymentsClient, is_final, is_settled
from libs.client.recommendations import RecommendationsClient
from libs.client.terms import merchant_payment, payout, top_up, transfer
from libs.failure import StartFailed
from libs.grpc_client import open_channel

__all__ = [
    "AccountsClient",
    "Addresses",
    "FundsClient",
    "HefuClient",
    "HefuError",
    "PaymentsClient",
    "RecommendationsClient",
    "Unanswered",
    "is_final",
    "is_settled",
    "merchant_payment",
    "payout",
    "top_up",
    "transfer",
]

RUN_DIR: Final = Path(".run")


@dataclass(frozen=True, slots=True)
class Addresses:
    """host:port of each service."""

    accounts: str
    payments: str
    settlement: str
    # Empty: none run there.
    funds: str = ""
    recommendations: str = ""

    @classmethod
    def of(cls, run_dir: Path) -> "Addresses":
        """Those of the system that runs in a folder. Raises `StartFailed` where none does."""
        try:
            told = json.loads((run_dir / "supervisor.json").read_text())["addresses"]
        except (OSError, ValueError, KeyError) as error:
            raise StartFailed(f"nothing runs in {run_dir}: `make up` starts it") from error
        return cls(
            told["accounts"],
            told["payments"],
            told["settlement"],
            told.get("funds", ""),
            told.get("recommendations", ""),
        )


class HefuClient:
    """One connection to each service, under one identity."""

    def __init__(
        self,
        accounts: AccountsClient,
        payments: PaymentsClient,
        settlement: "settlement_pb2_grpc.SettlementServiceAsyncStub",
        funds: FundsClient | None = None,
        advice: RecommendationsClient | None = None,
    ) -> None:
        self.accounts = accounts
        self.payments = payments
        self.settlement = settlement
        self._funds = funds
        self._advice = advice

    @property
    def funds(self) -> FundsClient:
        """Fund distribution. Raises `StartFailed` where none runs."""
        if self._funds is None:
            raise StartFailed("no funds run here")
        return self._funds

    @property
    def advice(self) -> RecommendationsClient:
        """Lists and portfolios that fit an investor. Raises `StartFailed` where none are given."""
        if self._advice is None:
            raise StartFailed("no advice is given here")
        return self._advice

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        where: Path | str | Addresses = RUN_DIR,
        identity_dir: Path | str | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> AsyncIterator["HefuClient"]:
        """Connect to the system of a run folder, or to addresses, as the identity in a folder.

        Without `identity_dir`: the run folder's own `wallet`. `patience_s` (seconds) bounds each
        call with all its repeats.
        """
        if isinstance(where, Addresses):
            addresses, run_dir = where, RUN_DIR
        else:
            run_dir = Path(where)
            addresses = Addresses.of(run_dir)
        identity = Path(identity_dir or run_dir / "identities" / "wallet")
        async with AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(open_channel(address, identity))
                for address in (addresses.accounts, addresses.payments, addresses.settlement)
            ]
            accounts = AccountsClient(channels[0], patience_s=patience_s)
            stack.push_async_callback(accounts.close)
            payments = PaymentsClient(channels[1], patience_s=patience_s)
            stack.push_async_callback(payments.close)
            settlement: settlement_pb2_grpc.SettlementServiceAsyncStub = (
                settlement_pb2_grpc.SettlementServiceStub(channels[2])
            )
            funds = advice = None
            if addresses.funds:
                opened = open_channel(addresses.funds, identity)
                funds = FundsClient(await stack.enter_async_context(opened), patience_s=patience_s)
                stack.push_async_callback(funds.close)
            if addresses.recommendations:
                opened = open_channel(addresses.recommendations, identity)
                advice = RecommendationsClient(
                    await stack.enter_async_context(opened), patience_s=patience_s
                )
            yield cls(accounts, payments, settlement, funds, advice)
