"""Answers as messages."""

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from services.accounts.codec.amounts import legs_to_wire
from services.accounts.codec.facts import quote_to_wire
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import Account, Window, WindowState
from services.accounts.domain.entries import BalanceAfter, HoldCaptured, QuoteGiven, TransferPosted
from services.accounts.domain.totals import KindTotal, TrialBalance

_STATES = {
    WindowState.OPEN: pb.WINDOW_STATE_OPEN,
    WindowState.SEALED: pb.WINDOW_STATE_SEALED,
    WindowState.CLOSED: pb.WINDOW_STATE_CLOSED,
}


def result_of(command_id: str, answer: Answer, *, is_preview: bool = False) -> pb.CommandResult:
    """One item of a bulk answer. What moved is told where the caller cannot know it."""
    message = pb.CommandResult(
        command_id=command_id, position=answer.position, is_replayed=answer.is_replayed
    )
    refusal = answer.refusal
    if refusal is not None:
        message.refusal.CopyFrom(
            pb.Refusal(
                reason=refusal.reason,
                field=", ".join(refusal.fields),
                description=refusal.description,
            )
        )
    elif answer.entry is not None:
        entry = answer.entry
        message.balances.extend([_balance(balance) for balance in entry.balances])
        if entry.obligation is not None:
            message.window_id = entry.obligation.window_id
        fact = entry.fact
        if (is_preview and isinstance(fact, TransferPosted | HoldCaptured)) or (
            isinstance(fact, TransferPosted) and fact.rounding is not None
        ):
            message.legs.extend(legs_to_wire(fact.legs))
    return message


def account_message(account: Account) -> pb.Account:
    return pb.Account(
        account_id=account.account_id,
        owner=account.owner,
        kind=events_pb2.AccountKind.ValueType(account.kind),
        currency_code=account.currency,
        ordinal=account.ordinal,
        posted_minor=account.posted,
        held_minor=account.held,
        incoming_minor=account.incoming,
        available_minor=account.available,
        account_seq=account.seq,
        is_closed=account.is_closed,
        floor_minor=account.floor,
        ceiling_minor=account.ceiling,
        freezes=[
            events_pb2.AccountFrozen(
                freeze_id=freeze.freeze_id,
                account_id=account.account_id,
                side=events_pb2.FreezeSide.ValueType(freeze.side),
                purpose=freeze.purpose,
                stop_captures=freeze.stop_captures,
            )
            for freeze in account.freezes.values()
        ],
    )


def quote_message(answer: Answer) -> events_pb2.QuoteGiven:
    """The quote that an answer stands for."""
    if answer.entry is None or not isinstance(answer.entry.fact, QuoteGiven):
        raise AssertionError(f"{answer} is not of a quote")
    return quote_to_wire(answer.entry.fact)


def window_message(window: Window) -> pb.Window:
    return pb.Window(
        window_id=window.window_id,
        bank_id=window.bank_id,
        currency_code=window.currency,
        state=_STATES[window.state],
        clearing_account_id=window.clearing_account_id,
        legs=window.legs,
        sum_ours_minor=window.sum_ours,
        sum_bank_minor=window.sum_bank,
        net_minor=window.sum_ours - window.sum_bank,
        next_window_id=window.next_window_id,
        seal_position=window.seal_position,
    )


def total_message(total: KindTotal) -> pb.KindTotal:
    return pb.KindTotal(
        kind=events_pb2.AccountKind.ValueType(total.kind),
        currency_code=total.currency,
        credit_minus_debit_minor=total.credit_minus_debit,
        accounts=total.accounts,
        held_minor=total.held,
    )


def trial_balance(trial: TrialBalance) -> pb.GetTrialBalanceResponse:
    return pb.GetTrialBalanceResponse(
        totals=[total_message(total) for total in trial.totals],
        position=trial.page_number,
        pages=trial.page_number + 1,
        head_hash=trial.head_hash,
    )


def _balance(balance: BalanceAfter) -> events_pb2.BalanceAfter:
    account_id, seq, posted, held, incoming = balance
    return events_pb2.BalanceAfter(
        account_id=account_id,
        account_seq=seq,
        posted_minor=posted,
        held_minor=held,
        incoming_minor=incoming,
    )
