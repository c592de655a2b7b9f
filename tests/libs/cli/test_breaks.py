"""How breaks are told to an operator, and what she is told to do."""

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as funds
from hefu.settlement.v1 import settlement_pb2 as settlement
from hefu.type.v1 import money_pb2
from libs.cli.breaks import is_ended, lines_of

BREAK = "019a9000-0000-7000-8000-000000000001"
ORDER = "019a9000-0000-7000-8000-000000000002"
DIFFERS = funds.FundBreak(
    break_id=BREAK,
    type=events_pb2.BREAK_TYPE_SHARE_DIFF,
    ta_id="HFTA",
    trade_date="2015-01-07",
    fund_code="SP5001",
    order_id=ORDER,
    ours="100",
    theirs="101",
    description="the formula gives [red]",
)


def changed(**fields: object) -> funds.FundBreak:
    found = funds.FundBreak()
    found.CopyFrom(DIFFERS)
    found.MergeFrom(funds.FundBreak(**fields))  # type: ignore[arg-type]
    return found


def test_an_open_break_says_where_it_is_what_both_sides_say_and_how_it_may_end() -> None:
    head, sides, then = lines_of(DIFFERS)
    assert head.endswith(f"HFTA 2015-01-07 SP5001 order {ORDER}")
    assert "SHARE_DIFF" in head
    # Words in brackets are not taken for colours.
    assert sides == "    ours 100, theirs 101: the formula gives \\[red]"
    told = "accept-theirs|amend|keep-ours|post"
    assert then == f"    hefu breaks propose {BREAK} {told} --note WHY"
    assert not is_ended(DIFFERS)


def test_money_that_is_missing_can_only_be_carried() -> None:
    for type_ in (events_pb2.BREAK_TYPE_WALLET_SHORT, events_pb2.BREAK_TYPE_ADVANCE_UNPAID):
        unpaid = funds.FundBreak(break_id=BREAK, type=type_)
        assert lines_of(unpaid)[2] == f"    hefu breaks propose {BREAK} post --note WHY"


def test_where_one_side_has_nothing_that_is_said() -> None:
    missing = funds.FundBreak(break_id=BREAK, type=events_pb2.BREAK_TYPE_MISSING_AT_TA, ours="1")
    assert "ours 1, theirs nothing" in lines_of(missing)[1]


def test_a_proposal_waits_for_somebody_else() -> None:
    proposed = changed(
        proposal_id=ORDER, proposed_repair=events_pb2.REPAIR_ACCEPT_THEIRS, maker="operator"
    )
    told = lines_of(proposed)[2]
    assert "operator proposes accept-theirs" in told
    assert told.endswith(f"hefu breaks approve {BREAK}")


def test_what_has_ended_says_how() -> None:
    ended = changed(is_closed=True, close_cause=f"BOOKED_AS_THEIRS {ORDER}")
    assert f"ended: BOOKED_AS_THEIRS {ORDER}" in lines_of(ended)[2]
    assert is_ended(ended)


def test_a_break_with_a_bank_names_payment_and_amount() -> None:
    found = settlement.Break(
        break_id=BREAK,
        type="ONLY_WITH_US",
        bank_id="CD",
        payment_id=ORDER,
        amount=money_pb2.Money(currency_code="CZK", minor_units=72500),
        description="the statement does not have it",
    )
    assert lines_of(found)[0].endswith(f"CD 725.00 CZK payment {ORDER}")
    assert not is_ended(found)
    found.is_cleared = True
    assert is_ended(found)
