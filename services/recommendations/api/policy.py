"""Who may call what. A call that is not named here is served to nobody."""

from typing import Final

from libs.grpc_server import Policy

_WALLET: Final = frozenset({"wallet"})
_OPERATOR: Final = frozenset({"operator"})
_READERS: Final = frozenset({"wallet", "operator"})
# Data companies come as services of their own.
_FEEDS: Final = frozenset({"operator", "service"})

POLICY: Final[Policy] = {
    **dict.fromkeys(
        (
            f"RecommendationsService/{method}"
            for method in (
                "RegisterInvestor",
                "SubmitQuestionnaire",
                "SetPreferences",
                "GiveConsent",
                "WithdrawConsent",
                "ReportChange",
                "ShowWarning",
                "AcknowledgeWarning",
                "ForgetInvestor",
                "ListRecommendations",
                "ProposePortfolio",
                "RecordShown",
                "RecordItemOpened",
                "AcceptProposal",
                "DismissProposal",
            )
        ),
        _WALLET,
    ),
    **dict.fromkeys(
        (
            f"RecommendationsService/{method}"
            for method in ("GetQuestionnaire", "GetInvestor", "GetProposal", "ListProposals")
        ),
        _READERS,
    ),
    **dict.fromkeys(
        (
            f"RecommendationsService/{method}"
            for method in (
                "RecogniseProfessional",
                "WithdrawProfessional",
                "BlockInvestor",
                "UnblockInvestor",
                "ListReleases",
                "PromoteVersion",
                "SetShadow",
                "ValueShadow",
            )
        ),
        _OPERATOR,
    ),
    **dict.fromkeys(
        (
            f"FeedService/{method}"
            for method in ("PublishPrices", "PublishFactorScores", "PublishViews")
        ),
        _FEEDS,
    ),
    "FeedService/PublishFundFacts": _FEEDS,
    "FeedService/ListQuarantined": _OPERATOR,
}
