"""Why a file is not taken: the reason, and where in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# More of them tell nobody more.
FAULTS_MAX = 50


class FileReason(StrEnum):
    """Names are contract: they stand in receipts and breaks."""

    # The first lines are not those of such a file, or its end mark is missing.
    HEADER = "HEADER"
    # The fields are not those agreed, or stand in another order.
    LAYOUT = "LAYOUT"
    # It says another number of rows than it has.
    COUNT = "COUNT"
    # A row, or a value to be written, is not as long as agreed.
    WIDTH = "WIDTH"
    # A value is none of its kind: letters or foreign digits in a number, a space in a code.
    FIELD = "FIELD"
    # The rows do not add up to the total.
    TOTAL = "TOTAL"
    # No such day, or not the day that the file is about.
    DATE = "DATE"
    # Bytes that are no GB18030.
    ENCODING = "ENCODING"
    # A file of another type, sender, receiver or batch than its name says.
    NAME = "NAME"
    # The index names a file that is not there, or does not name one that is.
    INDEX = "INDEX"
    # The bytes are not those that the index, or the envelope of the call, speaks of.
    HASH = "HASH"
    # The number does not follow the one before.
    GAP = "GAP"
    # The same key came with other bytes before: an operator decides.
    OTHER_CONTENT = "OTHER_CONTENT"
    TOO_LARGE = "TOO_LARGE"


@dataclass(frozen=True, slots=True)
class FileFault:
    """One thing wrong. Rows count from 1; 0 and an empty field: not about one."""

    reason: FileReason
    file_name: str
    row: int = 0
    field: str = ""
    description: str = ""

    def __str__(self) -> str:
        """One sentence for people."""
        where = f" row {self.row}" if self.row else ""
        field = f" {self.field}" if self.field else ""
        return f"{self.file_name}{where}{field}: {self.reason}: {self.description}"


class FileRefused(Exception):
    """Nothing of the file is applied."""

    def __init__(self, faults: Sequence[FileFault]) -> None:
        self.faults = tuple(faults[:FAULTS_MAX])
        super().__init__(str(self.faults[0]))


def refuse(reason: FileReason, file_name: str, description: str) -> FileRefused:
    """A refusal of the file as a whole."""
    return FileRefused([FileFault(reason, file_name, description=description)])
