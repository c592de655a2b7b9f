"""Messages of the link and the demo, to values and back."""

from collections.abc import Iterable
from datetime import date

from hefu.registrar.v1 import registrar_pb2 as link_pb
from hefu.registrar.v1 import sample_registrar_pb2 as pb
from libs.fund_arithmetic import FeeBand, FeeMethod, FundType, HoldingBand, Rounding
from libs.registrar_files import File, Package, PackageKey
from services.sampleregistrar.domain.fund import GATE_PPM, Fund
from services.sampleregistrar.domain.receipts import Receipt


def fund_of(message: pb.SampleFund) -> Fund:
    """A fund as it was told."""
    front = sorted(message.subscription_bands, key=lambda band: getattr(band, "from"))
    back = sorted(message.redemption_bands, key=lambda band: getattr(band, "from"))
    return Fund(
        code=message.fund_code,
        currency=message.currency_code,
        is_omnibus=message.register_model == pb.REGISTER_MODEL_OMNIBUS,
        fund_type=FundType[message.fund_kind],
        method=FeeMethod.INSIDE if message.is_inside_deduct else FeeMethod.OUTSIDE,
        rounding=Rounding.TRUNCATE if message.truncates else Rounding.HALF_UP,
        front_bands=tuple(
            FeeBand(getattr(band, "from"), band.rate_ppm, band.fixed_fee_minor or None)
            for band in front
        ),
        redemption_bands=tuple(HoldingBand(getattr(band, "from"), band.rate_ppm) for band in back),
        agency_share_ppm=message.agency_share_ppm,
        gate_ppm=message.gate_ppm or GATE_PPM,
    )


def package_of(message: link_pb.FilePackage, sender: str, receiver: str) -> Package:
    """A package as it came. Raises `ValueError` for a date that is none."""
    trade_date = date.fromisoformat(message.trade_date)
    return Package(
        PackageKey(sender, receiver, trade_date, message.number),
        message.index,
        tuple(File(f"{file.type:02d}", file.batch, file.name, file.body) for file in message.files),
    )


def package_message(package: Package, registrar_id: str) -> link_pb.FilePackage:
    """A package to be delivered."""
    return link_pb.FilePackage(
        registrar_id=registrar_id,
        trade_date=package.key.trade_date.isoformat(),
        number=package.key.number,
        index=package.index,
        files=[
            link_pb.RegistrarFile(
                type=link_pb.FileType.ValueType(int(file.file_type)),
                batch=file.batch,
                name=file.name,
                body=file.body,
                sha256=file.sha256,
            )
            for file in package.files
        ],
    )


def receipt_messages(receipts: Iterable[Receipt]) -> list[link_pb.FileReceipt]:
    """The answer to a package."""
    return [
        link_pb.FileReceipt(
            type=link_pb.FileType.ValueType(int(receipt.file_type or 0)),
            batch=receipt.batch,
            outcome=link_pb.ReceiptOutcome.Value(f"RECEIPT_OUTCOME_{receipt.outcome}"),
            rows=receipt.rows,
            sha256=receipt.sha256,
            faults=[
                link_pb.FileFault(
                    reason=fault.reason,
                    file_name=fault.file_name,
                    row=fault.row,
                    field=fault.field,
                    description=fault.description,
                )
                for fault in receipt.faults
            ],
        )
        for receipt in receipts
    ]
