"""The calls of the accounts service over a real server: answers, refusals, lists, live pages."""

from itertools import pairwise

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from hefu.type.v1.money_pb2 import Money
from libs.grpc_errors import reason_of, violations_of
from services.accounts.codec.pages import JOURNAL
from tests.services.accounts.conftest import Served
from tests.services.accounts.desk import new_ids

_IDS = new_ids()


def _id() -> str:
    return next(_IDS)


def _czk(minor: int) -> Money:
    return Money(currency_code="CZK", minor_units=minor)


def _opening(
    kind: events_pb2.AccountKind.ValueType = events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET,
    owner: str = "",
) -> pb.Opening:
    account_id = _id()
    return pb.Opening(
        account_id=account_id, owner=owner or f"o:{account_id}", kind=kind, currency_code="CZK"
    )


def _transfer(payer: str, payee: str, minor: int, transfer_id: str = "") -> pb.Transfer:
    return pb.Transfer(
        transfer_id=transfer_id or _id(),
        legs=[
            pb.Leg(account_id=payer, direction=events_pb2.DIRECTION_DEBIT, amount=_czk(minor)),
            pb.Leg(account_id=payee, direction=events_pb2.DIRECTION_CREDIT, amount=_czk(minor)),
        ],
    )


async def _wallet(served: Served, minor: int = 0) -> str:
    opening = _opening()
    await served.wallet.OpenAccount(pb.OpenAccountRequest(opening=opening))
    if minor:
        fees = _opening(events_pb2.ACCOUNT_KIND_FEE_INCOME)
        await served.operator.OpenAccount(pb.OpenAccountRequest(opening=fees))
        posted = await served.payments.PostTransfers(
            pb.PostTransfersRequest(
                transfers=[_transfer(fees.account_id, opening.account_id, minor)]
            )
        )
        assert not posted.results[0].HasField("refusal")
    return opening.account_id


