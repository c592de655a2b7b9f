"""The bus is durable before it answers, and each service may publish its own facts only."""

import asyncio
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import nats
import pytest
from nats.aio.client import Client

from libs.authority import Identity, establish
from libs.bus import Message
from libs.nats_bus import NatsBus
from libs.nats_config import render
from tests.servers import Server, free_port

BINARY = str(Path(sys.executable).with_name("nats-server"))
SERVICES = ("accounts", "payments", "settlement")


class _Configured(Server):
    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.port = run_dir, free_port()
        names = ("nats", *SERVICES, "bank-CD")
        establish(run_dir, [Identity(name) for name in names])
        self.file = run_dir / "nats.conf"
        self.file.write_text(
            render(
                port=self.port,
                page_port=free_port(),
                identity_dir=run_dir / "identities" / "nats",
                store_dir=run_dir / "data",
                services=SERVICES,
            )
        )
        super().__init__([BINARY, "-c", str(self.file)], lambda line: "Server is ready" in line)

    @property
    def address(self) -> str:
        return f"tls://localhost:{self.port}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Configured]:
    configured = _Configured(tmp_path)
    configured.start()
    yield configured
    configured.stop()


@asynccontextmanager
async def _client(server: _Configured, name: str) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    folder = server.run_dir / "identities" / name
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    violated = asyncio.Event()

    async def told(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            violated.set()

    client = await nats.connect(
        server.address, tls=context, error_cb=told, allow_reconnect=False, connect_timeout=5
    )
    try:
        yield client, violated
    finally:
        await client.close()


def test_the_server_takes_the_file(tmp_path: Path) -> None:
    configured = _Configured(tmp_path)

    checked = subprocess.run(
        [BINARY, "-t", "-c", str(configured.file)], check=False, capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stderr


def test_what_is_acknowledged_is_on_the_disk(tmp_path: Path) -> None:
    text = _Configured(tmp_path).file.read_text()

    assert re.search(r"^ *sync_interval: always$", text, re.MULTILINE)
    assert re.search(r"^ *verify_and_map: true$", text, re.MULTILINE)


async def test_a_service_publishes_and_another_hears_it(server: _Configured) -> None:
    identities = server.run_dir / "identities"
    message = Message(str(uuid4()), "hefu.payments.payment.Paid", {"Hefu-Position": "1"}, b"{}")
    async with (
        NatsBus.open(server.address, identities / "payments", "payments") as ours,
        NatsBus.open(server.address, identities / "settlement", "settlement") as theirs,
    ):
        assert await ours.last("payments") is None
        assert await ours.publish("payments", [message], 0) == 1
        async for batch in theirs.consume("payments", "inbox-settlement"):
            if batch:
                heard = batch
                break
        await ours.renew("payments")

    assert [delivered.message.id for delivered in heard] == [message.id]


@pytest.mark.parametrize(
    "subject",
    [
        "hefu.accounts.account.Opened",
        "$JS.API.STREAM.DELETE.HEFU_ACCOUNTS",
        "$JS.API.STREAM.PURGE.HEFU_PAYMENTS",
        "$JS.API.STREAM.MSG.DELETE.HEFU_PAYMENTS",
        "$JS.API.STREAM.CREATE.OTHER",
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_a_service_may_not_publish_anothers_facts_or_undo_any(
    server: _Configured, subject: str
) -> None:
    async with _client(server, "payments") as (client, violated):
        await client.publish(subject, b"{}")
        await asyncio.wait_for(violated.wait(), 10)


async def test_a_service_may_not_listen_to_core_messages(server: _Configured) -> None:
    async with _client(server, "payments") as (client, violated):
        await client.subscribe("hefu.>")
        await asyncio.wait_for(violated.wait(), 10)


async def test_a_certificate_that_is_no_service_is_refused(server: _Configured) -> None:
    with pytest.raises(nats.errors.Error):
        async with _client(server, "bank-CD"):
            pass
