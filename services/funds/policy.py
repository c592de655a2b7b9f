"""Who may call what. A call that is not named here is served to nobody."""

from libs.grpc_server import Policy

_ADVICE = "service:recommendations"
_WALLET = frozenset({"wallet"})
_READERS = frozenset({"wallet", "operator", _ADVICE})
_OPERATOR = frozenset({"operator"})

POLICY: Policy = {
    "FundsService/GetFund": _READERS,
    "FundsService/ListFunds": _READERS,
    "FundsService/ListNavs": _READERS,
    # Advice places what an investor has accepted, under the proposal's id.
    "FundsService/PlaceOrder": _WALLET | {_ADVICE},
    "FundsService/PlaceOrders": _WALLET | {_ADVICE},
    "FundsService/CancelOrder": _WALLET,
    "FundsService/GetOrder": _READERS,
    "FundsService/ListOrders": _READERS,
    "FundsService/WatchOrders": _READERS,
    "FundsService/CreatePlan": _WALLET,
    "FundsService/ChangePlan": _WALLET,
    "FundsService/SuspendPlan": _WALLET | _OPERATOR,
    "FundsService/ResumePlan": _WALLET,
    "FundsService/StopPlan": _WALLET,
    "FundsService/GetPlan": _READERS,
    "FundsService/ListPlans": _READERS,
    "FundsService/GetHolding": _READERS,
    "FundsService/ListHoldings": _READERS,
    "FundsService/ListStatementLines": _READERS,
    "FundsService/RecordInvestorClass": frozenset({"operator", _ADVICE}),
    "FundsService/GetInvestor": _READERS,
    "FundsService/AcknowledgeWarning": _WALLET,
    "FundsService/ConfirmAgain": _WALLET,
    "FundDayService/PublishFund": _OPERATOR,
    "FundDayService/ChangeFundStatus": _OPERATOR,
    "FundDayService/PublishNav": _OPERATOR,
    # Maker and checker: that they differ is decided with the proposal in hand.
    "FundDayService/PreviewNavCorrection": _OPERATOR,
    "FundDayService/CorrectNav": _OPERATOR,
    "FundDayService/ApproveNavCorrection": _OPERATOR,
    "FundDayService/RefuseNavCorrection": _OPERATOR,
    "FundDayService/RegisterRegistrar": _OPERATOR,
    "FundDayService/ListRegistrars": _OPERATOR,
    "FundDayService/OpenAdvanceFacility": _OPERATOR,
    "FundDayService/RunCutOff": _OPERATOR,
    "FundDayService/GetTaDay": _OPERATOR,
    "FundDayService/ListTaDays": _OPERATOR,
    "FundDayService/WatchTaDay": _OPERATOR,
    "FundDayService/ListTaFiles": _OPERATOR,
    "FundDayService/ListFundBreaks": _OPERATOR,
    # Maker and checker: that they differ is decided with the proposal in hand.
    "FundDayService/ProposeRepair": _OPERATOR,
    "FundDayService/ApproveRepair": _OPERATOR,
    "FundDayService/RefuseRepair": _OPERATOR,
    "FundDayService/GetTradingCalendar": _OPERATOR,
    "FundDayService/ProposeTradingDays": _OPERATOR,
    "FundDayService/ApproveTradingDays": _OPERATOR,
    "FundDayService/RefuseTradingDays": _OPERATOR,
    "FundDayService/SetFundClock": _OPERATOR,
    "FundDayService/GetFundClock": _OPERATOR | _WALLET,
    "FundDayService/RunPlans": _OPERATOR,
    "FundDayService/GetFundTieOut": _OPERATOR,
}

# The caller is the registrar that its certificate names.
LINK_POLICY: Policy = {"RegistrarLinkService/DeliverFiles": frozenset({"registrar"})}
