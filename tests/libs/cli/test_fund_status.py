"""What an operator is told to look at."""

from hefu.funds.v1 import funds_pb2 as pb
from libs.cli.fund_status import Standing, troubles_of

EVEN = pb.UnitsTieOut(
    fund_code="SP5001", holdings_shares=104_735_152, registrar_shares=104_735_152, ties_out=True
)
SETTLED = pb.TaDay(
    ta_id="HFTA", trade_date="2015-01-07", state=pb.TA_DAY_STATE_CASH_SETTLED, waiting_for="NOTHING"
)


def standing(
    day: pb.TaDay = SETTLED,
    units: pb.UnitsTieOut = EVEN,
    cash: pb.CashTieOut | None = None,
    open_breaks: int = 0,
) -> Standing:
    told = pb.GetFundTieOutResponse(units=[units], cash=[] if cash is None else [cash])
    return Standing([day], [], told, open_breaks, {"SP5001": 2})


def test_where_all_is_settled_nobody_is_needed() -> None:
    assert troubles_of(standing()) == []


def test_a_late_file_and_a_doubtful_delivery_are_named_with_their_day() -> None:
    late = pb.TaDay(ta_id="HFTA", trade_date="2015-01-08", late_files=["04", "05"])
    unsure = pb.TaDay(ta_id="HFTA", trade_date="2015-01-08", is_in_doubt=True)
    assert troubles_of(standing(late)) == ["HFTA 2015-01-08: late: 04, 05"]
    assert troubles_of(standing(unsure)) == ["HFTA 2015-01-08: a delivery is in doubt"]


def test_units_that_differ_are_told_from_both_sides() -> None:
    apart = pb.UnitsTieOut(fund_code="SP5001", holdings_shares=104_735_152, registrar_shares=1)
    assert troubles_of(standing(units=apart)) == ["SP5001: ours 1,047,351.52, the registrar's 0.01"]


def test_clearing_that_holds_what_nobody_waits_for_is_told() -> None:
    cash = pb.CashTieOut(ta_id="HFTA", purpose="FAST", balance_minor=-250_000, expected_minor=0)
    assert troubles_of(standing(cash=cash)) == [
        "HFTA FAST: -250,000 minor units, and 0 are on their way"
    ]


def test_open_breaks_are_counted_and_where_they_are_listed_is_said() -> None:
    assert troubles_of(standing(open_breaks=2)) == ["2 breaks are open: hefu breaks"]
