"""Bytes written by hand are those that protobuf writes: the form of an entry is a contract."""

import random
from collections.abc import Callable
from uuid import UUID

import pytest

from hefu.accounts.v1 import events_pb2 as pb
from libs.wire_bytes import BYTES, varint
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.codec.entry_rows import plain_rows
from services.accounts.codec.facts import entry_to_wire
from services.accounts.codec.rows import PageRow, PageRows, add_entry
from services.accounts.domain import entries as d
from services.accounts.domain.commands import Amount

TEXTS = ["", "", "a", "caf\u00e9", "\u5408\u7b26", "\x00\x7f", "a" * 127, "a" * 128]
INT64 = [0, 1, 127, 128, 16_384, 10**12, 2**63 - 1, -1, -(2**63)]


class Made:
    """Entries of all sorts, the same in every run."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def text(self) -> str:
        return self.draw.choice(TEXTS)

    def int64(self) -> int:
        return self.draw.choice(INT64)

    def id(self) -> str:
        return str(UUID(int=self.draw.getrandbits(128)))

    def currency(self) -> str:
        return self.draw.choice(["CZK", "EUR"])

    def amount(self) -> Amount:
        return Amount(self.currency(), self.int64())

    def leg(self) -> d.PostedLeg:
        return d.PostedLeg(self.id(), self.draw.randint(1, 2), self.currency(), self.int64())

    def legs(self) -> tuple[d.PostedLeg, ...]:
        return tuple(self.leg() for _ in range(self.draw.randint(0, 4)))

    def rounding(self) -> d.Rounding | None:
        parts = (d.RoundingPart(self.id(), self.draw.randint(-9, 9), 7),)
        return self.draw.choice([None, d.Rounding(self.text(), parts)])

    def fact(self) -> d.Fact:
        text = self.text
        facts: list[d.Fact] = [
            d.TransferPosted(self.legs(), text(), text()),
            d.TransferPosted(self.legs(), "", "", "7.1", text(), self.rounding()),
            d.HoldPlaced(
                self.id(),
                self.id(),
                self.amount(),
                text(),
                self.draw.choice([0, 5, 2**50]),
                text(),
            ),
            d.HoldCaptured(
                self.id(),
                self.legs(),
                self.amount(),
                self.int64(),
                self.int64(),
                text(),
                text(),
            ),
            d.HoldReleased(self.id(), self.amount(), self.int64()),
            d.HoldExpired(self.id(), self.amount()),
            d.CommandRefused(text(), text(), text(), text()),
            d.AccountClosed(self.id()),
        ]
        return self.draw.choice(facts)

    def obligation(self) -> d.Obligation | None:
        found = d.Obligation(
            self.text(), self.id(), 1, self.currency(), self.int64(), self.id(), self.text()
        )
        return self.draw.choice([None, found])

    def balance(self) -> d.BalanceAfter:
        seq = self.draw.choice([0, 1, 2**40])
        return d.BalanceAfter(self.id(), seq, self.int64(), self.int64(), self.int64())

    def entry(self) -> d.Entry:
        return d.Entry(
            self.fact(),
            self.draw.choice([self.id(), ""]),
            self.text(),
            self.text(),
            self.draw.randbytes(self.draw.choice([0, 32])),
            self.draw.randbytes(self.draw.choice([0, 64, 200])),
            self.text(),
            self.text(),
            self.obligation(),
            tuple(self.balance() for _ in range(self.draw.randint(0, 4))),
            self.text(),
            self.draw.random() < 0.3,
        )

    def plain(self) -> d.Entry:
        """What nearly all entries are, and sometimes one thing about it that is not."""
        legs = (
            d.PostedLeg(self.id(), 1, "CZK", minor := abs(self.int64()) % 2**63 or 1),
            d.PostedLeg(self.id(), 2, "CZK", minor),
        )
        balances = (self.balance(), self.balance())
        today = "2026-09-21"
        entry = d.Entry(
            d.TransferPosted(legs, "", ""),
            self.id(),
            "wallet",
            "",
            self.draw.randbytes(32),
            self.draw.randbytes(64),
            today,
            today,
            None,
            balances,
        )
        odd: list[dict[str, object]] = [
            {},
            {},
            {"command_id": ""},
            {"caller": self.text()},
            {"correlation_id": "c"},
            {"terms_hash": b""},
            {"term_checks": bytes(68)},
            {"value_date": ""},
            {"obligation": self.obligation()},
            {"balances": balances[:1]},
            {"group_id": "g"},
            {"is_past_day_negative": True},
            {"fact": d.TransferPosted(legs, self.text(), self.text())},
            {"fact": d.TransferPosted((*legs, self.leg()), "", "")},
            {"fact": d.TransferPosted((legs[0], self.leg()), "", "")},
            {"fact": d.TransferPosted((legs[0], legs[1]._replace(direction=0)), "", "")},
        ]
        return entry._replace(**self.draw.choice(odd))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [Made.entry, Made.plain])
def test_an_entry_is_written_as_protobuf_writes_it(make: Callable[[Made], d.Entry]) -> None:
    for seed in range(1_500):
        entry, ordinal = make(Made(seed)), seed % 4_000

        message = entry_to_wire(entry, ordinal)

        assert encode_entry(entry, ordinal) == message.SerializeToString(deterministic=True), entry


def of_its_legs(entry: d.Entry, draw: random.Random) -> d.Entry:
    """The entry with balances of the accounts it moves, as the journal writes them."""
    accounts = [leg.account_id for leg in getattr(entry.fact, "legs", ())]
    draw.shuffle(accounts)
    pairs = zip(entry.balances, accounts, strict=False)
    balances = tuple(balance._replace(account_id=account) for balance, account in pairs)
    checks = draw.choice([b"", entry.term_checks])
    return entry._replace(balances=balances, term_checks=checks)


def test_rows_by_the_pattern_are_those_by_the_messages() -> None:
    read = 0
    for seed in range(1_500):
        made = Made(seed)
        entry = of_its_legs(made.plain() if seed % 3 else made.entry(), made.draw)
        data = encode_entry(entry, seed)
        by_message = PageRows(PageRow(7, 5, "2026-11-22", 1, b"", b""), [], [], [], [])
        add_entry(by_message, pb.Entry.FromString(data), seed, data)

        plain = plain_rows(data, 7, seed)

        assert plain in (None, (*by_message.entries, *by_message.touched)), entry
        if plain is not None:
            read += 1
            assert (by_message.changes, by_message.past_day_negatives) == ([], [])
    assert read > 100


@pytest.mark.parametrize("value", [0, 1, 127, 128, 4_095, 4_096, 2**63 - 1, -1, -(2**63)])
def test_a_number_of_any_size_reads_back(value: int) -> None:
    shifts = enumerate(varint(value).encode(BYTES))
    assert sum((digit & 0x7F) << 7 * n for n, digit in shifts) == value % (1 << 64)
