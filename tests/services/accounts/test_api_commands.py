"""The later calls of the accounts service over a server: groups, previews, computed amounts."""

from collections.abc import Sequence

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from hefu.type.v1.money_pb2 import Money
from libs.client.accounts import AccountsClient
from libs.grpc_errors import reason_of, violations_of
from tests.services.accounts.conftest import Served
from tests.services.accounts.desk import new_ids

_IDS = new_ids()
WALLET, FEES = events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET, events_pb2.ACCOUNT_KIND_FEE_INCOME
MERCHANT, POSITION = events_pb2.ACCOUNT_KIND_MERCHANT, events_pb2.ACCOUNT_KIND_FX_POSITION
DEBIT, CREDIT = events_pb2.DIRECTION_DEBIT, events_pb2.DIRECTION_CREDIT


def _id() -> str:
    return next(_IDS)


def _money(minor: int, code: str = "CZK") -> Money:
    return Money(currency_code=code, minor_units=minor)


def _transfer(payer: str, payee: str, minor: int, code: str = "CZK") -> pb.Transfer:
    return pb.Transfer(
        transfer_id=_id(),
        legs=[
            pb.Leg(account_id=payer, direction=DEBIT, amount=_money(minor, code)),
            pb.Leg(account_id=payee, direction=CREDIT, amount=_money(minor, code)),
        ],
    )


async def _account(
    served: Served,
    kind: events_pb2.AccountKind.ValueType = WALLET,
    minor: int = 0,
    code: str = "CZK",
) -> str:
    account_id = _id()
    opening = pb.Opening(
        account_id=account_id, owner=f"o:{account_id}", kind=kind, currency_code=code
    )
    await served.operator.OpenAccount(pb.OpenAccountRequest(opening=opening))
    if minor:
        fees = await _account(served, FEES, code=code)
        await _post(served, [_transfer(fees, account_id, minor, code)])
    return account_id


async def _post(
    served: Served, transfers: Sequence[pb.Transfer], *, validate_only: bool = False
) -> list[pb.CommandResult]:
    request = pb.PostTransfersRequest(transfers=transfers, validate_only=validate_only)
    return list((await served.payments.PostTransfers(request)).results)


