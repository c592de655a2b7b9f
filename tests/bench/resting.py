"""What a load leaves to be done later is done before the next one: it is not that one's cost."""

from typing import TYPE_CHECKING, Final

import grpc

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.grpc_errors import reason_of

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub

_CALL_S: Final = 60.0


async def rows_caught_up(accounts: "AccountsServiceAsyncStub") -> None:
    """Return once the journal's read model holds all that was posted."""
    head = await accounts.GetTrialBalance(pb.GetTrialBalanceRequest(), timeout=_CALL_S)
    newest = pb.ListEntriesRequest(min_position=head.position, page_size=1)
    while True:
        try:
            await accounts.ListEntries(newest, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "READ_MODEL_BEHIND":
                raise
        else:
            return
