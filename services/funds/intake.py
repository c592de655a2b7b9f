"""What registrars hand in: packages in order, each file whole or not at all, once for ever."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.decider import Cause, Rejected
from libs.registrar_files import (
    FileFault,
    FileRead,
    FileReason,
    FileRefused,
    Package,
    Received,
    read_package,
    sha256_of,
)
from services.funds.aggregates import Aggregates, file_key, ta_day_id
from services.funds.breaking import Breaking, about
from services.funds.clients.registrar import Receipt
from services.funds.domain import files, ta_day
from services.funds.domain.breaks import BreakType
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileType
from services.funds.file_room import INDEX, FileRoom
from services.funds.fund_day import FundDays
from services.funds.opening import Opening
from services.funds.reading import profile_of

_ACTOR: Final = "funds"
# Confirmations of accounts: orders may wait for them, the day does not.
_ACCOUNTS: Final = "02"
# What moves a day.
_OF_DAYS: Final = frozenset(type_.value for type_ in FileType) - {FileType.ORDERS.value}


@dataclass(frozen=True, slots=True)
class Intake:
    """The counter where registrars hand packages in, one at a time for each."""

    aggregates: Aggregates
    file_room: FileRoom
    fund_days: FundDays
    breaking: Breaking
    opening: Opening
    wake: Callable[[str], None]
    _turns: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def take(self, registrar: Registrar, package: Package) -> Sequence[Receipt]:
        """Take a package in; a repeat is answered as the first time."""
        async with self._turns[registrar.ta_id]:
            known = await self._known(registrar.ta_id, package)
            if known is not None:
                return known
            try:
                return await self._take(registrar, package)
            except FileRefused as refused:
                # Not kept: what did not follow may follow once the one before it has come.
                if refused.faults[0].reason is not FileReason.GAP:
                    await self._quarantined(registrar, package, refused.faults)
                return [Receipt("", 0, is_taken=False, faults=refused.faults)]

    async def _take(self, registrar: Registrar, package: Package) -> Sequence[Receipt]:
        received = await self._received(registrar.ta_id, package)
        read = read_package(package, profile_of(registrar.profile), received)
        try:
            await self.fund_days.open(registrar.ta_id, package.key.trade_date)
        except Rejected as rejected:
            told = f"{rejected.reason.name}: {rejected.description}"
            fault = FileFault(FileReason.DATE, package.key.name, description=told)
            raise FileRefused([fault]) from rejected
        receipts = [await self._keep(registrar, package, each) for each in read]
        # The index last: with it the package has been taken.
        index = self._index_key(registrar.ta_id, package)
        await self.file_room.keep(index, package.index, is_outgoing=False)
        await self.file_room.accept(index, len(package.files))
        self.wake(ta_day_id(registrar.ta_id, package.key.trade_date))
        return receipts

    async def _keep(self, registrar: Registrar, package: Package, read: FileRead) -> Receipt:
        file, trade_date = read.file, package.key.trade_date
        key = file_key(registrar.ta_id, trade_date, file.file_type, file.batch)
        try:
            await self.file_room.keep(key, file.body, is_outgoing=False)
        except Rejected as rejected:
            fault = FileFault(FileReason.OTHER_CONTENT, file.name, description=rejected.description)
            raise FileRefused([fault]) from rejected
        if read.faults:
            await self.file_room.quarantine(key, read.faults)
            await self._quarantined(registrar, package, read.faults)
        else:
            await self.file_room.accept(key, len(read.rows))
            if file.file_type in _OF_DAYS:
                await self._tell(registrar.ta_id, package, FileType(file.file_type), key, read)
            elif file.file_type == _ACCOUNTS:
                await self.opening.take(registrar, trade_date, key, read.rows)
                place = f"{ta_day_id(registrar.ta_id, trade_date)}/{file.file_type}"
                await self.breaking.end(BreakType.LATE, place, "it has arrived")
        return Receipt(
            file.file_type,
            file.batch,
            not read.faults,
            rows=len(read.rows),
            sha256=file.sha256,
            faults=read.faults,
        )

    async def _tell(
        self, ta_id: str, package: Package, file_type: FileType, key: str, read: FileRead
    ) -> None:
        id_ = ta_day_id(ta_id, package.key.trade_date)
        receive = ta_day.ReceiveFile(file_type, key, len(read.rows))
        cause = Cause(f"{id_}/receive/{key}", correlation_id=id_, actor=f"registrar:{ta_id}")
        await self.aggregates.ta_days.transact(id_, receive, cause)
        await self.breaking.end(BreakType.LATE, f"{id_}/{file_type.value}", "it has arrived")

    async def _known(self, ta_id: str, package: Package) -> Sequence[Receipt] | None:
        """Receipts of a package that was taken before; None: it is new."""
        index = await self.file_room.find(self._index_key(ta_id, package))
        if index is None or index.outcome is None:
            return None
        is_same = index.stored.sha256 == sha256_of(package.index).hex()
        receipts = []
        for file in package.files:
            key = file_key(ta_id, package.key.trade_date, file.file_type, file.batch)
            kept = await self.file_room.find(key)
            if kept is None or kept.stored.sha256 != file.sha256.hex():
                is_same = False
                break
            receipts.append(_repeated(kept, file.file_type, file.batch))
        if is_same:
            return receipts
        told = "another package came under this number: an operator decides"
        fault = FileFault(FileReason.OTHER_CONTENT, package.key.name, description=told)
        terms = about(ta_id, package.key.trade_date, description=str(fault))
        place = f"{package.key.name}/{sha256_of(package.index).hex()}"
        await self.breaking.find(BreakType.FILE_QUARANTINED, place, terms)
        return [Receipt("", 0, is_taken=False, faults=(fault,))]

    async def _received(self, ta_id: str, package: Package) -> Received:
        """What came for this day before: the last package, the last batch of each type."""
        number, trade_date = 0, package.key.trade_date
        while await self._is_taken(file_key(ta_id, trade_date, INDEX, number + 1)):
            number += 1
        state = (await self.aggregates.ta_days.load(ta_day_id(ta_id, trade_date))).state
        if isinstance(state, ta_day.Absent) and number == 0:
            return Received()
        batches: dict[str, int] = {}
        for file_type in {file.file_type for file in package.files}:
            batch = 0
            while await self._is_before(ta_id, package, file_type, batch + 1):
                batch += 1
            batches[file_type] = batch
        return Received(number, batches)

    async def _is_taken(self, key: str) -> bool:
        kept = await self.file_room.find(key)
        return kept is not None and kept.outcome is not None

    async def _is_before(self, ta_id: str, package: Package, file_type: str, batch: int) -> bool:
        """Whether such a file came with an earlier package: one of this may be kept already."""
        is_of_this = any(
            (file.file_type, file.batch) == (file_type, batch) for file in package.files
        )
        key = file_key(ta_id, package.key.trade_date, file_type, batch)
        return not is_of_this and await self.file_room.find(key) is not None

    async def _quarantined(
        self, registrar: Registrar, package: Package, faults: Sequence[FileFault]
    ) -> None:
        told = "; ".join(map(str, faults[:5]))
        terms = about(registrar.ta_id, package.key.trade_date, description=told)
        place = f"{package.key.name}/{faults[0].file_name}"
        await self.breaking.find(BreakType.FILE_QUARANTINED, place, terms)

    def _index_key(self, ta_id: str, package: Package) -> str:
        return file_key(ta_id, package.key.trade_date, INDEX, package.key.number)


def _repeated(kept: files.Kept, file_type: str, batch: int) -> Receipt:
    sha256 = bytes.fromhex(kept.stored.sha256)
    match kept.outcome:
        case files.Accepted(rows):
            return Receipt(
                file_type, batch, is_taken=True, is_repeat=True, rows=rows, sha256=sha256
            )
        case files.Quarantined(reason, description):
            fault = FileFault(FileReason(reason), "", description=description)
            return Receipt(file_type, batch, is_taken=False, sha256=sha256, faults=(fault,))
        case None:
            raise AssertionError("the files of a package that was taken have an outcome")
