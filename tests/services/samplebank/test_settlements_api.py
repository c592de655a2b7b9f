from random import Random

import grpc
import pytest

from hefu.bank.v1 import bank_pb2 as pb
from libs.grpc_errors import reason_of
from libs.ids import derived_id
from libs.signing import Signer, final_payload, verify
from libs.two_halves import Header, Leg, Tree, decode_leaf, dispute_type, leaf_bytes, sign_payload
from tests.services.samplebank.town import ROOT, Town, Visit, header_over, item, leg, payouts, pulls

REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}


async def known_legs(visit: Visit) -> list[Leg]:
    """Two pulled and three advised movements, on both sides alike."""
    pulled, advised = [item(n) for n in (1, 2)], [item(n) for n in (3, 4, 5)]
    await visit.submit(pulls("m1", pulled))
    await visit.advise(advised)
    return [leg(each, "C") for each in pulled] + [leg(each) for each in advised]


async def test_a_bank_with_the_same_figures_countersigns(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        header = header_over(legs)
        answer = await visit.propose(header, legs)

    signed = answer.countersignature
    assert signed.digest == header.digest
    assert verify(town.bank_key, signed.signature, sign_payload("B", header.digest))
    assert not verify(town.bank_key, signed.signature, sign_payload("H", header.digest))


async def test_advice_that_comes_again_adds_nothing(town: Town) -> None:
    async with town.bank() as visit:
        assert await visit.advise([item(1), item(2)]) == 2
        assert await visit.advise([item(2), item(3)]) == 1


async def test_a_proposal_that_comes_again_is_answered_as_the_first_time(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        first = await visit.propose(header_over(legs), legs)
    async with town.bank() as visit:
        again = await visit.propose(header_over(legs), legs)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.propose(header_over(legs, created_ms=2), legs)

    assert again == first
    assert reason_of(caught.value) == "PROPOSAL_DIFFERS"
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_bank_that_never_heard_of_a_leg_differs_and_shows_where(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        unknown = leg(item(9))
        ordered = sorted([*legs, unknown], key=lambda each: each.uetr.bytes)
        header = header_over(ordered)
        answer = await visit.propose(header, ordered)
        found = await walk(visit, header, Tree([leaf_bytes(each) for each in ordered]))

    assert answer.difference.legs == len(legs)
    assert answer.difference.sum_wallet_minor - answer.difference.sum_bank_minor == -10_000
    assert found == [(ordered.index(unknown), "UNKNOWN_TO_BANK")]


async def test_a_leg_written_wrongly_leaves_and_is_right_in_the_next_window(town: Town) -> None:
    items = [item(n) for n in range(9)]
    legs = sorted(map(leg, items), key=lambda each: each.uetr.bytes)
    async with town.bank("ordinary", bank_ordinal=3) as visit:
        await visit.advise(items)
        await visit.advise(items)
        first = header_over(legs)
        answer = await visit.propose(first, legs)
        assert answer.WhichOneof("answer") == "difference"
        ((index, kind),) = await walk(visit, first, Tree([leaf_bytes(each) for each in legs]))
        rest = [each for each in legs if each is not legs[index]]
        second = header_over(rest, round=2)
        agreed = await visit.propose(second, rest)
        disputed = next(each for each in items if each.uetr == legs[index].uetr)
    async with town.bank("ordinary", bank_ordinal=3) as visit:
        await visit.advise([disputed])
        third = header_over(
            [legs[index]],
            settlement_id=derived_id(ROOT, "next"),
            previous_digest=second.digest,
        )
        carried = await visit.propose(third, [legs[index]])

    assert kind == "AMOUNT"
    assert agreed.WhichOneof("answer") == carried.WhichOneof("answer") == "countersignature"


async def test_old_rounds_and_rounds_after_agreement_are_refused(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        wrong = [*legs, leg(item(9))]
        await visit.propose(header_over(wrong, round=2), wrong)
        with pytest.raises(grpc.aio.AioRpcError) as old:
            await visit.propose(header_over(legs, round=1), legs)
        await visit.propose(header_over(legs, round=3), legs)
        with pytest.raises(grpc.aio.AioRpcError) as agreed:
            await visit.propose(header_over(legs, round=4), legs)

    assert reason_of(old.value) == "OLD_ROUND"
    assert reason_of(agreed.value) == "STATE_CHANGE_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bank_id": "XX"}, "FOREIGN_HEADER"),
        ({"account": "OTHER"}, "FOREIGN_HEADER"),
        ({"currency": "EUR"}, "FOREIGN_HEADER"),
        ({"exponent": 3}, "CURRENCY_SCALE"),
        ({"expires_ms": 1}, "HEADER_EXPIRED"),
        ({"previous_digest": bytes([1]) * 32}, "CHAIN_BROKEN"),
    ],
)
async def test_a_header_that_is_not_for_this_bank_now_is_declined(
    town: Town, changes: dict[str, object], reason: str
) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        answer = await visit.propose(header_over(legs, **changes), legs)

    assert answer.decline.reason == reason
    assert len(answer.decline.signature) == 64