async def _refusal(call: object) -> tuple[grpc.StatusCode, str, tuple[str, ...]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    error = caught.value
    return error.code(), reason_of(error), tuple(v.field for v in violations_of(error))


async def _posted(served: Served, account_id: str) -> int:
    got = await served.operator.GetAccount(pb.GetAccountRequest(account_id=account_id))
    return got.account.posted_minor


async def test_linked_items_post_together_and_the_rest_by_itself(served: Served) -> None:
    payer, payee = await _account(served, minor=100), await _account(served)
    first, second, third, alone = (_transfer(payer, payee, minor) for minor in (30, 30, 900, 5))
    first.is_linked = second.is_linked = True

    results = await _post(served, [first, second, third, alone])

    reasons = [result.refusal.reason for result in results]
    assert reasons == ["LINKED_FAILED", "LINKED_FAILED", "BALANCE_TOO_LOW", ""]
    assert await _posted(served, payee) == 5
    alone_again = _transfer(payer, payee, 30)
    alone_again.CopyFrom(second)
    alone_again.is_linked = False
    (reused,) = await _post(served, [alone_again])
    assert (reused.refusal.reason, reused.refusal.field) == ("IDEMPOTENCY_KEY_REUSED", "group")


async def test_linked_commands_of_different_kinds_post_on_one_page(served: Served) -> None:
    payer, merchant = await _account(served, minor=100), await _account(served, MERCHANT)
    hold = pb.HoldPlacement(hold_id=_id(), account_id=payer, amount=_money(40))
    capture = pb.HoldCapture(capture_id=_id(), hold_id=hold.hold_id, account_id=merchant)
    request = pb.PostCommandsRequest(
        commands=[
            pb.Command(place_hold=hold, is_linked=True),
            pb.Command(capture_hold=capture, is_linked=True),
            pb.Command(transfer=_transfer(merchant, payer, 15)),
        ]
    )

    posted = (await served.payments.PostCommands(request)).results
    again = (await served.payments.PostCommands(request)).results

    assert [result.refusal.reason for result in posted] == ["", "", ""]
    assert len({result.position for result in posted}) == 1
    assert all(result.is_replayed for result in again)
    assert await _posted(served, payer) == 75


async def test_the_last_item_is_linked_to_none(served: Served) -> None:
    payer, payee = await _account(served, minor=100), await _account(served)
    transfers = [_transfer(payer, payee, 1) for _ in range(2)]
    transfers[0].is_linked = transfers[1].is_linked = True
    results = await _post(served, transfers)
    assert [result.refusal.reason for result in results] == ["LINKED_FAILED", "GROUP_OPEN"]


async def test_validate_only_tells_what_would_be_and_changes_nothing(served: Served) -> None:
    payer, payee = await _account(served, minor=100), await _account(served)
    transfers = [_transfer(payer, payee, 70) for _ in range(2)]
    before = served.writer.position

    foretold = await _post(served, transfers, validate_only=True)
    assert served.writer.position == before
    real = await _post(served, transfers)

    assert [result.refusal.reason for result in foretold] == ["", "BALANCE_TOO_LOW"]
    assert [leg.amount.minor_units for leg in foretold[0].legs] == [70, 70]
    assert [result.refusal for result in real] == [result.refusal for result in foretold]
    assert real[0].balances == foretold[0].balances
    assert not real[0].is_replayed


async def test_validate_only_on_account_commands(served: Served) -> None:
    account_id = await _account(served)
    request = pb.CloseAccountRequest(request_id=_id(), account_id=account_id, validate_only=True)

    foretold = await served.operator.CloseAccount(request)
    still = await served.operator.GetAccount(pb.GetAccountRequest(account_id=account_id))
    opening = pb.Opening(account_id=_id(), owner="new", kind=WALLET, currency_code="CZK")
    opened = await served.wallet.OpenAccount(
        pb.OpenAccountRequest(opening=opening, validate_only=True)
    )

    assert foretold.account.is_closed
    assert not still.account.is_closed
    assert opened.account.owner == "new"
    nobody = served.wallet.GetAccount(pb.GetAccountRequest(account_id=opening.account_id))
    assert (await _refusal(nobody))[1] == "ACCOUNT_NOT_FOUND"
    request.account_id = _id()
    assert (await _refusal(served.operator.CloseAccount(request)))[1] == "ACCOUNT_NOT_FOUND"


async def test_validate_only_on_windows_holds_dates_and_locks(served: Served) -> None:
    wallet, window_id = await _account(served, minor=50), _id()
    opening = pb.OpenWindowRequest(window_id=window_id, bank_id="CD", currency_code="CZK")
    opening.validate_only = True
    foretold = await served.settlement.OpenWindow(opening)
    nowhere = served.settlement.GetWindow(pb.GetWindowRequest(window_id=window_id))
    assert (await _refusal(nowhere))[1] == "WINDOW_NOT_FOUND"
    opening.validate_only = False
    opened = await served.settlement.OpenWindow(opening)
    assert opened.window == foretold.window
    seal = pb.SealWindowRequest(window_id=window_id, next_window_id=_id(), validate_only=True)
    sealed = await served.settlement.SealWindow(seal)
    assert sealed.window.state == pb.WINDOW_STATE_SEALED
    got = await served.settlement.GetWindow(pb.GetWindowRequest(window_id=window_id))
    assert got.window.state == pb.WINDOW_STATE_OPEN

    placement = pb.HoldPlacement(hold_id=_id(), account_id=wallet, amount=_money(20))
    placing = pb.PlaceHoldRequest(placement=placement, validate_only=True)
    placed = await served.payments.PlaceHold(placing)
    assert [balance.held_minor for balance in placed.result.balances] == [20]
    capture = pb.HoldCapture(capture_id=_id(), hold_id=placement.hold_id, account_id=_id())
    capturing = pb.CaptureHoldRequest(capture=capture, validate_only=True)
    assert (await _refusal(served.payments.CaptureHold(capturing)))[1] == "ACCOUNT_NOT_FOUND"

    move = pb.MoveBusinessDateRequest(
        request_id=_id(), to_date="2026-09-22", closing_date="2026-09-21", validate_only=True
    )
    await served.operator.MoveBusinessDate(move)
    lock = pb.LockPeriodRequest(request_id=_id(), last_date="2026-09-21", validate_only=True)
    assert (await _refusal(served.operator.LockPeriod(lock)))[1] == "PERIOD_NOT_ENDED"
    move.validate_only = False
    await served.operator.MoveBusinessDate(move)
    assert (await served.operator.LockPeriod(lock)).last_date == "2026-09-21"


async def test_up_to_answers_what_moved(served: Served) -> None:
    payer, payee = await _account(served, minor=100), await _account(served)
    transfer = _transfer(payer, payee, 500)
    transfer.legs[0].up_to.keep_minor = 30

    (result,) = await _post(served, [transfer])
    (nothing,) = await _post(served, [_up_to(payer, payee, 5, keep=30)])
    (again,) = await _post(served, [transfer])

    assert [leg.amount.minor_units for leg in result.legs] == [70, 70]
    assert nothing.refusal.reason == "NOTHING_TO_MOVE"
    assert again.is_replayed
    assert again.legs == result.legs


def _up_to(payer: str, payee: str, minor: int, keep: int) -> pb.Transfer:
    transfer = _transfer(payer, payee, minor)
    transfer.legs[0].up_to.keep_minor = keep
    return transfer


async def test_a_template_posts_its_split(served: Served) -> None:
    first, second = await _account(served, minor=300), await _account(served, minor=900)
    merchant, fees = await _account(served, MERCHANT), await _account(served, FEES)
    template = pb.PostingTemplate(
        version=1,
        amount=_money(1_000),
        sources=[
            pb.TemplateSource(account_id=first),
            pb.TemplateSource(account_id=second, max_minor=800),
        ],
        whole=10_000,
        parts=[
            pb.TemplatePart(account_id=fees, fixed_minor=10),
            pb.TemplatePart(account_id=fees, share=155),
            pb.TemplatePart(account_id=merchant, is_rest=True),
        ],
    )

    (result,) = await _post(served, [pb.Transfer(transfer_id=_id(), template=template)])

    assert [leg.amount.minor_units for leg in result.legs] == [300, 700, 10, 15, 975]
    assert await _posted(served, merchant) == 975
    template.parts.append(pb.TemplatePart(account_id=merchant, is_rest=True))
    (invalid,) = await _post(served, [pb.Transfer(transfer_id=_id(), template=template)])
    assert invalid.refusal.reason == "SPLIT_INVALID"


async def test_money_is_exchanged_at_a_quote_once(served: Served) -> None:
    seller, buyer = (
        await _account(served, minor=72_500, code="CNY"),
        await _account(served, code="USD"),
    )
    positions = [await _account(served, POSITION, code=code) for code in ("CNY", "USD")]
    spread = await _account(served, FEES, code="USD")
    terms = pb.QuoteTerms(
        quote_id=_id(),
        sold_currency_code="CNY",
        bought_currency_code="USD",
        rate_numerator=100,
        rate_denominator=720,
        side=events_pb2.QUOTE_SIDE_SOLD,
        given_minor=72_500,
        spread_minor=69,
        expires_after_s=60,
    )
    given = await served.payments.GiveQuote(pb.GiveQuoteRequest(quote=terms))
    exchange = pb.Exchange(
        quote_id=terms.quote_id,
        sold=given.quote.sold,
        bought=given.quote.bought,
        seller_account_id=seller,
        buyer_account_id=buyer,
        sold_position_account_id=positions[0],
        bought_position_account_id=positions[1],
        spread_account_id=spread,
    )

    (result,) = await _post(served, [pb.Transfer(transfer_id=_id(), exchange=exchange)])
    (again,) = await _post(served, [pb.Transfer(transfer_id=_id(), exchange=exchange)])

    assert given.quote.bought == _money(10_069, "USD")
    assert [leg.amount.minor_units for leg in result.legs] == [72_500, 72_500, 10_069, 10_000, 69]
    assert again.refusal.reason == "QUOTE_USED"
    assert await _posted(served, buyer) == 10_000
    code, *_ = await _refusal(served.wallet.GiveQuote(pb.GiveQuoteRequest(quote=terms)))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_bounds_and_reopening_are_for_operators(served: Served) -> None:
    merchant, wallet = await _account(served, MERCHANT), await _account(served)
    bounds = pb.SetBoundsRequest(
        request_id=_id(), account_id=merchant, floor_minor=-500, ceiling_minor=0, purpose="line"
    )
    bound = await served.operator.SetBounds(bounds)
    assert (bound.account.floor_minor, bound.account.ceiling_minor) == (-500, 0)
    (paid,) = await _post(served, [_transfer(merchant, wallet, 500)])
    assert not paid.HasField("refusal")
    assert (await _refusal(served.wallet.SetBounds(bounds)))[0] is grpc.StatusCode.PERMISSION_DENIED

    spare = await _account(served)
    close = pb.CloseAccountRequest(request_id=_id(), account_id=spare)
    await served.operator.CloseAccount(close)
    reopening = pb.ReopenAccountRequest(request_id=_id(), account_id=spare, purpose="a mistake")
    reopened = await served.operator.ReopenAccount(reopening)
    again = await served.operator.ReopenAccount(reopening)
    assert not reopened.account.is_closed
    assert again.is_replayed
    listed = await served.operator.ListAccounts(
        pb.ListAccountsRequest(owner=f"o:{spare}", min_position=again.position)
    )
    assert [account.is_closed for account in listed.accounts] == [False]


async def test_a_client_posts_linked_commands_and_may_send_them_again(served: Served) -> None:
    payer, payee = await _account(served, minor=100), await _account(served)
    client = AccountsClient(served.payments_channel, patience_s=5)
    good = [pb.Command(transfer=_transfer(payer, payee, minor)) for minor in (10, 20)]
    bad = [pb.Command(transfer=_transfer(payer, payee, minor)) for minor in (30, 900)]

    posted, again = await client.submit_linked(good), await client.submit_linked(good)
    failed = await client.submit_linked(bad)
    await client.close()

    assert [result.is_replayed for result in (*posted, *again)] == [False, False, True, True]
    reasons = [result.refusal.reason for result in (*posted, *failed)]
    assert reasons == ["", "", "LINKED_FAILED", "BALANCE_TOO_LOW"]
    assert await _posted(served, payee) == 30


async def test_entries_that_leave_an_earlier_day_below_zero_are_listed(served: Served) -> None:
    payer, payee = await _account(served), await _account(served)
    move = pb.MoveBusinessDateRequest(request_id=_id(), to_date="2026-09-23")
    await served.operator.MoveBusinessDate(move)
    house = await _account(served, FEES)
    good, early = _transfer(house, payer, 100), _transfer(payer, payee, 40)
    early.value_date = "2026-09-22"
    results = await _post(served, [good, early, _transfer(payer, payee, 1)])

    def listing(account_id: str = "") -> pb.ListEntriesRequest:
        return pb.ListEntriesRequest(
            account_id=account_id,
            past_day_negative_only=True,
            min_position=max(result.position for result in results),
        )

    flagged = await served.operator.ListEntries(listing())
    of_payer = await served.operator.ListEntries(listing(payer))
    of_house = await served.operator.ListEntries(listing(house))

    assert [each.entry.command_id for each in flagged.entries] == [early.transfer_id]
    assert flagged.entries[0].entry.is_past_day_negative
    assert of_payer.entries == flagged.entries
    assert not of_house.entries
