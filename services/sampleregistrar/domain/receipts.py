"""What is said of a package that was handed in, or handed over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.registrar_files import FileFault, FileRead

ACCEPTED = "ACCEPTED"
REPEATED = "REPEATED"
REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer about one file; batch 0 and no type: about the package as a whole."""

    file_type: str
    batch: int
    outcome: str
    rows: int = 0
    sha256: bytes = b""
    faults: tuple[FileFault, ...] = ()


def receipts_of(read: Sequence[FileRead]) -> tuple[Receipt, ...]:
    """The answer about each file that was read."""
    return tuple(
        Receipt(
            each.file.file_type,
            each.file.batch,
            REFUSED if each.faults else ACCEPTED,
            len(each.rows),
            each.file.sha256,
            each.faults,
        )
        for each in read
    )


def refusal(faults: Sequence[FileFault]) -> tuple[Receipt, ...]:
    """The answer about a package that is not taken at all."""
    return (Receipt("", 0, REFUSED, faults=tuple(faults)),)


def repeated(receipts: Sequence[Receipt]) -> tuple[Receipt, ...]:
    """The first answer, given again."""
    return tuple(
        replace(each, outcome=REPEATED) if each.outcome == ACCEPTED else each for each in receipts
    )
