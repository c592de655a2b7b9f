"""Bulk calls read and answered without messages say just what they say with them."""

import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from libs.money import MINOR_MAX
from libs.validation import drops_unknown_fields, shape_violations
from services.accounts.codec.answers import result_of
from services.accounts.codec.commands import command_of, transfer_of
from services.accounts.codec.plain_calls import (
    read_commands,
    read_transfers,
    response_bytes,
    result_text,
)
from services.accounts.domain.answers import Answer
from services.accounts.domain.commands import Transfer
from services.accounts.domain.entries import (
    BalanceAfter,
    CommandRefused,
    Entry,
    PostedLeg,
    TransferPosted,
)
from services.accounts.domain.refusals import Refusal

ODD_TEXTS = ["rent", "a" * 80, "a" * 81, "x*y", 'x"y', "caf\u00e9", "\x1f", " "]


class Caller:
    """Requests, the same in every run."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def id(self) -> str:
        return str(UUID(int=self.draw.getrandbits(128)))

    def leg(self, direction: int, minor: int) -> pb.Leg:
        amount = Money(currency_code="CZK", minor_units=minor)
        return pb.Leg(account_id=self.id(), direction=direction, amount=amount)  # type: ignore[arg-type]

    def plain(self) -> pb.Transfer:
        minor = self.draw.choice([1, 127, 128, 725_00, MINOR_MAX])
        legs = [self.leg(1, minor), self.leg(2, minor)]
        return pb.Transfer(transfer_id=self.id(), legs=legs)

    def odd(self) -> pb.Transfer:  # noqa: C901, PLR0912, PLR0915 - a case each
        """Plain but for one thing, which may be an error."""
        found = self.plain()
        match self.draw.randint(0, 19):
            case 0:
                found.transfer_id = self.draw.choice(["", "no-id", found.transfer_id.upper()])
            case 1:
                found.purpose = self.draw.choice(ODD_TEXTS)
            case 2:
                found.correlation_id = self.draw.choice(ODD_TEXTS)
            case 3:
                found.fact_key = self.draw.choice(["f" * 200, "f" * 201, "f"])
            case 4:
                found.value_date = "2026-09-21"
            case 5:
                found.obligation.bank_id = "CD"
            case 6:
                found.legs[0].account_id = self.draw.choice(["", "no-id"])
            case 7:
                found.legs[1].clearing_bank_id = "CD"
            case 8:
                found.legs[0].direction = self.draw.choice([0, 3])  # type: ignore[assignment]
            case 9:
                found.legs[1].ClearField("amount")
            case 10:
                found.legs[0].amount.currency_code = self.draw.choice(["", "czk", "EUR", "EURO"])
            case 11:
                found.legs[0].amount.minor_units = self.draw.choice([0, -1, MINOR_MAX + 1, 5])
            case 12:
                found.legs.append(self.leg(1, 5))
            case 13:
                found.legs.pop()
            case 14:
                found.legs[0].up_to.keep_minor = 5
            case 15:
                found.is_linked = True
            case 16:
                found.corrects = "7.1"
            case 17:
                found.template.version = 1
            case 18:
                found.purpose, found.correlation_id, found.fact_key = "rent", "c-1", "fact/1"
            case _:
                found.MergeFromString(b"\xf8\x07\x01")  # a field that nobody knows
        return found

    def transfers(self) -> list[pb.Transfer]:
        size = self.draw.randint(1, 4)
        made = [self.plain() for _ in range(size)]
        if self.draw.random() < 0.7:
            made[self.draw.randrange(size)] = self.odd()
        return made


def _is_faultless(message: pb.PostTransfersRequest | pb.PostCommandsRequest) -> bool:
    return not drops_unknown_fields(message) and not shape_violations(message)


@pytest.mark.parametrize("seed", range(250))
def test_what_is_read_by_hand_is_faultless_and_what_the_messages_say(seed: int) -> None:
    made = Caller(seed).transfers()
    request = pb.PostTransfersRequest(transfers=made)
    joined = pb.PostCommandsRequest(commands=[pb.Command(transfer=each) for each in made])

    by_hand = read_transfers(request.SerializeToString())
    joined_by_hand = read_commands(joined.SerializeToString())

    assert (by_hand and by_hand.plain) == (joined_by_hand and joined_by_hand.plain)
    if by_hand is not None:
        assert _is_faultless(pb.PostTransfersRequest.FromString(request.SerializeToString()))
        assert _is_faultless(pb.PostCommandsRequest.FromString(joined.SerializeToString()))
        assert list(by_hand) == [transfer_of(each) for each in request.transfers]
        assert list(by_hand) == [command_of(each) for each in joined.commands]
        assert not any(each.is_linked for each in made)


def test_plain_transfers_are_read_by_hand() -> None:
    caller = Caller(1)
    made = [caller.plain() for _ in range(300)]
    for each, text in zip(made, ["", "rent for May"] * 150, strict=True):
        each.purpose, each.correlation_id, each.fact_key = text, text and "order/7", text and "f:1"

    assert read_transfers(pb.PostTransfersRequest(transfers=made).SerializeToString()) is not None


@pytest.mark.parametrize(
    "request_",
    [
        pb.PostTransfersRequest(),
        pb.PostTransfersRequest(transfers=[Caller(2).plain()], validate_only=True),
        pb.PostTransfersRequest(transfers=[Caller(2).plain()] * 8_001),
    ],
)
def test_other_requests_are_left_to_the_general_way(request_: pb.PostTransfersRequest) -> None:
    assert read_transfers(request_.SerializeToString()) is None


@pytest.mark.parametrize("seed", range(150))
def test_bytes_cut_or_changed_are_never_read_as_something_else(seed: int) -> None:
    caller = Caller(seed)
    raw = bytearray(pb.PostTransfersRequest(transfers=caller.transfers()).SerializeToString())
    if caller.draw.random() < 0.3:
        del raw[caller.draw.randrange(len(raw)) :]
    else:
        raw[caller.draw.randrange(len(raw))] = caller.draw.randrange(256)

    by_hand = read_transfers(bytes(raw))

    if by_hand is not None:
        message = pb.PostTransfersRequest.FromString(bytes(raw))
        assert _is_faultless(message)
        assert list(by_hand) == [transfer_of(each) for each in message.transfers]


def _answers(transfers: Sequence[Transfer], draw: random.Random) -> Sequence[Answer]:
    found = []
    for transfer in transfers:
        legs = tuple(
            PostedLeg(leg.account_id, leg.direction, leg.currency, leg.minor)
            for leg in transfer.legs
        )
        balances = tuple(
            BalanceAfter(leg.account_id, 7, draw.choice([0, 5, -5, 10**12]), 0, 3) for leg in legs
        )
        entry = Entry(
            TransferPosted(legs, "", ""),
            transfer.transfer_id,
            "w",
            "",
            b"",
            b"",
            "",
            "",
            None,
            balances,
        )
        refused = entry._replace(
            fact=CommandRefused("BALANCE_TOO_LOW", "f", "d", "transfer"), balances=()
        )
        refusal = Refusal("BALANCE_TOO_LOW", ("legs[0].account_id",), "3 is available")
        found.append(
            draw.choice(
                [
                    Answer(draw.randint(0, 300), is_replayed=draw.random() < 0.5, entry=entry),
                    Answer(5, is_replayed=False, entry=refused, refusal=refusal),
                    Answer(6, is_replayed=False, refusal=refusal),
                ]
            )
        )
    return found


@pytest.mark.parametrize("seed", range(20))
def test_answers_put_together_by_hand_are_those_of_messages(seed: int) -> None:
    caller = Caller(seed)
    transfers = [transfer_of(caller.plain()) for _ in range(4)]
    answers = _answers(transfers, caller.draw)
    position = max(answer.position for answer in answers)
    pairs = [(each.transfer_id, answer) for each, answer in zip(transfers, answers, strict=True)]

    by_hand = response_bytes([result_text(*pair) for pair in pairs], position)

    results = [result_of(*pair) for pair in pairs]
    whole = pb.PostTransfersResponse(results=results, position=position)
    assert pb.PostTransfersResponse.FromString(by_hand) == whole
    joined = pb.PostCommandsResponse(results=results, position=position)
    assert pb.PostCommandsResponse.FromString(by_hand) == joined
