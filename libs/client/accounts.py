"""Accounts as a caller sees them: concurrent commands travel together, each with its own answer."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

import grpc

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import accounts_pb2_grpc, events_pb2
from libs.client.calls import PATIENCE_S, check_shape, patiently
from libs.client.command_bytes import command_bytes, transfer_bytes
from libs.client.errors import TRANSIENT_REASONS, HefuError, Unanswered
from libs.client.joining import IN_FLIGHT_MAX, Joiner
from libs.client.posting_call import CallBroken, PostingCall
from libs.money import MINOR_MAX, Money
from libs.wire import money_to_wire

CALL_S: Final = 10.0
_CODE_LENGTH: Final = 3
_AMOUNTS_KEPT: Final = 4_096
_POST: Final = "/hefu.accounts.v1.AccountsService/PostCommands"


class AccountsClient:
    """The journal's commands. Positions are journal pages; reads see this client's own writes."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        patience_s: float = PATIENCE_S,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self.stub: accounts_pb2_grpc.AccountsServiceAsyncStub = (
            accounts_pb2_grpc.AccountsServiceStub(channel)
        )
        self._call = channel.unary_unary(
            _POST,
            request_serializer=_as_it_is,
            response_deserializer=pb.PostCommandsResponse.FromString,
        )
        self._lasting = PostingCall(channel)
        self.position = 0
        self._patience_s = patience_s
        # Commands wait in their bytes: together they are the request.
        self._joiner: Joiner[bytes, pb.CommandResult] = Joiner(
            self._post,
            _refusal_of,
            in_flight_max=in_flight_max,
            patience_s=patience_s,
        )

        self._looker: Joiner[str, pb.Account | None] = Joiner(
            self._get_many,
            lambda _account: "",
            in_flight_max=in_flight_max,
            patience_s=patience_s,
        )

    async def submit(self, command: pb.Command) -> pb.CommandResult:
        """One command's own outcome; refusals are in it. Raises `HefuError`, `Unanswered`."""
        check_shape(command)
        return await self._joiner.submit(command_bytes(command))

    async def submit_each(
        self, commands: Sequence[bytes]
    ) -> Sequence[pb.CommandResult | Exception]:
        """What `submit` would answer or raise of each, given as `command_bytes` makes them.

        Whoever made them vouches for their shape. The service looks at it all the same: one that is
        malformed hurts only itself.
        """
        return await self._joiner.submit_each(commands)

    async def _posted(
        self, command: pb.Command, ids: Sequence[UUID | str] = (), amount: Money | None = None
    ) -> pb.CommandResult:
        """The outcome of a command; of these ids and this amount alone, where they are given.

        To check its shape by the proto's rules takes longer than all else that is done for it here.
        """
        if not ids or not are_well_formed(ids, amount):
            check_shape(command)
        return await self._answered(command_bytes(command))

    async def _answered(self, command: bytes) -> pb.CommandResult:
        result = await self._joiner.submit(command)
        if result.HasField("refusal"):
            raise HefuError(result.refusal.reason, result.refusal.description)
        return result

    async def submit_linked(self, commands: Sequence[pb.Command]) -> Sequence[pb.CommandResult]:
        """Outcomes of commands of which all are posted, on one page, or none.

        A repeat must be the same commands in the same order. Raises `HefuError`, `Unanswered`.
        """
        linked = [pb.Command() for _ in commands]
        for n, (own, command) in enumerate(zip(linked, commands, strict=True), start=1):
            own.CopyFrom(command)
            own.is_linked = n < len(commands)
            check_shape(own)

        async def post() -> Sequence[pb.CommandResult]:
            results = await self._post([command_bytes(command) for command in linked])
            for result in results:
                if result.refusal.reason in TRANSIENT_REASONS:
                    raise Unanswered("UNAVAILABLE", "refused for the moment")
            return results

        return await patiently(post, self._patience_s)

    async def open_account(
        self, account_id: UUID | str, owner: str, kind: str, currency: str, ordinal: int = 0
    ) -> pb.CommandResult:
        """Open an account; `kind` as in the proto, without its prefix: `"CUSTOMER_WALLET"`."""
        opening = pb.Opening(
            account_id=str(account_id),
            owner=owner,
            kind=events_pb2.AccountKind.Value(f"ACCOUNT_KIND_{kind}"),
            currency_code=currency,
            ordinal=ordinal,
        )
        return await self._posted(pb.Command(open_account=opening))

    async def transfer(
        self, transfer_id: UUID | str, payer: UUID | str, payee: UUID | str, amount: Money
    ) -> pb.CommandResult:
        """Move money from one account to another in one entry."""
        if (
            isinstance(transfer_id, UUID)
            and isinstance(payer, UUID)
            and isinstance(payee, UUID)
            and is_well_formed(amount.currency, amount.minor)
        ):
            return await self._answered(transfer_bytes(transfer_id, payer, payee, amount))
        legs = [
            pb.Leg(account_id=str(account), direction=direction, amount=money_to_wire(amount))
            for account, direction in (
                (payer, events_pb2.DIRECTION_DEBIT),
                (payee, events_pb2.DIRECTION_CREDIT),
            )
        ]
        transfer = pb.Transfer(transfer_id=str(transfer_id), legs=legs)
        return await self._posted(pb.Command(transfer=transfer))

    async def place_hold(
        self, hold_id: UUID | str, account_id: UUID | str, amount: Money, expires_after_s: int = 0
    ) -> pb.CommandResult:
        """Set money aside; `expires_after_s` 0: until captured or released."""
        placement = pb.HoldPlacement(
            hold_id=str(hold_id),
            account_id=str(account_id),
            amount=money_to_wire(amount),
            expires_after_s=expires_after_s,
        )
        ids = (hold_id, account_id) if expires_after_s >= 0 else ()
        return await self._posted(pb.Command(place_hold=placement), ids, amount)

    async def capture_hold(
        self,
        capture_id: UUID | str,
        hold_id: UUID | str,
        to_account_id: UUID | str,
        amount: Money | None = None,
    ) -> pb.CommandResult:
        """Take money that was set aside: a part, or all that remains."""
        capture = pb.HoldCapture(
            capture_id=str(capture_id),
            hold_id=str(hold_id),
            account_id=str(to_account_id),
            amount=None if amount is None else money_to_wire(amount),
        )
        return await self._posted(
            pb.Command(capture_hold=capture), (capture_id, hold_id, to_account_id), amount
        )

    async def release_hold(
        self, release_id: UUID | str, hold_id: UUID | str, amount: Money | None = None
    ) -> pb.CommandResult:
        """Give money that was set aside back: a part, or all that remains."""
        release = pb.HoldRelease(
            release_id=str(release_id),
            hold_id=str(hold_id),
            amount=None if amount is None else money_to_wire(amount),
        )
        return await self._posted(pb.Command(release_hold=release), (release_id, hold_id), amount)

    async def get_account(self, account_id: UUID | str) -> pb.Account:
        """The account with its balances, at least as new as this client's last write."""
        check_shape(pb.GetAccountRequest(account_id=str(account_id)))
        account = await self._looker.submit(str(account_id))
        if account is None:
            raise HefuError("ACCOUNT_NOT_FOUND", f"there is no account {account_id}")
        return account

    async def close(self) -> None:
        """Give up what is in flight."""
        await self._joiner.close()
        await self._looker.close()
        await self._lasting.close()

    async def _post(self, commands: Sequence[bytes]) -> Sequence[pb.CommandResult]:
        response = await self._sent(b"".join(commands))
        self.position = max(self.position, response.position)
        return response.results

    async def _sent(self, request: bytes) -> pb.PostCommandsResponse:
        try:
            return await self._lasting.post(request, CALL_S)
        except CallBroken:
            # Under the same ids: what was done already is answered once more.
            answer: pb.PostCommandsResponse = await self._call(request, timeout=CALL_S)
            return answer

    async def _get_many(self, account_ids: Sequence[str]) -> Sequence[pb.Account | None]:
        request = pb.GetAccountsRequest(account_ids=account_ids, min_position=self.position)
        response = await self.stub.GetAccounts(request, timeout=CALL_S)
        found = {account.account_id: account for account in response.accounts}
        return [found.get(account_id) for account_id in account_ids]


def _as_it_is(request: bytes) -> bytes:
    return request


def _refusal_of(result: pb.CommandResult) -> str:
    return result.refusal.reason if result.HasField("refusal") else ""


def are_well_formed(ids: Sequence[UUID | str], amount: Money | None) -> bool:
    """Whether no rule of the proto could have anything to say of them; a test asks both."""
    if any(not isinstance(id_, UUID) for id_ in ids):
        return False
    return amount is None or is_well_formed(amount.currency, amount.minor)


@lru_cache(_AMOUNTS_KEPT, typed=True)
def is_well_formed(code: str, minor: int) -> bool:
    """The same of an amount alone: most are seen again."""
    is_code = len(code) == _CODE_LENGTH and code.isascii() and code.isalpha() and code.isupper()
    return is_code and 0 < minor <= MINOR_MAX
