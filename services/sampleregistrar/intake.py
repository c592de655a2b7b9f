"""What comes from the distributor: packages with requests about accounts, and orders."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, func, insert, select

from libs.registrar_files import (
    AccountRequest,
    FileFault,
    FileRead,
    FileReason,
    FileRefused,
    OrderRow,
    Package,
    Profile,
    Received,
    read_package,
)
from services.sampleregistrar.domain.receipts import Receipt, receipts_of, refusal, repeated
from services.sampleregistrar.rows import receipts_of_text, receipts_text, row_text
from services.sampleregistrar.schema import (
    account_requests,
    accounts,
    days,
    orders,
    packages_in,
)

WAITING = "WAITING"


@dataclass(frozen=True, slots=True)
class Intake:
    """The counter where packages are handed in."""

    profile: Profile

    def take(self, connection: Connection, package: Package) -> tuple[Receipt, ...]:
        """Takes a package in, whole files or none; a repeat is answered as the first time."""
        digest = _digest(package)
        known = find(connection, package.key.trade_date.isoformat(), package.key.number)
        if known is not None:
            if known[0] != digest:
                told = "it came with other bytes"
                return refusal([FileFault(FileReason.OTHER_CONTENT, package.key.name, 0, "", told)])
            return repeated(known[1])
        try:
            self._check_open(connection, package)
            received = _received(connection, package.key.trade_date.isoformat())
            read = read_package(package, self.profile, received)
            for each in read:
                self._keep(connection, each)
        except FileRefused as refused:
            # Not kept: what did not follow may follow once the one before it has come.
            return refusal(refused.faults)
        receipts = receipts_of(read)
        batches = {**received.batches, **{e.file.file_type: e.file.batch for e in read}}
        connection.execute(
            insert(packages_in).values(
                trade_date=package.key.trade_date.isoformat(),
                number=package.key.number,
                sha256=digest,
                receipts=receipts_text(receipts),
                batches=json.dumps(batches),
            )
        )
        return receipts

    def _check_open(self, connection: Connection, package: Package) -> None:
        trade_date = package.key.trade_date.isoformat()
        last = connection.execute(select(func.max(days.c.trade_date))).scalar_one()
        if last is not None and trade_date <= last:
            told = f"{last} has been priced and decided"
            raise FileRefused([FileFault(FileReason.DATE, package.key.name, description=told)])

    def _keep(self, connection: Connection, read: FileRead) -> None:
        if read.faults or not read.rows:
            return
        if read.file.file_type == "03":
            self._keep_orders(connection, read.file.name, cast("Sequence[OrderRow]", read.rows))
        elif read.file.file_type == "01":
            self._keep_requests(connection, cast("Sequence[AccountRequest]", read.rows))
        else:
            told = "this is not for a registrar"
            fault = FileFault(FileReason.NAME, read.file.name, description=told)
            raise FileRefused([fault])

    @staticmethod
    def _keep_requests(connection: Connection, asked: Sequence[AccountRequest]) -> None:
        open_accounts(connection, [row.transaction_account_id for row in asked])
        connection.execute(
            insert(account_requests),
            [
                {
                    "serial": row.app_sheet_serial_no,
                    "trade_date": row.transaction_date.isoformat(),
                    "business_code": row.business_code,
                    "transaction_account_id": row.transaction_account_id,
                }
                for row in asked
            ],
        )

    @staticmethod
    def _keep_orders(connection: Connection, name: str, asked: Sequence[OrderRow]) -> None:
        known = set(
            connection.execute(
                select(orders.c.serial).where(
                    orders.c.serial.in_([row.app_sheet_serial_no for row in asked])
                )
            ).scalars()
        )
        seen: set[str] = set()
        for number, row in enumerate(asked, 1):
            serial = row.app_sheet_serial_no
            if serial in known or serial in seen:
                told = f"{serial} was here before"
                fault = FileFault(FileReason.FIELD, name, number, "AppSheetSerialNo", told)
                raise FileRefused([fault])
            seen.add(serial)
        open_accounts(connection, [row.transaction_account_id for row in asked])
        connection.execute(
            insert(orders),
            [
                {
                    "serial": row.app_sheet_serial_no,
                    "trade_date": row.transaction_date.isoformat(),
                    "row": row_text(row),
                    "shares": row.application_vol,
                    "state": WAITING,
                }
                for row in asked
            ],
        )


def open_accounts(connection: Connection, wanted: Sequence[str]) -> None:
    """An account here for each of the distributor's that has none yet."""
    known = set(connection.execute(select(accounts.c.transaction_account_id)).scalars())
    new = [account for account in dict.fromkeys(wanted) if account not in known]
    if new:
        connection.execute(
            insert(accounts),
            [
                {"transaction_account_id": account, "ta_account_id": f"{number:012d}"}
                for number, account in enumerate(new, len(known) + 1)
            ],
        )


def find(
    connection: Connection, trade_date: str, number: int
) -> tuple[bytes, tuple[Receipt, ...]] | None:
    """A package that was taken: its digest, and how it was answered."""
    row = (
        connection.execute(
            select(packages_in).where(
                (packages_in.c.trade_date == trade_date) & (packages_in.c.number == number)
            )
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    return row["sha256"], receipts_of_text(row["receipts"])


def _received(connection: Connection, trade_date: str) -> Received:
    row = (
        connection.execute(
            select(packages_in)
            .where(packages_in.c.trade_date == trade_date)
            .order_by(packages_in.c.number.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    return Received() if row is None else Received(row["number"], json.loads(row["batches"]))


def _digest(package: Package) -> bytes:
    found = hashlib.sha256(package.index)
    for file in package.files:
        found.update(file.sha256)
    return found.digest()
