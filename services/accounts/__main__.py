"""The accounts service, put together: recover the journal, then write, serve, show, tell."""

import asyncio
import gc
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TypeAlias

from libs.apart import Apart
from libs.clock import system_clock
from libs.event_store import EventStore
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
from services.accounts.codec.pages import journal_of, snapshots_of
from services.accounts.heads import Heads
from services.accounts.id_index import IdIndex, index_pages
from services.accounts.placing import as_many_as_before
from services.accounts.policy import AUDIT_POLICY, POLICY, STATEMENTS_POLICY
from services.accounts.projections import ACCOUNTS_ENTRIES, make_rows_apart
from services.accounts.reading import Rows
from services.accounts.recovery import recover
from services.accounts.settings import AccountsSettings
from services.accounts.shards import Shards
from services.accounts.snapshots import Snapshots
from services.accounts.writer import Writer

# New objects until the collector looks at the youngest; at how many looks it looks at the older.
GC_THRESHOLDS = (50_000, 20, 50)
# Pages that follow one another leave for the bus together: a message costs each of its listeners as
# much as the page in it.
GATHER_PAGES_S = 0.2
# Rows are made on a thread beside the writer, who asks for Python's lock many times a page: it gets
# it within this time, not within five times as long.
SWITCH_S = 0.001
# Of the process beside us: the lane of the rows, then one for each journal's index.
ROWS_LANE = 0
_Work: TypeAlias = Writer | Snapshots | IdIndex | Shards


async def main(settings: AccountsSettings) -> None:
    async with foundation(settings) as on, AsyncExitStack() as tidy:
        sys.setswitchinterval(SWITCH_S)
        # A million accounts live as long as we do: the collector need not walk them, nor now.
        gc.disable()
        apart = _apart(settings)
        tidy.callback(apart.close)
        apart.start()
        writers, indexes, works = await _journals(settings, on.store, apart, tidy)
        await as_many_as_before(writers, on.store)
        gc.freeze()
        # What an entry makes is never part of a cycle: looked for less often, they cost less.
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        writer = writers[0] if settings.shards == 1 else Shards(writers, indexes)
        # Who asks for rows as new as a page gets them first; else they follow when there is time.
        projection = Projection(
            ACCOUNTS_ENTRIES,
            on.database,
            on.store,
            is_busy=lambda: any(each.is_busy for each in writers),
            give_way_times=settings.rows_give_way_times,
            apart=apart.of(ROWS_LANE, make_rows_apart),
        )
        relay = Relay(
            ACCOUNTS_ENTRIES.source,
            ACCOUNTS_ENTRIES.prefixes,
            on.store,
            on.bus,
            gather_s=GATHER_PAGES_S,
        )
        await projection.prepare()
        operations = OperationsServicer(
            ACCOUNTS_ENTRIES.source, [projection], [relay], on.database, on.store
        )
        api = AccountsApi(writer, on.store, on.database, projection)
        rows = Rows(writer, on.database, projection)
        statements = StatementsApi(rows, statement_streams(on.store), system_clock)
        signer = _signer(on.identity_dir)
        folder, every_s = settings.data_dir / "heads", settings.head_every_s
        heads = [
            Heads(on.store, journal_of(shard), folder, signer, system_clock, every_s)
            for shard in range(settings.shards)
        ]
        audit = AuditApi(rows, heads)
        # The server is the inner one: it drains while the writers still answer.
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
            if isinstance(writer, Shards):
                works.append(writer)
            for work in (*works, projection, relay, *heads):
                tasks.create_task(work.run())
            await asyncio.get_running_loop().create_future()  # until we are told to stop


async def _journals(
    settings: AccountsSettings, store: EventStore, apart: Apart, tidy: AsyncExitStack
) -> tuple[list[Writer], list[IdIndex], list[_Work]]:
    """Every shard's writer and index, recovered, and all that has to run for them."""
    writers: list[Writer] = []
    indexes: list[IdIndex] = []
    works: list[_Work] = []
    keep = settings.keep_entries // settings.shards
    for shard in range(settings.shards):
        journal, stream = journal_of(shard), snapshots_of(shard)
        rows = tidy.enter_context(closing(Database.open(settings.id_index_url(shard))))
        elsewhere = apart.of(ROWS_LANE + 1 + shard, index_pages)
        index = IdIndex(rows, store, journal, apart=elsewhere)
        found = await recover(store, index, keep=keep, journal=journal, snapshots=stream)
        snapshots = Snapshots(store, found, settings.snapshot_every_pages, index, stream)
        writers.append(
            Writer(store, found, system_clock, snapshots, index, keep=keep, journal=journal)
        )
        indexes.append(index)
        works += [writers[-1], snapshots, index]
    return writers, indexes, works


def _apart(settings: AccountsSettings) -> Apart:
    """Rows and indexes are written by a process beside this one, each to a database of its own."""
    indexes = [settings.id_index_url(shard) for shard in range(settings.shards)]
    return Apart(settings.service, [settings.database, *indexes], settings.log_level)


def _signer(identity_dir: Path) -> Signer:
    try:
        return Signer(identity_dir / "signing.key")
    except KeyUnusable as error:
        raise StartFailed(f"{error}: heads cannot be signed; `hefu up` makes a key") from error


if __name__ == "__main__":
    run(main, AccountsSettings)
