"""Files spoiled on purpose: a wrong count, or a wrong total, under a right index."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from libs.registrar_files import PackageKey, Row, make_package
from services.sampleregistrar.domain.faults import Fault
from services.sampleregistrar.issuing import Issuer, last_issued

_COUNT = re.compile(rb"(?<=\r\n)[0-9]{8}(?=\r\n(?!OFD))")
_TOTAL = re.compile(rb"(?<=\r\n)[0-9]{20}(?=\r\n)")


def put_spoiled(
    issuer: Issuer,
    connection: Connection,
    trade_date: date,
    contents: Mapping[str, Sequence[Row]],
    fault: Fault,
    due_ms: int,
) -> list[str]:
    """A package whose file says other than its rows do. The right one follows it."""
    received = last_issued(connection, trade_date)
    key = PackageKey(issuer.sender, issuer.receiver, trade_date, received.number + 1)
    whole = make_package(key, contents, issuer.profile, received)
    spoiled = [replace(file, body=spoil(file.body, fault)) for file in whole.files]
    counted = [(file, len(contents[file.file_type])) for file in spoiled]
    issuer.put(connection, trade_date, counted, due_ms=due_ms)
    return [file.name for file in spoiled]


def spoil(body: bytes, fault: Fault) -> bytes:
    """The file with one row more in its count, or a unit more in its first total."""
    if fault is Fault.WRONG_COUNT:
        places = list(_COUNT.finditer(body))
        # The date has eight digits too, and stands before the count.
        place = places[1]
        return _plus_one(body, place.start(), place.end())
    place = next(_TOTAL.finditer(body))
    return _plus_one(body, place.start(), place.end())


def _plus_one(body: bytes, start: int, end: int) -> bytes:
    return body[:start] + b"%0*d" % (end - start, int(body[start:end]) + 1) + body[end:]
