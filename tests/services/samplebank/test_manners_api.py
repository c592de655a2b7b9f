import grpc
import pytest

from hefu.samplebank.v1 import samplebank_pb2 as demo
from libs.iso20022 import MessageInvalid, Notice, StatusReport, parse
from libs.signing import message_payload, verify
from services.samplebank.domain.behaviours import Behaviour, script_of
from tests.services.samplebank.town import Town, Visit, inquiry, item, payouts, pulls


def first_of(kind: str, behaviour: Behaviour) -> int:
    """The place of a hostile bank that plays this on its first message of a kind."""
    for ordinal in range(10):
        script = script_of("hostile", "hefu", "CD", ordinal, 10)
        if script.planned(kind)[:1] == (behaviour,):
            return ordinal
    raise AssertionError(behaviour)


async def counted(visit: Visit, behaviour: Behaviour) -> int:
    books = await visit.demo.GetBooks(demo.GetBooksRequest())
    return books.behaviours[behaviour.value]


async def test_a_lost_reply_was_executed_and_the_inquiry_says_so(town: Town) -> None:
    order = payouts("m1", [item(1)])
    async with town.bank("ordinary", bank_ordinal=0) as visit:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.submit(order)
        answer = await visit.submit(inquiry("q1", order))
        again = await visit.submit(order)
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert answer.transactions == again.transactions
    assert answer.transactions[0].status == "ACSC"
    assert (books.executed, books.executed_twice, books.behaviours["LOST_REPLY"]) == (1, 0, 1)


async def test_a_restart_does_not_lose_another_reply(town: Town) -> None:
    async with town.bank("ordinary", bank_ordinal=0) as visit:
        with pytest.raises(grpc.aio.AioRpcError):
            await visit.submit(payouts("m1", [item(1)]))
    async with town.bank("ordinary", bank_ordinal=0) as visit:
        report = await visit.submit(payouts("m2", [item(2)]))

    assert report.transactions[0].status == "ACSC"


async def test_a_duplicate_confirmation_is_the_same_notice_twice(town: Town) -> None:
    async with town.bank("ordinary", bank_ordinal=1) as visit:
        await visit.submit(pulls("m0", [item(4)]))
        await visit.submit(payouts("m1", [item(1), item(2)]))
        await visit.submit(payouts("m2", [item(3)]))
        first, second = await town.letterbox.wait_for(2)
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert isinstance(first, Notice)
    assert first == second
    assert [entry.favour for entry in first.entries] == ["D", "D"]
    assert books.behaviours["DUPLICATE_CONFIRM"] == 1
    sent = town.letterbox.received[0]
    payload = message_payload(sent.message_type, sent.body)
    assert verify(town.bank_key, sent.signature, payload)


async def test_a_late_confirmation_says_pending_and_then_done(town: Town) -> None:
    order = payouts("m1", [item(1)])
    async with town.bank("ordinary", bank_ordinal=2) as visit:
        at_once = await visit.submit(order)
        meanwhile = await visit.submit(inquiry("q1", order))
        late = await town.letterbox.wait_for(2)
        after = await visit.submit(inquiry("q2", order))

    assert at_once.transactions[0].status == meanwhile.transactions[0].status == "PDNG"
    (report,) = [message for message in late if isinstance(message, StatusReport)]
    (notice,) = [message for message in late if isinstance(message, Notice)]
    assert report.original_message_id == "m1"
    assert len({report.message_id, at_once.message_id, notice.message_id}) == 3
    assert report.transactions[0].status == after.transactions[0].status == "ACSC"
    assert notice.entries[0].uetr == order.items[0].uetr


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour.LOST_REPLY, grpc.StatusCode.DEADLINE_EXCEEDED),
        (Behaviour.ERROR_500, grpc.StatusCode.INTERNAL),
    ],
)
async def test_a_hostile_bank_that_does_not_answer_answers_later(
    town: Town, behaviour: Behaviour, code: grpc.StatusCode
) -> None:
    order = payouts("m1", [item(1)])
    async with town.bank("hostile", bank_ordinal=first_of("PAYOUT", behaviour)) as visit:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.submit(order)
        again = await visit.submit(order)
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert caught.value.code() is code
    assert again.transactions[0].status == "ACSC"
    assert (books.executed, books.behaviours[behaviour.value]) == (1, 1)


