"""A sample registrar on a real server, and a distributor that takes whatever it is sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from hefu.registrar.v1 import registrar_pb2 as link_pb
from hefu.registrar.v1 import registrar_pb2_grpc as link_grpc
from hefu.registrar.v1 import sample_registrar_pb2 as pb
from hefu.registrar.v1 import sample_registrar_pb2_grpc as demo_grpc
from libs.authority import Identity, establish
from libs.clock import system_clock
from libs.grpc_client import open_channel
from libs.grpc_server import Binding, serve
from libs.registrar_files import (
    FileRefused,
    OrderRow,
    PackageKey,
    Received,
    Row,
    load_profile,
    make_package,
    read_package,
)
from services.sampleregistrar.codec import package_message, package_of
from services.sampleregistrar.running import open_registrar
from services.sampleregistrar.settings import Settings

if TYPE_CHECKING:
    from hefu.registrar.v1.registrar_pb2_grpc import RegistrarServiceAsyncStub
    from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceAsyncStub

TA = "HFTA"
US = "HEFU"
PROFILE = load_profile()
T = date(2015, 1, 5)
NEXT = date(2015, 1, 6)
AFTER = date(2015, 1, 7)
EQUITY = "SPKO01"
OTHER = "SPJNJ1"
MONEY = "MONEY1"


@dataclass
class Distributor(link_grpc.RegistrarLinkServiceServicer):
    """Keeps every file whole that it can read, in order, and answers as agreed."""

    files: dict[tuple[str, int], tuple[Row, ...]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    packages: dict[int, bytes] = field(default_factory=dict)
    repeats: int = 0
    is_away: bool = False
    numbers: dict[date, Received] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def DeliverFiles(  # noqa: N802 - the contract's name
        self,
        request: link_pb.DeliverFilesRequest,
        context: object,  # noqa: ARG002 - not asked
    ) -> link_pb.DeliverFilesResponse:
        if self.is_away:
            raise AssertionError("nobody is here")
        package = package_of(request.package, TA, US)
        day = package.key.trade_date
        before = self.numbers.get(day, Received())
        if package.key.number <= before.number:
            self.repeats += 1
            self.changed.set()
            outcome = link_pb.RECEIPT_OUTCOME_REPEATED
            return link_pb.DeliverFilesResponse(receipts=[link_pb.FileReceipt(outcome=outcome)])
        try:
            read = read_package(package, PROFILE, before)
        except FileRefused as refusal:
            receipt = link_pb.FileReceipt(
                outcome=link_pb.RECEIPT_OUTCOME_REFUSED,
                faults=[link_pb.FileFault(reason=refusal.faults[0].reason)],
            )
            return link_pb.DeliverFilesResponse(receipts=[receipt])
        batches = {**before.batches, **{e.file.file_type: e.file.batch for e in read}}
        self.numbers[day] = Received(package.key.number, batches)
        receipts = []
        for each in read:
            if each.faults:
                self.refused.append(each.faults[0].reason)
                outcome = link_pb.RECEIPT_OUTCOME_REFUSED
            else:
                self.files[f"{day:%m%d}/{each.file.file_type}", each.file.batch] = each.rows
                outcome = link_pb.RECEIPT_OUTCOME_ACCEPTED
            receipts.append(
                link_pb.FileReceipt(type=int(each.file.file_type), batch=1, outcome=outcome)  # type: ignore[arg-type]
            )
        self.changed.set()
        return link_pb.DeliverFilesResponse(receipts=receipts)

    def rows(self, file_type: str, batch: int = 1, day: date = T) -> tuple[Row, ...]:
        """The rows of a file."""
        return self.files[f"{day:%m%d}/{file_type}", batch]


@dataclass
class Exchange:
    """Both sides at work."""

    registrar: "RegistrarServiceAsyncStub"
    demo: "SampleRegistrarServiceAsyncStub"
    distributor: Distributor
    run_dir: Path
    address: str

    async def submit(
        self, rows: Sequence[OrderRow], day: date = T, number: int = 1
    ) -> link_pb.SubmitFilesResponse:
        """Hands in orders, as the distributor does."""
        batches = {"03": number - 1} if number > 1 else {}
        package = make_package(
            PackageKey(US, TA, day, number), {"03": rows}, PROFILE, Received(number - 1, batches)
        )
        message = package_message(package, TA)
        return await self.registrar.SubmitFiles(link_pb.SubmitFilesRequest(package=message))

    async def run(
        self, navs: dict[str, int], day: date = T, confirm: date = NEXT, **more: object
    ) -> pb.RunDayResponse:
        """Runs a day at these prices."""
        request = pb.RunDayRequest(
            trade_date=day.isoformat(),
            confirm_date=confirm.isoformat(),
            prices=[pb.DayPrice(fund_code=code, nav=nav) for code, nav in navs.items()],
            **more,  # type: ignore[arg-type]
        )
        return await self.demo.RunDay(request)

    async def until(self, file_type: str, batch: int = 1, day: date = T) -> tuple[Row, ...]:
        """The rows of a file, once it has come."""
        key = (f"{day:%m%d}/{file_type}", batch)
        async with asyncio.timeout(20):
            while key not in self.distributor.files:
                self.distributor.changed.clear()
                await self.distributor.changed.wait()
        return self.distributor.files[key]

    async def plan(self, fault: str, day: date = T, fund: str = "") -> None:
        """Plans a fault."""
        planned = pb.PlannedFault(
            trade_date=day.isoformat(), fault=pb.Fault.Value(f"FAULT_{fault}"), fund_code=fund
        )
        await self.demo.PlanFaults(pb.PlanFaultsRequest(faults=[planned]))


def order(number: int, code: str = "022", **changed: object) -> OrderRow:
    """An order as a distributor writes it."""
    row = OrderRow(
        app_sheet_serial_no=f"S{number:023d}",
        business_code=code,
        fund_code=EQUITY,
        transaction_date=T,
        transaction_account_id=f"INV{number:05d}",
        distributor_code=US,
        currency_type="CZK",
    )
    return row._replace(**changed)  # type: ignore[arg-type]


def funds() -> list[pb.SampleFund]:
    """An equity fund at 0.8 %, another at 0.5 %, a money fund."""
    equity = pb.SampleFund(
        fund_code=EQUITY,
        currency_code="CZK",
        register_model=pb.REGISTER_MODEL_LOOK_THROUGH,
        fund_kind="EQUITY",
        agency_share_ppm=1_000_000,
        subscription_bands=[pb.FeeBand(rate_ppm=8_000)],
        redemption_bands=[
            pb.FeeBand(rate_ppm=15_000),
            pb.FeeBand(**{"from": 7, "rate_ppm": 5_000}),
        ],
    )
    other = pb.SampleFund()
    other.CopyFrom(equity)
    other.fund_code = OTHER
    money = pb.SampleFund(
        fund_code=MONEY,
        currency_code="CZK",
        register_model=pb.REGISTER_MODEL_LOOK_THROUGH,
        fund_kind="MONEY_MARKET",
    )
    return [equity, other, money]


@asynccontextmanager
async def open_exchange(run_dir: Path) -> AsyncIterator[Exchange]:
    """A distributor and its registrar, each with an identity of its own."""
    names = ("funds", "operator", f"registrar-{TA}", "wallet")
    establish(run_dir, [Identity(name) for name in names])
    identities = run_dir / "identities"
    distributor = Distributor()
    policy = {"RegistrarLinkService/DeliverFiles": frozenset({"registrar"})}
    binding = Binding(
        link_grpc.add_RegistrarLinkServiceServicer_to_server,
        distributor,
        "hefu.registrar.v1.RegistrarLinkService",
    )
    async with serve(0, [binding], policy, identities / "funds", mutual=True) as link:
        settings = Settings(
            service=f"registrar-{TA}",
            registrar_id=TA,
            currency="CZK",
            run_dir=run_dir,
            port=0,
            registrar_link=f"localhost:{link.bound_port}",
        )
        async with open_registrar(settings, system_clock) as serving:
            address = f"localhost:{serving.bound_port}"
            async with (
                open_channel(address, identities / "funds", mutual=True) as ours,
                open_channel(address, identities / "operator", mutual=True) as theirs,
            ):
                demo = demo_grpc.SampleRegistrarServiceStub(theirs)
                await demo.PutFunds(pb.PutFundsRequest(funds=funds()))
                yield Exchange(
                    link_grpc.RegistrarServiceStub(ours), demo, distributor, run_dir, address
                )
