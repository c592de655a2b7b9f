"""What the accounts service can be told."""

from pydantic import Field

from libs.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    # A snapshot every so many pages: recovery reads at most these and the snapshot. A book of many
    # accounts waits until as much has come as makes one worth its cost.
    snapshot_every_pages: int = Field(default=500, ge=1, le=100_000)
    # A signed head of the journal so often, while pages come, into `heads` in the data folder.
    head_every_s: float = Field(default=10.0, gt=0, le=86_400)
    # Entries whose ids, facts and ended holds stay in memory; older ones are asked of the index.
    keep_entries: int = Field(default=200_000, ge=0, le=10_000_000)
    # Journals that customers' accounts are spread over, each with its one writer. Never made fewer,
    # nor more, once there are accounts: their ids say where they are.
    shards: int = Field(default=1, ge=1, le=64)
    # While the writer is busy, rows rest so many times as long as they took: they are made in a
    # process of their own, but one machine's few cores are shared with the store and the callers.
    # 0 where accounts has two cores to itself: then rows stay near however long the load lasts.
    rows_give_way_times: float = Field(default=4.0, ge=0, le=100)
    # SQLAlchemy URL of the id index; empty: an SQLite file of its own, or the read models' server.
    id_index: str = ""

    def id_index_url(self, shard: int) -> str:
        """A file for each shard; on a server, tables for each."""
        if self.id_index or not self.database.startswith("sqlite"):
            return self.id_index or self.database
        name = f"ids-{shard}" if shard else "ids"
        return f"sqlite:///{self.data_dir}/{name}.sqlite"