async def test_a_bank_that_refuses_the_connection_has_executed_nothing(town: Town) -> None:
    ordinal = first_of("PULL", Behaviour.REFUSE_CONNECTION)
    async with town.bank("hostile", bank_ordinal=ordinal) as visit:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.submit(pulls("m1", [item(1)]))
        before = await visit.demo.GetBooks(demo.GetBooksRequest())
        report = await visit.submit(pulls("m1", [item(1)]))

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert before.executed == 0
    assert report.transactions[0].status == "ACSC"


async def test_half_a_reply_fits_no_signature(town: Town) -> None:
    async with town.bank("hostile", bank_ordinal=first_of("PULL", Behaviour.HALF_REPLY)) as visit:
        (reply,) = await visit.submit_raw(pulls("m1", [item(1)]))

    payload = message_payload(reply.message_type, reply.body)
    assert not verify(town.bank_key, reply.signature, payload)


async def test_garbage_is_signed_and_is_no_message(town: Town) -> None:
    async with town.bank("hostile", bank_ordinal=first_of("PAYOUT", Behaviour.GARBAGE)) as visit:
        (reply,) = await visit.submit_raw(payouts("m1", [item(1)]))

    payload = message_payload(reply.message_type, reply.body)
    assert verify(town.bank_key, reply.signature, payload)
    with pytest.raises(MessageInvalid):
        parse(reply.message_type, reply.body)


async def test_a_bad_signature_is_bad(town: Town) -> None:
    ordinal = first_of("PAYOUT", Behaviour.BAD_SIGNATURE)
    async with town.bank("hostile", bank_ordinal=ordinal) as visit:
        (reply,) = await visit.submit_raw(payouts("m1", [item(1)]))
        answer = await visit.submit(inquiry("q1", payouts("m1", [item(1)])))

    payload = message_payload(reply.message_type, reply.body)
    assert not verify(town.bank_key, reply.signature, payload)
    assert answer.transactions[0].status == "ACSC"


async def test_a_foreign_reference_answers_another_message(town: Town) -> None:
    ordinal = first_of("PAYOUT", Behaviour.FOREIGN_REFERENCE)
    async with town.bank("hostile", bank_ordinal=ordinal) as visit:
        report = await visit.submit(payouts("m1", [item(1)]))

    assert report.original_message_id != "m1"
    assert report.transactions[0].uetr != item(1).uetr
    assert report.transactions[0].end_to_end_id != item(1).end_to_end_id


async def test_a_partial_answer_leaves_the_rest_to_inquiry(town: Town) -> None:
    ordinal = first_of("PULL", Behaviour.PARTIAL_BATCH)
    order = pulls("m1", [item(n) for n in range(4)])
    async with town.bank("hostile", bank_ordinal=ordinal) as visit:
        report = await visit.submit(order)
        rest = await visit.submit(inquiry("q1", order))

    assert (report.group_status, len(report.transactions)) == ("PART", 2)
    assert [t.status for t in rest.transactions] == ["ACSC"] * 4


async def test_an_order_not_found_at_first_is_found_at_the_second_inquiry(town: Town) -> None:
    ordinal = first_of("PULL", Behaviour.NOT_FOUND_THEN_FOUND)
    order = pulls("m1", [item(1)])
    async with town.bank("hostile", bank_ordinal=ordinal) as visit:
        with pytest.raises(grpc.aio.AioRpcError):
            await visit.submit(order)
        first = await visit.submit(inquiry("q1", order))
        second = await visit.submit(inquiry("q2", order))
        assert await counted(visit, Behaviour.NOT_FOUND_THEN_FOUND) == 1

    assert first.transactions[0].reason == "NOOR"
    assert second.transactions[0].status == "ACSC"


