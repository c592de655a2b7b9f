"""Waiting for payments: what passes by is not asked for, and nothing is missed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from hefu.payments.v1 import payments_pb2 as pb
from libs.client import transfer
from libs.client.errors import HefuError
from libs.client.payments import PaymentsClient
from libs.client.watching import Watching
from libs.ids import new_id
from libs.money import Money

SUCCEEDED, PROCESSING = pb.PAYMENT_STATUS_SUCCEEDED, pb.PAYMENT_STATUS_PROCESSING


class Service:
    """Payments in memory: asked for, shown, watched; they end when told to."""

    def __init__(self) -> None:
        self.log: list[pb.Payment] = []
        self.refused: set[str] = set()
        self.gets = 0
        self.watches = 0
        self.was_asked = asyncio.Event()
        self.grown = asyncio.Event()

    def record(self, payment_id: str, status: "pb.PaymentStatus.ValueType") -> int:
        self.log.append(pb.Payment(payment_id=payment_id, status=status))
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()
        return len(self.log)

    async def CreatePayments(  # noqa: N802 - as the stub names it
        self, request: pb.CreatePaymentsRequest, **_: object
    ) -> pb.CreatePaymentsResponse:
        results, position = [], 0
        for each in request.payments:
            result = pb.CreatePaymentResult(payment_id=each.payment_id)
            known = [one for one in self.log if one.payment_id == each.payment_id]
            if each.payment_id in self.refused:
                result.refusal.reason = "AMOUNT_OUT_OF_RANGE"
            elif known:
                result.payment.CopyFrom(known[-1])
                result.is_replayed = True
            else:
                position = self.record(each.payment_id, PROCESSING)
                result.payment.CopyFrom(self.log[-1])
            results.append(result)
        return pb.CreatePaymentsResponse(results=results, position=position)

    async def GetPayment(  # noqa: N802 - as above
        self, request: pb.GetPaymentRequest, **_: object
    ) -> pb.GetPaymentResponse:
        self.gets += 1
        self.was_asked.set()
        known = [each for each in self.log if each.payment_id == request.payment_id]
        return pb.GetPaymentResponse(payment=known[-1])

    async def WatchPayments(  # noqa: N802 - as above
        self, request: pb.WatchPaymentsRequest, **_: object
    ) -> AsyncIterator[pb.WatchPaymentsResponse]:
        self.watches += 1
        at = request.after_position
        while True:
            grown = self.grown
            told = [
                pb.PaymentChange(payment=payment, position=position)
                for position, payment in enumerate(self.log[at:], at + 1)
                if payment.status != PROCESSING
            ]
            at = len(self.log)
            for start in range(0, len(told), request.changes_max):
                changes = told[start : start + request.changes_max]
                yield pb.WatchPaymentsResponse(changes=changes)
            await grown.wait()


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[PaymentsClient]:
    async with grpc.aio.insecure_channel("localhost:1") as channel:
        made = PaymentsClient(channel)
        stub: Any = service
        made.stub = made._watching._stub = stub  # noqa: SLF001 - the other end, in memory
        yield made
        await made.close()


async def asked(client: PaymentsClient) -> str:
    terms = transfer(new_id(), new_id(), Money("CZK", 1))
    return (await client.create(new_id(), terms)).payment_id


async def test_once_one_waits_others_need_not_ask(service: Service, client: PaymentsClient) -> None:
    first = await asked(client)
    waiting = asyncio.create_task(client.wait(first))
    await service.was_asked.wait()
    others = [await asked(client) for _ in range(5)]
    for each in others[:3]:
        service.record(each, SUCCEEDED)

    async with asyncio.timeout(10):
        ended = [await client.wait(each) for each in others[:3]]
        late = [asyncio.create_task(client.wait(each)) for each in others[3:]]
        await asyncio.sleep(0)
        for each in [first, *others[3:]]:
            service.record(each, SUCCEEDED)
        ended += [await each for each in late]
        await waiting

    assert [each.status for each in ended] == [SUCCEEDED] * 5
    assert service.gets == 1


async def test_a_payment_that_ended_before_anyone_watched_is_asked_for(
    service: Service, client: PaymentsClient
) -> None:
    first = await asked(client)
    service.record(first, SUCCEEDED)
    await asked(client)

    assert (await asyncio.wait_for(client.wait(first), 10)).status == SUCCEEDED
    assert service.gets == 1


async def test_what_was_let_go_of_is_asked_for(service: Service, client: PaymentsClient) -> None:
    stub: Any = service
    client._watching = Watching(stub, kept_max=2)  # noqa: SLF001 - a small one
    first = await asked(client)
    waiting = asyncio.create_task(client.wait(first))
    await service.was_asked.wait()
    others = [await asked(client) for _ in range(4)]
    for each in others:
        service.record(each, SUCCEEDED)

    async with asyncio.timeout(10):
        for each in others:
            assert (await client.wait(each)).status == SUCCEEDED
        service.record(first, SUCCEEDED)
        await waiting
    assert service.gets > 1


async def test_letting_go_of_the_oldest_has_nobody_ask_for_the_newest(
    service: Service, client: PaymentsClient
) -> None:
    stub: Any = service
    client._watching = Watching(stub, kept_max=2)  # noqa: SLF001 - a small one
    for _ in range(12):
        one = await asked(client)
        waiting = asyncio.create_task(client.wait(one))
        await asyncio.sleep(0)
        service.record(one, SUCCEEDED)
        await asyncio.wait_for(waiting, 10)

    assert service.watches == 1
    assert service.gets == 1  # the first came before the stream


async def test_a_payment_repeated_is_asked_for_and_a_refused_one_is_not_waited_for(
    service: Service, client: PaymentsClient
) -> None:
    terms, id_ = transfer(new_id(), new_id(), Money("CZK", 1)), new_id()
    service.record(str(id_), SUCCEEDED)

    await client.create(id_, terms)
    assert (await asyncio.wait_for(client.wait(id_), 10)).status == SUCCEEDED
    assert service.gets == 1

    refused = new_id()
    service.refused.add(str(refused))
    with pytest.raises(HefuError):
        await client.create(refused, terms)


async def test_one_stream_serves_those_who_wait_one_after_the_other(
    service: Service, client: PaymentsClient
) -> None:
    for _ in range(5):
        one = await asked(client)
        waiting = asyncio.create_task(client.wait(one))
        await asyncio.sleep(0)
        service.record(one, SUCCEEDED)
        await asyncio.wait_for(waiting, 10)

    assert service.watches == 1
    assert service.gets == 1  # the first came before the stream


async def test_the_stream_ends_some_time_after_the_last_who_waits(
    service: Service, client: PaymentsClient
) -> None:
    client._watching = Watching(client.stub, linger_s=0.0)  # noqa: SLF001 - an impatient one
    one = await asked(client)
    service.record(one, SUCCEEDED)
    await asyncio.wait_for(client.wait(one), 10)
    async with asyncio.timeout(10):
        while client._watching._task is not None:  # noqa: SLF001, ASYNC110 - nobody is told
            await asyncio.sleep(0)
