"""The accounts service, put together: recover the journal, then write, serve, show, tell."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from libs.clock import system_clock
from libs.failure import StartFailed
from libs.grpc_server import serve
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.projection import Projection
from libs.read_model import Database
from libs.relay import Relay
from libs.service import foundation, run
from libs.signing import KeyUnusable, Signer
from services.accounts.api import AccountsApi
from services.accounts.api_audit import AuditApi
from services.accounts.api_statements import StatementsApi, statement_streams
from services.accounts.codec.pages import JOURNAL
from services.accounts.heads import Heads
from services.accounts.id_index import IdIndex
from services.accounts.policy import AUDIT_POLICY, POLICY, STATEMENTS_POLICY
from services.accounts.projections import ACCOUNTS_ENTRIES
from services.accounts.reading import Rows
from services.accounts.recovery import recover
from services.accounts.settings import AccountsSettings
from services.accounts.snapshots import Snapshots
from services.accounts.writer import Writer


async def main(settings: AccountsSettings) -> None:
    async with foundation(settings) as on, _index_rows(settings) as index_rows:
        index = IdIndex(index_rows, on.store, JOURNAL)
        keep = settings.keep_entries
        recovered = await recover(on.store, index, keep=keep)
        # A million accounts live as long as we do: the collector need not walk them.
        gc.collect()
        gc.freeze()
        snapshots = Snapshots(on.store, recovered, settings.snapshot_every_pages, index)
        writer = Writer(on.store, recovered, system_clock, snapshots, index, keep=keep)
        projection = Projection(ACCOUNTS_ENTRIES, on.database, on.store)
        relay = Relay(ACCOUNTS_ENTRIES.source, ACCOUNTS_ENTRIES.prefixes, on.store, on.bus)
        await projection.prepare()
        operations = OperationsServicer(
            ACCOUNTS_ENTRIES.source, [projection], [relay], on.database, on.store
        )
        api = AccountsApi(writer, on.store, on.database, projection)
        rows = Rows(writer, on.database, projection)
        statements = StatementsApi(rows, statement_streams(on.store), system_clock)
        signer = _signer(on.identity_dir)
        folder, every_s = settings.data_dir / "heads", settings.head_every_s
        heads = Heads(on.store, JOURNAL, folder, signer, system_clock, every_s)
        audit = AuditApi(rows, heads)
        # The server is the inner one: it drains while the writer still answers.
        async with (
            asyncio.TaskGroup() as tasks,
            serve(
                settings.port,
                [served.binding() for served in (api, statements, audit, operations)],
                {**POLICY, **STATEMENTS_POLICY, **AUDIT_POLICY, **OPERATIONS_POLICY},
                on.identity_dir,
                verifier=on.verifier,
                host=settings.host,
            ),
        ):
            for work in (writer, snapshots, index, projection, relay, heads):
                tasks.create_task(work.run())
            await asyncio.get_running_loop().create_future()  # until we are told to stop


@asynccontextmanager
async def _index_rows(settings: AccountsSettings) -> AsyncIterator[Database]:
    with closing(Database.open(settings.id_index_url)) as database:
        yield database


def _signer(identity_dir: Path) -> Signer:
    try:
        return Signer(identity_dir / "signing.key")
    except KeyUnusable as error:
        raise StartFailed(f"{error}: heads cannot be signed; `hefu up` makes a key") from error


if __name__ == "__main__":
    run(main, AccountsSettings)