async def test_a_hostile_bank_repeats_itself_and_speaks_out_of_order(town: Town) -> None:
    async with town.bank("hostile", bank_ordinal=0) as visit:
        with pytest.raises(grpc.aio.AioRpcError):
            await visit.submit(payouts("m1", [item(1)]))
        await visit.submit(payouts("m2", [item(2)]))
        await visit.submit(payouts("m3", [item(3)]))
        told = await town.letterbox.wait_for(7)
        assert await counted(visit, Behaviour.DUPLICATE_CONFIRM) == 1
        assert await counted(visit, Behaviour.OUT_OF_ORDER) == 1

    notices = [message for message in told if isinstance(message, Notice)]
    reports = [message for message in told if isinstance(message, StatusReport)]
    assert len(notices) == 5
    assert len(set(notices)) == 1
    assert [report.transactions[0].status for report in reports] == ["ACSP", "PDNG"]


async def test_what_the_wallet_does_not_take_now_is_delivered_later(town: Town) -> None:
    town.letterbox.refuses_with = "STORE_UNAVAILABLE"
    async with town.bank("ordinary", bank_ordinal=1) as visit:
        await visit.submit(payouts("m1", [item(1)]))
        await town.letterbox.wait_for_attempts(2)
    town.letterbox.refuses_with = ""
    async with town.bank("ordinary", bank_ordinal=1):
        assert len(await town.letterbox.wait_for(2)) == 2


async def test_what_the_wallet_will_never_take_is_not_sent_again(town: Town) -> None:
    town.letterbox.refuses_with = "MESSAGE_INVALID"
    async with town.bank("ordinary", bank_ordinal=1) as visit:
        await visit.submit(payouts("m1", [item(1)]))
        await town.letterbox.wait_for_attempts(2)
        town.letterbox.refuses_with = ""
        await visit.demo.EndDay(demo.EndDayRequest(business_date="2030-01-15"))
        (page,) = await town.letterbox.wait_for(1)

    assert not isinstance(page, Notice)
    assert town.letterbox.attempts == 3


async def test_a_clean_bank_plays_nothing(town: Town) -> None:
    async with town.bank("clean", bank_ordinal=0) as visit:
        await visit.submit(payouts("m1", [item(1)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert books.behaviours == {}


def test_four_ordinary_banks_play_one_behaviour_each() -> None:
    scripts = [script_of("ordinary", "hefu", "CD", ordinal, 6) for ordinal in range(6)]
    played = [{*script.behaviours} - {Behaviour.UNKNOWN_PAYEE} for script in scripts]
    assert played == [
        {Behaviour.LOST_REPLY},
        {Behaviour.DUPLICATE_CONFIRM},
        {Behaviour.LATE_CONFIRM},
        {Behaviour.ROOT_DIFFERS},
        set(),
        set(),
    ]


@pytest.mark.parametrize("banks", [1, 2, 3, 4, 9])
def test_however_few_the_banks_are_all_ordinary_behaviours_occur(banks: int) -> None:
    played = {
        behaviour
        for ordinal in range(banks)
        for behaviour in script_of("ordinary", "hefu", "CD", ordinal, banks).behaviours
    }
    assert len(played) == 5


def test_five_hostile_banks_play_every_behaviour_there_is() -> None:
    played = {
        behaviour
        for ordinal in range(5)
        for behaviour in script_of("hostile", "hefu", "CD", ordinal, 5).behaviours
    }
    assert played == set(Behaviour)


def test_about_one_payee_in_a_hundred_is_unknown_and_always_the_same() -> None:
    script = script_of("ordinary", "hefu", "CD", 0, 4)
    unknown = {n for n in range(10_000) if not script.knows(f"ACCOUNT{n}")}
    assert 60 < len(unknown) < 150
    assert unknown == {n for n in range(10_000) if not script.knows(f"ACCOUNT{n}")}
