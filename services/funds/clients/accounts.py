"""The journal as funds use it: holds, captures into fund clearing, and moves between accounts.

An answer is a posting or a refusal by name. Everything else raises `Unavailable`: it is not known
what was done, and the same call with the same ids tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2 as journal_pb
from libs.client.accounts import AccountsClient
from libs.client.errors import HefuError
from libs.ids import account_id_of
from libs.money import Money
from libs.transient import Unavailable
from libs.wire import money_to_wire

# These say that our own ids or records are wrong: nothing may be concluded.
_IMPOSSIBLE: Final = frozenset({"IDEMPOTENCY_KEY_REUSED", "ID_MALFORMED"})
_NOT_YET: Final = frozenset({"ID_FROM_FUTURE"})
_ALREADY: Final = frozenset({"ACCOUNT_KEY_TAKEN", "IDEMPOTENCY_KEY_REUSED"})


@dataclass(frozen=True, slots=True)
class Hold:
    """Set aside in an account; never expires."""

    hold_id: str
    account_id: str
    amount: Money
    order_id: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Take a whole hold into an account."""

    capture_id: str
    hold_id: str
    to_account_id: str
    order_id: str
    fact_key: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give a whole hold back."""

    release_id: str
    hold_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class Move:
    """Debits and credits of (account id, minor units) in one currency; they are equal."""

    transfer_id: str
    currency: str
    debits: tuple[tuple[str, int], ...]
    credits: tuple[tuple[str, int], ...]
    order_id: str
    purpose: str
    fact_key: str


Posting: TypeAlias = Hold | Capture | Release | Move


@dataclass(frozen=True, slots=True)
class Posted:
    """Done, now or before: the journal's page."""

    position: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Decided for ever under this id, by a name of the refusal table."""

    reason: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """A system account that must be there."""

    owner: str
    kind: str
    currency: str
    ordinal: int = 0

    @property
    def account_id(self) -> str:
        """Its id, the same in every service."""
        return str(account_id_of(self.owner, self.kind, self.currency, self.ordinal))


@dataclass(frozen=True, slots=True)
class Wallet:
    """Whose account it is, what it is, and what may be spent, in minor units."""

    owner: str
    kind: str
    currency: str
    posted_minor: int
    available_minor: int
    is_closed: bool


class Accounts(Protocol):
    """The port. All raise `libs.transient.Unavailable`."""

    async def post(self, posting: Posting) -> Posted | Refused:
        """Post, or learn what was posted under this id."""
        ...

    async def open(self, openings: Sequence[Opening]) -> None:
        """See to it that these are there."""
        ...

    async def look(self, account_id: str) -> Wallet | None:
        """An account as it stands; None: there is none."""
        ...


class GrpcAccounts(Accounts):
    """The port over gRPC; calls made together travel together."""

    def __init__(self, client: AccountsClient) -> None:
        self._client = client

    async def post(self, posting: Posting) -> Posted | Refused:
        try:
            result = await self._client.submit(_command_of(posting))
        except HefuError as error:
            # A call that failed says nothing of what is inside, except that its shape was refused.
            if error.reason == "FIELD_INVALID":
                return Refused(error.reason, str(error))
            raise Unavailable(str(error)) from error
        if not result.HasField("refusal"):
            return Posted(result.position)
        reason, description = result.refusal.reason, result.refusal.description
        if reason in _NOT_YET:
            raise Unavailable(f"{reason}: {description}")
        if reason in _IMPOSSIBLE:
            raise AssertionError(f"{reason}: {description}")
        return Refused(reason, description)

    async def open(self, openings: Sequence[Opening]) -> None:
        for each in openings:
            try:
                await self._client.open_account(
                    each.account_id, each.owner, each.kind, each.currency, each.ordinal
                )
            except HefuError as error:
                # Opened by another service, under its own name: it is there.
                if error.reason not in _ALREADY:
                    raise Unavailable(str(error)) from error

    async def look(self, account_id: str) -> Wallet | None:
        try:
            found = await self._client.get_account(account_id)
        except HefuError as error:
            if error.reason == "ACCOUNT_NOT_FOUND":
                return None
            raise Unavailable(str(error)) from error
        kind = journal_pb.AccountKind.Name(found.kind).removeprefix("ACCOUNT_KIND_")
        return Wallet(
            found.owner,
            kind,
            found.currency_code,
            found.posted_minor,
            found.available_minor,
            found.is_closed,
        )


def _command_of(posting: Posting) -> pb.Command:
    match posting:
        case Hold():
            return pb.Command(
                place_hold=pb.HoldPlacement(
                    hold_id=posting.hold_id,
                    account_id=posting.account_id,
                    amount=money_to_wire(posting.amount),
                    purpose="fund_order",
                    correlation_id=posting.order_id,
                )
            )
        case Capture():
            return pb.Command(
                capture_hold=pb.HoldCapture(
                    capture_id=posting.capture_id,
                    hold_id=posting.hold_id,
                    account_id=posting.to_account_id,
                    purpose="fund_order",
                    correlation_id=posting.order_id,
                    fact_key=posting.fact_key,
                )
            )
        case Release():
            return pb.Command(
                release_hold=pb.HoldRelease(
                    release_id=posting.release_id,
                    hold_id=posting.hold_id,
                    correlation_id=posting.order_id,
                )
            )
        case Move():
            return pb.Command(transfer=_transfer(posting))


def _transfer(posting: Move) -> pb.Transfer:
    sides = (
        (posting.debits, journal_pb.DIRECTION_DEBIT),
        (posting.credits, journal_pb.DIRECTION_CREDIT),
    )
    return pb.Transfer(
        transfer_id=posting.transfer_id,
        legs=[
            pb.Leg(
                account_id=account_id,
                direction=direction,
                amount=money_to_wire(Money(posting.currency, minor)),
            )
            for legs, direction in sides
            for account_id, minor in legs
        ],
        purpose=posting.purpose,
        correlation_id=posting.order_id,
        fact_key=posting.fact_key,
    )
