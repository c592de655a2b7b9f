"""Files that funds and their registrars exchange: built, and read whole or not at all."""

from libs.registrar_files.envelope import FileKey, build_file, parse_file, sha256_of
from libs.registrar_files.faults import FileFault, FileReason, FileRefused
from libs.registrar_files.package import (
    File,
    FileRead,
    Package,
    PackageKey,
    Received,
    build_index,
    make_package,
    read_package,
)
from libs.registrar_files.profile import Profile, ProfileWrong, load_profile
from libs.registrar_files.records import (
    DONE,
    AccountConfirmation,
    AccountRequest,
    BalanceRow,
    ConfirmationRow,
    DividendRow,
    OrderRow,
    PriceRow,
    Row,
)

__all__ = [
    "DONE",
    "AccountConfirmation",
    "AccountRequest",
    "BalanceRow",
    "ConfirmationRow",
    "DividendRow",
    "File",
    "FileFault",
    "FileKey",
    "FileRead",
    "FileReason",
    "FileRefused",
    "OrderRow",
    "Package",
    "PackageKey",
    "PriceRow",
    "Profile",
    "ProfileWrong",
    "Received",
    "Row",
    "build_file",
    "build_index",
    "load_profile",
    "make_package",
    "parse_file",
    "read_package",
    "sha256_of",
]