async def _refusal(call: object) -> tuple[grpc.StatusCode, str, tuple[str, ...]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    error = caught.value
    return error.code(), reason_of(error), tuple(v.field for v in violations_of(error))


async def test_an_account_is_there_for_who_opened_it(served: Served) -> None:
    request = pb.OpenAccountRequest(opening=_opening(owner="ann"))

    opened = await served.wallet.OpenAccount(request)
    again = await served.wallet.OpenAccount(request)
    got = await served.wallet.GetAccount(
        pb.GetAccountRequest(account_id=request.opening.account_id, min_position=opened.position)
    )

    assert not opened.is_replayed
    assert again.is_replayed
    assert again.position == opened.position == 0
    assert got.account == opened.account
    assert got.account.owner == "ann"


async def test_bulk_items_have_their_own_outcomes_in_request_order(served: Served) -> None:
    payer, payee = await _wallet(served, 100), await _wallet(served)
    good, poor, lost = _transfer(payer, payee, 60), _transfer(payer, payee, 60), _id()
    unbalanced = _transfer(payer, payee, 5)
    unbalanced.legs[1].amount.minor_units = 6

    reply = await served.payments.PostTransfers(
        pb.PostTransfersRequest(transfers=[good, poor, good, unbalanced, _transfer(payer, lost, 1)])
    )

    reasons = [result.refusal.reason for result in reply.results]
    assert reasons == ["", "BALANCE_TOO_LOW", "", "LEGS_NOT_BALANCED", "ACCOUNT_NOT_FOUND"]
    assert [result.is_replayed for result in reply.results] == [False, False, True, False, False]
    assert [b.posted_minor for b in reply.results[0].balances] == [40, 60]
    assert reply.results[4].refusal.field == "legs[1].account_id"
    assert reply.position == reply.results[0].position


async def test_a_refusal_of_a_single_call_is_its_status_for_ever(served: Served) -> None:
    wallet = await _wallet(served)
    request = pb.PlaceHoldRequest(
        placement=pb.HoldPlacement(hold_id=_id(), account_id=wallet, amount=_czk(5))
    )

    for _ in range(2):
        assert await _refusal(served.payments.PlaceHold(request)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "BALANCE_TOO_LOW",
            ("account_id",),
        )


async def test_other_terms_under_a_used_id_name_each_field(served: Served) -> None:
    wallet = await _wallet(served, 100)
    placement = pb.HoldPlacement(hold_id=_id(), account_id=wallet, amount=_czk(5), purpose="order")
    await served.payments.PlaceHold(pb.PlaceHoldRequest(placement=placement))
    placement.purpose = "another"
    placement.amount.minor_units = 6

    assert await _refusal(served.payments.PlaceHold(pb.PlaceHoldRequest(placement=placement))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "IDEMPOTENCY_KEY_REUSED",
        ("amount", "purpose"),
    )


async def test_shapes_are_refused_with_their_fields(served: Served) -> None:
    request = pb.PlaceHoldRequest(
        placement=pb.HoldPlacement(hold_id="x", account_id=_id(), amount=_czk(1))
    )

    code, _, fields = await _refusal(served.payments.PlaceHold(request))

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert fields == ("placement.hold_id",)


async def test_who_may_not_is_told_so(served: Served) -> None:
    freeze = pb.FreezeAccountRequest(
        freeze_id=_id(), account_id=_id(), side=events_pb2.FREEZE_SIDE_BOTH, purpose="x"
    )
    code, *_ = await _refusal(served.wallet.FreezeAccount(freeze))
    assert code is grpc.StatusCode.PERMISSION_DENIED

    hold = pb.HoldPlacement(hold_id=_id(), account_id=_id(), amount=_czk(1), expires_after_s=5)
    bulk = pb.PostCommandsRequest(commands=[pb.Command(place_hold=hold)])
    assert await _refusal(served.wallet.PostCommands(bulk)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        ("commands[0]",),
    )


async def test_a_freeze_shows_on_the_account_until_it_is_lifted(served: Served) -> None:
    account_id, freeze_id = await _wallet(served), _id()
    frozen = await served.operator.FreezeAccount(
        pb.FreezeAccountRequest(
            freeze_id=freeze_id,
            account_id=account_id,
            side=events_pb2.FREEZE_SIDE_DEBIT,
            purpose="court order",
        )
    )
    listed = await served.operator.ListAccounts(
        pb.ListAccountsRequest(min_position=frozen.position)
    )
    assert [each.freeze_id for each in frozen.account.freezes] == [freeze_id]
    assert listed.accounts == [frozen.account]

    lifted = await served.operator.UnfreezeAccount(
        pb.UnfreezeAccountRequest(request_id=_id(), freeze_id=freeze_id, account_id=account_id)
    )
    closed = await served.operator.CloseAccount(
        pb.CloseAccountRequest(request_id=_id(), account_id=account_id)
    )

    assert not lifted.account.freezes
    assert closed.account.is_closed


async def test_a_payout_goes_through_hold_capture_window_and_seal(served: Served) -> None:
    wallet, window_id, payment_id, hold_id = await _wallet(served, 500), _id(), _id(), _id()
    opened = await served.settlement.OpenWindow(
        pb.OpenWindowRequest(window_id=window_id, bank_id="CD", currency_code="CZK")
    )
    hold = pb.HoldPlacement(hold_id=hold_id, account_id=wallet, amount=_czk(300))
    capture = pb.HoldCapture(
        capture_id=_id(),
        hold_id=hold_id,
        clearing_bank_id="CD",
        correlation_id=payment_id,
        obligation=pb.ObligationTerms(
            bank_id="CD",
            favour=events_pb2.FAVOUR_BANK,
            amount=_czk(300),
            payment_id=payment_id,
        ),
    )

    reply = await served.payments.PostCommands(
        pb.PostCommandsRequest(
            commands=[pb.Command(place_hold=hold), pb.Command(capture_hold=capture)]
        )
    )
    next_id = _id()
    seal = pb.SealWindowRequest(window_id=window_id, next_window_id=next_id)
    sealed = await served.settlement.SealWindow(seal)
    again = await served.settlement.SealWindow(seal)

    assert reply.results[1].window_id == opened.window.window_id == window_id
    assert (sealed.window.legs, sealed.window.sum_bank_minor, sealed.window.net_minor) == (
        1,
        300,
        -300,
    )
    assert sealed.window.state == pb.WINDOW_STATE_SEALED
    assert sealed.window.seal_position == sealed.position == again.position
    assert again.is_replayed
    still_open = await served.operator.GetWindow(
        pb.GetWindowRequest(open_bank_id="CD", currency_code="CZK", min_position=sealed.position)
    )
    assert still_open.window.window_id == next_id
    closing = served.settlement.CloseWindow(pb.CloseWindowRequest(window_id=window_id))
    assert (await _refusal(closing))[1] == "WINDOW_NOT_EMPTY"
    entries = await served.operator.ListEntries(
        pb.ListEntriesRequest(correlation_id=payment_id, min_position=sealed.position)
    )
    assert [each.entry.obligation.window_id for each in entries.entries] == [window_id]


async def test_lists_go_on_where_they_stopped(served: Served) -> None:
    payer, payee = await _wallet(served, 100), await _wallet(served)
    reply = await served.payments.PostTransfers(
        pb.PostTransfersRequest(transfers=[_transfer(payer, payee, 1) for _ in range(7)])
    )
    token, seen = "", list[tuple[int, int]]()
    while True:
        page = await served.operator.ListEntries(
            pb.ListEntriesRequest(
                account_id=payee, page_size=3, page_token=token, min_position=reply.position
            )
        )
        seen += [(each.page_number, each.entry.ordinal) for each in page.entries]
        token = page.next_page_token
        if not token:
            break

    assert len(seen) == 8
    assert all(one < other for one, other in pairwise(seen))
    no_token = pb.ListEntriesRequest(account_id=payee)
    no_token.page_token = "x"  # noqa: S105 - a place in a list
    code, reason, fields = await _refusal(served.operator.ListEntries(no_token))
    assert (code, reason, fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        ("page_token",),
    )


async def test_the_read_models_account_is_the_writers(served: Served) -> None:
    payer, payee = await _wallet(served, 100), await _wallet(served)
    placement = pb.HoldPlacement(
        hold_id=_id(), account_id=payer, amount=_czk(30), destination_account_id=payee
    )
    placed = await served.payments.PlaceHold(pb.PlaceHoldRequest(placement=placement))

    listed = await served.operator.ListAccounts(
        pb.ListAccountsRequest(min_position=placed.position)
    )

    for account in listed.accounts:
        got = await served.operator.GetAccount(pb.GetAccountRequest(account_id=account.account_id))
        assert got.account == account
    assert len(listed.accounts) == 3


async def test_the_trial_balance_adds_up_to_nothing(served: Served) -> None:
    await _wallet(served, 100)
    balance = await served.operator.GetTrialBalance(pb.GetTrialBalanceRequest())
    assert sum(total.credit_minus_debit_minor for total in balance.totals) == 0
    assert balance.pages == balance.position + 1
    assert balance.head_hash == served.writer.head_hash


async def test_the_business_date_moves_by_an_operator(served: Served) -> None:
    await _wallet(served)
    request = pb.MoveBusinessDateRequest(request_id=_id(), to_date="2026-10-01")
    moved = await served.operator.MoveBusinessDate(request)
    back = pb.MoveBusinessDateRequest(request_id=_id(), to_date="2026-09-30")
    assert moved.business_date == "2026-10-01"
    assert (await _refusal(served.operator.MoveBusinessDate(back)))[1] == "BUSINESS_DATE_PAST"


async def test_the_journal_is_watched_from_its_first_page_and_then_live(served: Served) -> None:
    watching = served.operator.WatchJournal(pb.WatchJournalRequest(from_page=0))
    pages = aiter(watching)
    first = await _wallet(served)
    assert (await anext(pages)).page.entries[0].account_opened.account_id == first

    second = await _wallet(served, 5)

    seen = [(await anext(pages)).page for _ in range(3)]
    assert [page.page_number for page in seen] == [1, 2, 3]
    stored = [event.data async for event in served.store.read(JOURNAL)]
    assert [page.SerializeToString(deterministic=True) for page in seen] == stored[1:]
    watching.cancel()
    only = served.operator.WatchJournal(pb.WatchJournalRequest(from_page=0, account_ids=[second]))
    numbers = [(await anext(aiter(only))).page.page_number for _ in range(1)]
    assert numbers == [1]
    only.cancel()


async def test_what_is_not_there_is_not_found(served: Served) -> None:
    account = served.wallet.GetAccount(pb.GetAccountRequest(account_id=_id()))
    window = served.settlement.GetWindow(pb.GetWindowRequest(window_id=_id()))
    assert (await _refusal(account))[:2] == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert (await _refusal(window))[:2] == (grpc.StatusCode.NOT_FOUND, "WINDOW_NOT_FOUND")