async def test_each_agreed_header_names_the_one_before(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        first = header_over(legs[:2])
        second = header_over(
            legs[2:], settlement_id=derived_id(ROOT, "second"), previous_digest=first.digest
        )
        third = header_over(
            [], settlement_id=derived_id(ROOT, "third"), previous_digest=first.digest
        )
        answers = [
            await visit.propose(first, legs[:2]),
            await visit.propose(second, legs[2:]),
            await visit.propose(third, []),
        ]

    assert [answer.WhichOneof("answer") for answer in answers] == [
        "countersignature",
        "countersignature",
        "decline",
    ]


async def test_keys_out_of_order_or_cut_are_refused(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        header = header_over(legs)
        wallet = town.wallet
        for keys in (b"\x00" * 32, b"\x01" * 15):
            request = pb.ProposeSettlementRequest(
                header=header.encode(),
                signature=wallet.sign(header.sign_payload("H")),
                key_id=wallet.key_id,
                keys=keys,
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await visit.link.ProposeSettlement(request)
            assert reason_of(caught.value) == "FIELD_INVALID"


async def test_a_proposal_signed_by_another_is_refused(town: Town) -> None:
    other = Signer(town.identity("bank-XX") / "signing.key")
    async with town.bank() as visit:
        legs = await known_legs(visit)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.propose(header_over(legs), legs, other)

    assert reason_of(caught.value) == "KEY_UNKNOWN"


async def test_no_proposal_with_a_wrong_bit_is_countersigned(town: Town) -> None:
    chance = Random(7)  # noqa: S311 - which bits are wrong is no secret
    async with town.bank() as visit:
        legs = await known_legs(visit)
        header = header_over(legs)
        whole = pb.ProposeSettlementRequest(
            header=header.encode(),
            signature=town.wallet.sign(header.sign_payload("H")),
            key_id=town.wallet.key_id,
            keys=b"".join(sorted(each.uetr.bytes for each in legs)),
        )
        for _ in range(300):
            request = pb.ProposeSettlementRequest()
            request.CopyFrom(whole)
            name = chance.choice(["header", "signature", "keys"])
            value = bytearray(getattr(request, name))
            value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
            setattr(request, name, bytes(value))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await visit.link.ProposeSettlement(request)
            assert caught.value.code() in REFUSED
        # Nothing of that has used the round up.
        answer = await visit.link.ProposeSettlement(whole)

    assert answer.countersignature.digest == header.digest


async def test_nodes_and_leaves_of_an_unknown_round_are_not_found(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        header = header_over(legs)
        await visit.propose(header, legs)
        known = header.settlement_id.bytes
        with pytest.raises(grpc.aio.AioRpcError) as round_:
            await visit.link.GetLeaves(pb.GetLeavesRequest(settlement_id=known, round=2))
        with pytest.raises(grpc.aio.AioRpcError) as node:
            await visit.link.GetNodes(
                pb.GetNodesRequest(settlement_id=known, round=1, level=0, indices=[5])
            )

    assert reason_of(round_.value) == "ROUND_UNKNOWN"
    assert reason_of(node.value) == "NODE_NOT_FOUND"


async def test_both_sign_that_a_settlement_is_final(town: Town) -> None:
    async with town.bank() as visit:
        legs = await known_legs(visit)
        header = header_over(legs)
        await visit.propose(header, legs)
        await visit.submit(payouts("m2", [item(3)]))
        wallet = town.wallet
        request = pb.ConfirmFinalRequest(
            settlement_id=header.settlement_id.bytes,
            digest=header.digest,
            signature=wallet.sign(final_payload("H", header.digest)),
            key_id=wallet.key_id,
        )
        first, again = [await visit.link.ConfirmFinal(request) for _ in range(2)]
        request.settlement_id = derived_id(ROOT, "other").bytes
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.link.ConfirmFinal(request)

    assert first == again
    assert verify(town.bank_key, first.signature, final_payload("B", header.digest))
    assert reason_of(caught.value) == "ROUND_UNKNOWN"


async def walk(visit: Visit, header: Header, ours: Tree) -> list[tuple[int, str]]:
    """Walks down to the leaves that differ, asking for a level at a time."""
    settlement_id, indices = header.settlement_id.bytes, [0]
    for level in range(len(ours.levels) - 1, -1, -1):
        request = pb.GetNodesRequest(
            settlement_id=settlement_id, round=header.round, level=level, indices=indices
        )
        theirs = (await visit.link.GetNodes(request)).hashes
        differing = [
            index
            for index, hash_ in zip(indices, theirs, strict=True)
            if ours.levels[level][index] != hash_
        ]
        if level == 0:
            break
        below = len(ours.levels[level - 1])
        indices = [at for index in differing for at in (2 * index, 2 * index + 1) if at < below]
    leaves = await visit.link.GetLeaves(
        pb.GetLeavesRequest(settlement_id=settlement_id, round=header.round, indices=differing)
    )
    pairs = zip(differing, leaves.leaves, strict=True)
    assert all(decode_leaf(leaf) for leaf in leaves.leaves)
    return [(index, dispute_type(ours.leaf(index), leaf)) for index, leaf in pairs]
