"""Events as stored: protobuf reads what we write, and every version ever written is still read."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import Default

from hefu.funds.v1 import events_pb2
from libs.money import Money
from services.funds import aggregates, fund_clock
from services.funds.domain.order_terms import Terms
from services.funds.domain.product import FundTerms
from services.funds.shapes import ShapeCodec, UnknownEvent, Unstorable, shape_of

GOLDEN = Path(__file__).parents[2] / "golden" / "funds"
CODECS: list[ShapeCodec[Any]] = [
    aggregates.FUNDS,
    aggregates.ORDERS,
    aggregates.HOLDINGS,
    aggregates.INVESTORS,
    aggregates.REGISTRARS,
    aggregates.TA_DAYS,
    aggregates.FILES,
    aggregates.BREAKS,
    aggregates.PLANS,
    aggregates.FACILITIES,
    aggregates.ADVANCES,
    aggregates.TRADING_DAYS,
    aggregates.NOMINEE_ROWS,
    aggregates.REGISTRAR_ACCOUNTS,
    fund_clock.codec,
]
TYPES: Mapping[str, tuple[ShapeCodec[Any], type]] = {
    name: (codec, type_) for codec in CODECS for name, type_ in codec.types.items()
}
NAMES = sorted(TYPES)


def sample(hint: Any, number: int, *, is_last: bool = False) -> Any:  # noqa: ANN401 - of any type
    """A value that says something; with `is_last`, the last of what may stand there."""
    choices = [each for each in get_args(hint) if each is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType):
        return sample(choices[-1] if is_last else choices[0], number, is_last=is_last)
    if get_origin(hint) is tuple:
        return (sample(choices[0], number), sample(choices[0], number + 1, is_last=True))
    if hint is str:
        return f"text {number} 合符"
    if hint is bool:
        return True
    if hint is int:
        return 10**15 + number
    if hint is bytes:
        return bytes([number, 255, 0])
    if hint is date:
        return date(2026, 1, 1 + number % 28)
    if hint is Money:
        return Money("CNY", 1_000 + number)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = list(hint)
        return members[-1 if is_last else 0]
    if is_dataclass(hint) and isinstance(hint, type):
        return filled(hint, is_last=is_last)
    raise AssertionError(f"no sample of {hint}")


def filled(type_: type, *, is_last: bool = False) -> Any:  # noqa: ANN401 - of the type given
    hints = get_type_hints(type_)
    return type_(
        *(sample(hints[f.name], n, is_last=is_last) for n, f in enumerate(fields(type_), 1))
    )


def empty(type_: type) -> Any:  # noqa: ANN401 - of the type given
    """The value with everything at what protobuf gives where nothing is set."""
    return shape_of(type_).from_json({})


def _published_v1() -> FundTerms:
    """Documents had no kind, no language and no day."""
    told: FundTerms = filled(FundTerms)
    plain = [replace(each, kind=None, language="", valid_from=None) for each in told.documents]
    return replace(told, documents=tuple(plain))


# What an earlier version did not say yet: it reads as if nothing were set.
LACKED: Mapping[str, Mapping[str, object]] = {
    "FundPublished.v1": {"terms": _published_v1()},
    "FundOrderConfirmed.v1": {"is_booked": False},
    "FundOrderPartlyConfirmed.v1": {"is_booked": False},
    "FundOrderPartCashTold.v1": {"agency_minor": 0},
    "FundOrderAdvancePaid.v1": {"amount_minor": 0},
    "FundOrderRefused.v1": {"serial": ""},
    "FundOrderPlaced.v1": {"terms": replace(filled(Terms), switch_id="")},
}


def versions(name: str) -> list[Path]:
    """Every version that was ever written, oldest first."""
    return sorted(GOLDEN.glob(f"{name.rpartition('.')[2]}.v*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_ever_stored_is_still_read(name: str) -> None:
    codec, type_ = TYPES[name]
    for file in versions(name):
        read = codec.decode(name, file.read_bytes().strip())
        assert read == replace(filled(type_), **LACKED.get(file.stem, {}))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_now_is_what_was_stored(name: str) -> None:
    codec, type_ = TYPES[name]
    written, data = codec.encode(filled(type_))
    assert written == name
    assert versions(name)[-1].read_bytes() == data + b"\n"


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_protobuf_reads_every_event_and_writes_the_same(name: str, *, is_last: bool) -> None:
    codec, type_ = TYPES[name]
    event = filled(type_, is_last=is_last)
    type_name, data = codec.encode(event)
    descriptor = Default().FindMessageTypeByName(type_name)
    message = json_format.Parse(data, message_factory.GetMessageClass(descriptor)())
    written = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert orjson.loads(data) == written
    assert codec.decode(type_name, data) == event


def _may_be_empty(type_: type) -> bool:
    """A date and a part are always there."""
    hints = get_type_hints(type_).values()
    return not any(hint is date or is_dataclass(hint) for hint in hints)


@pytest.mark.parametrize("name", [name for name in NAMES if _may_be_empty(TYPES[name][1])])
def test_what_is_not_set_is_left_out_and_comes_back(name: str) -> None:
    codec, type_ = TYPES[name]
    _, data = codec.encode(empty(type_))
    assert codec.decode(name, data) == empty(type_)


def test_every_event_message_is_one_of_ours() -> None:
    used = {name.rpartition(".")[2] for name in NAMES}
    endings = ("Terms", "Table", "Band", "Limits", "Dealing", "Document", "Nav", "Dividend")
    parts = {
        message
        for message in events_pb2.DESCRIPTOR.message_types_by_name
        if message not in used and not message.endswith(endings)
    }
    assert parts == {
        "Claim",
        "FundConfirmation",
        "FundDifference",
        "FundDividendModeChange",
        "FundFastRedemption",
        "FundRedemption",
        "FundRegistrarMovement",
        "FundSubscription",
        "FundSwitching",
        "HoldingLot",
        "Registrar",
        "TaDayTotal",
    }


def test_an_event_of_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(UnknownEvent):
        aggregates.FUNDS.decode("hefu.funds.v1.FundForgotten", b"{}")


def test_a_type_without_a_place_in_protobuf_is_found_at_import() -> None:
    with pytest.raises(Unstorable):
        shape_of(_WithFloat)


def _with_float() -> type:
    from dataclasses import make_dataclass  # noqa: PLC0415 - for this one alone

    return make_dataclass("WithFloat", [("rate", float)])


_WithFloat = _with_float()
