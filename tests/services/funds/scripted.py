"""A registrar that answers our files by the worked numbers of the reference, as a test tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

from libs.decider import Cause
from libs.fund_arithmetic import FeeBand, FeeMethod, FundType, HoldingBand, InvestorKind
from libs.registrar_files import (
    BalanceRow,
    ConfirmationRow,
    OrderRow,
    Package,
    PackageKey,
    PriceRow,
    Received,
    Row,
    load_profile,
    make_package,
    read_package,
)
from libs.registrar_files.package import ROWS_PER_FILE
from libs.suitability import InvestorClass, RiskLevel
from services.funds.clients.registrar import Answered, Receipt
from services.funds.domain import fund as funds
from services.funds.domain import investor as investors
from services.funds.domain import registrar as registrars
from services.funds.domain.product import Dealing, FeeTable, FundTerms, Limits, RegisterModel
from services.funds.parts import Parts
from services.funds.serials import trading_account_of
from tests.services.funds.worlds import CURRENCY, INVESTOR, OTHER, TA, World

PROFILE = load_profile()
REGISTRAR = registrars.Registrar(
    TA, "Sample registrar", "localhost:1", "CD", "TA0001", CURRENCY, "", nets_agency_fee=True
)
FUND, OTHER_FUND = "HF0001", "HF0002"
# T, the confirm date, and the day on which redemptions are paid.
T, CONFIRM, SETTLE = date(2026, 9, 24), date(2026, 9, 28), date(2026, 9, 29)
NAV = 10025


def terms(code: str = FUND, **changes: object) -> FundTerms:
    """A fund at 0.8 % in front, half of it ours, and 0.5 % on the way out within half a year."""
    table = FeeTable(
        date(2020, 1, 1),
        FeeMethod.OUTSIDE,
        (FeeBand(0, 8_000),),
        (HoldingBand(0, 15_000), HoldingBand(7, 5_000), HoldingBand(180, 0)),
        agency_share=1_000_000,
    )
    said: dict[str, object] = {
        "code": code,
        "name": f"Fund {code}",
        "ta_id": TA,
        "currency": CURRENCY,
        "fund_type": FundType.MIXED,
        "risk_level": RiskLevel.R3,
        "register_model": RegisterModel.LOOK_THROUGH,
        "dealing": Dealing(("XSHG",), "Asia/Shanghai"),
        "fee_tables": (table,),
        "limits": Limits(first_minor=1_000),
        **changes,
    }
    return FundTerms(**said)  # type: ignore[arg-type]


async def set_up(
    parts: Parts, *published: FundTerms, registrar: registrars.Registrar = REGISTRAR
) -> None:
    """A registrar, its funds, and two investors who may buy them."""
    cause = Cause("set up")
    streams = parts.aggregates
    for ta_id in {TA: None, **{each.ta_id: None for each in published}}:
        register = registrars.Register(replace(registrar, ta_id=ta_id), "operator")
        await streams.registrars.transact(ta_id, register, cause)
    for each in published or (terms(),):
        await streams.funds.transact(each.code, funds.Publish(each, "operator"), cause)
    for investor_id in (INVESTOR, OTHER):
        await classify(parts, investor_id, InvestorClass.C4)


async def classify(parts: Parts, investor_id: str, investor_class: InvestorClass) -> None:
    profile = investors.ClassRecorded(
        investor_class, InvestorKind.PERSON, date(2030, 1, 1), "v1", "operator"
    )
    await parts.aggregates.investors.transact(
        investor_id, investors.RecordClass(profile), Cause(f"class/{investor_class.name}")
    )


@dataclass
class Scripted:
    """Takes the files we send, and hands in those that a test makes."""

    world: World
    ta_id: str = TA
    received: Received = field(default_factory=Received)
    number: int = 0
    batches: dict[str, int] = field(default_factory=dict)
    trade_date: date = T
    confirm_date: date = CONFIRM

    def begin(self, trade_date: date, confirm_date: date) -> None:
        """From here on it speaks of another day."""
        self.trade_date, self.confirm_date = trade_date, confirm_date
        self.number, self.batches = 0, {}

    def __post_init__(self) -> None:
        self.world.link.answer = self.answer

    def answer(self, package: Package) -> Answered:
        """All of it is taken."""
        read = read_package(package, PROFILE, Received())
        assert not any(each.faults for each in read)
        return Answered(
            tuple(
                Receipt(each.file.file_type, each.file.batch, is_taken=True, rows=len(each.rows))
                for each in read
            )
        )

    def orders(self) -> list[OrderRow]:
        """Rows of the newest file that we sent."""
        ours = [each for each in self.world.link.sent if each.key.receiver == self.ta_id]
        read = read_package(ours[-1], PROFILE, Received())
        return [row for each in read for row in each.rows if isinstance(row, OrderRow)]

    def package(
        self, contents: Mapping[str, object], rows_per_file: int = ROWS_PER_FILE
    ) -> Package:
        """The next package of the day."""
        self.number += 1
        key = PackageKey(self.ta_id, "HEFU", self.trade_date, self.number)
        rows = cast("Mapping[str, Sequence[Row]]", contents)
        before = Received(self.number - 1, self.batches)
        made = make_package(key, rows, PROFILE, before, rows_per_file=rows_per_file)
        self.batches = {**self.batches, **{file.file_type: file.batch for file in made.files}}
        return made

    async def hand_in(self, parts: Parts, contents: Mapping[str, object]) -> Sequence[Receipt]:
        """The next package of the day, at the counter."""
        return await parts.intake.take(replace(REGISTRAR, ta_id=self.ta_id), self.package(contents))

    def price(self, nav: int = NAV, code: str = FUND) -> PriceRow:
        return PriceRow(code, self.trade_date, nav)

    def bought(
        self,
        order: OrderRow,
        shares: int,
        fee: int,
        **more: Any,  # noqa: ANN401 - fields of the row
    ) -> ConfirmationRow:
        """A subscription, confirmed."""
        row = ConfirmationRow(
            order.app_sheet_serial_no,
            f"S{order.app_sheet_serial_no[-19:]}",
            f"1{order.business_code[1:]}",
            order.fund_code,
            self.trade_date,
            self.confirm_date,
            transaction_account_id=order.transaction_account_id,
            share_register_date=self.confirm_date,
            application_amount=order.application_amount,
            confirmed_vol=shares,
            confirmed_amount=order.application_amount,
            nav=NAV,
            charge=fee,
            agency_fee=fee,
        )
        return row._replace(**more)

    def sold(
        self,
        order: OrderRow,
        net: int,
        fee: int,
        **more: Any,  # noqa: ANN401 - fields of the row
    ) -> ConfirmationRow:
        """A redemption, confirmed."""
        row = ConfirmationRow(
            order.app_sheet_serial_no,
            f"R{order.app_sheet_serial_no[-19:]}",
            f"1{order.business_code[1:]}",
            order.fund_code,
            self.trade_date,
            self.confirm_date,
            transaction_account_id=order.transaction_account_id,
            application_vol=order.application_vol,
            confirmed_vol=order.application_vol,
            confirmed_amount=net,
            nav=NAV,
            charge=fee,
            large_redemption_flag=order.large_redemption_flag,
        )
        return row._replace(**more)

    def balance(self, shares: int, investor_id: str = INVESTOR, code: str = FUND) -> BalanceRow:
        account = trading_account_of(investor_id)
        return BalanceRow(f"TA{account[-10:]}", code, self.confirm_date, shares, shares, 0, account)

    def forced(self, account: str, shares: int, net: int) -> ConfirmationRow:
        """Units that the registrar takes out by itself."""
        return ConfirmationRow(
            f"TA{'1' * 22}",
            f"F{self.trade_date:%Y%m%d}",
            "142",
            FUND,
            self.trade_date,
            self.confirm_date,
            transaction_account_id=account,
            application_vol=shares,
            confirmed_vol=shares,
            confirmed_amount=net,
            nav=NAV,
            from_ta_flag="1",
        )
