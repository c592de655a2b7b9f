"""A day is played: its books are proven, an entry to who holds an old head, a statement drawn."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hefu.accounts.v1 import accounts_pb2, events_pb2
from libs.cli.system import REGISTRAR
from libs.iso20022 import StatementPage, parse
from libs.supervisor import BankSpec, RegistrarSpec, start
from tests.e2e.conftest import BANKS, Told, World, assert_ties_out, write_orders

ORDERS = 30
CLEAN = ("--banks", "clean", "--no-funds")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    banks = [BankSpec(bank) for bank in BANKS]
    # A day asks for a registrar too: a system without one would be started again for it.
    registrars = [RegistrarSpec(REGISTRAR, BANKS[0], "CZK")]
    system = await start(
        tmp_path / "run",
        banks=banks,
        manners="clean",
        port_offset=None,
        fresh=True,
        registrars=registrars,
    )
    yield World(system, tmp_path)
    await system.stop()


async def _head_of(world: World, pages: int) -> Told:
    """The newest signed head, once it covers so many pages: one is signed every few seconds."""
    async with asyncio.timeout(60):
        while True:
            found = await world.hefu("audit", "head")
            if found.code or json.loads(found.output)["pages"] >= pages:
                return found


async def _wallet(world: World) -> tuple[str, str]:
    """A customer with entries, and the business date."""
    async with world.connect() as link:
        request = accounts_pb2.ListAccountsRequest(
            kind=events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET, page_size=1
        )
        account = (await link.accounts.ListAccounts(request)).accounts[0]
        listed = await link.accounts.ListEntries(
            accounts_pb2.ListEntriesRequest(account_id=account.account_id)
        )
    return account.account_id, listed.entries[-1].entry.business_date


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_the_books_of_a_day_are_proven(world: World, tmp_path: Path) -> None:
    told, report = await world.day(write_orders(tmp_path, ORDERS, 3), *CLEAN)
    assert_ties_out(told, report, ORDERS)
    old_head = await _head_of(world, pages=2)
    (tmp_path / "head.json").write_text(old_head.output)

    proven = await world.hefu("audit", "--json")
    second, _ = await world.day(write_orders(tmp_path, 5, 4), *CLEAN)
    proof = await world.hefu(
        "audit",
        "prove",
        "1.0",
        "--head",
        str(tmp_path / "head.json"),
        "--out",
        str(tmp_path / "proof.json"),
    )
    await world.system.kill("accounts")
    await world.system.wait_until_up()
    async with world.connect() as link:
        await link.accounts.GetTrialBalance(
            accounts_pb2.GetTrialBalanceRequest(), timeout=60, wait_for_ready=True
        )
    again = await world.hefu("audit", "--json")
    checked = await world.hefu(
        "audit", "check", str(tmp_path / "proof.json"), "--head", str(tmp_path / "head.json")
    )

    assert old_head.code == proven.code == second.code == again.code == 0, again.output
    found, later = json.loads(proven.output), json.loads(again.output)
    assert found["verdict"] == later["verdict"] == "PROVEN"
    assert later["pages"] > found["pages"] > 0
    (journal,) = later["journals"]
    assert journal["heads_matched"] == journal["heads"] > 0
    assert proof.code == checked.code == 0, proof.output
    assert "PROVEN" in checked.output
    assert len((tmp_path / "proof.json").read_bytes()) < 6_000


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_a_customers_statement_of_the_day(world: World, tmp_path: Path) -> None:
    told, report = await world.day(write_orders(tmp_path, ORDERS, 3), *CLEAN)
    assert_ties_out(told, report, ORDERS)
    account, day = await _wallet(world)
    period = (account, "--from", day, "--to", day)

    shown = await world.hefu("statement", *period)
    text = await world.hefu("statement", *period, "--format", "csv")
    xml = await world.hefu("statement", *period, "--format", "camt053", "--out", str(tmp_path))
    refused = await world.hefu("statement", account, "--issue", "--to", day)

    rows = list(csv.DictReader(io.StringIO(text.output)))
    assert shown.code == text.code == xml.code == 0, shown.output + text.output + xml.output
    assert rows[0]["record"] == "OPENING"
    assert rows[-1]["record"] == "CLOSING"
    file = Path(xml.output.strip().replace("\n", ""))
    page = parse("camt.053.001.08", file.read_bytes())  # noqa: ASYNC240 - nobody else waits
    assert isinstance(page, StatementPage)
    assert page.summary.credits + page.summary.debits == len(page.entries)
    assert refused.code == 1
    assert "PERIOD_NOT_ENDED" in refused.output
