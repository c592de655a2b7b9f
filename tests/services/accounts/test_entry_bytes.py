"""Bytes written by hand are those that protobuf writes: the form of an entry is a contract."""

from hypothesis import given
from hypothesis import strategies as st

from libs.wire_bytes import varint
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.codec.facts import entry_to_wire
from services.accounts.domain import entries as d
from services.accounts.domain.commands import Amount

TEXTS = st.text(st.characters(codec="utf-8"), max_size=5) | st.text(
    "ab", min_size=130, max_size=150
)
IDS = st.uuids().map(str)
INT64 = st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1)
CURRENCIES = st.sampled_from(["CZK", "EUR"])
AMOUNTS = st.builds(Amount, CURRENCIES, INT64)
LEGS = st.lists(
    st.builds(d.PostedLeg, IDS, st.sampled_from([1, 2]), CURRENCIES, INT64), max_size=4
).map(tuple)
ROUNDINGS = st.none() | st.builds(
    d.Rounding,
    TEXTS,
    st.lists(st.builds(d.RoundingPart, IDS, INT64, st.integers(1, 9)), max_size=2).map(tuple),
)
FACTS = st.one_of(
    st.builds(d.TransferPosted, LEGS, TEXTS, TEXTS),
    st.builds(d.TransferPosted, LEGS, TEXTS, TEXTS, st.just("7.1"), TEXTS, ROUNDINGS),
    st.builds(d.HoldPlaced, IDS, IDS, AMOUNTS, TEXTS, st.integers(0, 2**52), TEXTS),
    st.builds(d.HoldCaptured, IDS, LEGS, AMOUNTS, INT64, INT64, TEXTS, TEXTS),
    st.builds(d.HoldReleased, IDS, AMOUNTS, INT64),
    st.builds(d.HoldExpired, IDS, AMOUNTS),
    st.builds(d.CommandRefused, TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(d.AccountClosed, IDS),
)
OBLIGATIONS = st.none() | st.builds(
    d.Obligation, TEXTS, IDS, st.sampled_from([1, 2]), CURRENCIES, INT64, IDS, TEXTS
)
BALANCES = st.lists(
    st.builds(d.BalanceAfter, IDS, st.integers(0, 2**40), INT64, INT64, INT64), max_size=4
).map(tuple)
ENTRIES = st.builds(
    d.Entry,
    FACTS,
    IDS | st.just(""),
    TEXTS,
    TEXTS,
    st.binary(max_size=32),
    st.binary(max_size=200),
    TEXTS,
    TEXTS,
    OBLIGATIONS,
    BALANCES,
    TEXTS,
    st.booleans(),
)


@given(ENTRIES, st.integers(0, 4_000))
def test_an_entry_is_written_as_protobuf_writes_it(entry: d.Entry, ordinal: int) -> None:
    message = entry_to_wire(entry, ordinal)

    assert encode_entry(entry, ordinal) == message.SerializeToString(deterministic=True)


@given(st.integers(-(2**63), 2**64 - 1))
def test_a_number_of_any_size_reads_back(value: int) -> None:
    shifts = enumerate(varint(value))
    assert sum((digit & 0x7F) << 7 * n for n, digit in shifts) == value % (1 << 64)
