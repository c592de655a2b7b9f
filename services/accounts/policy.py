"""Who may call what. A call that is not named here is served to nobody."""

from libs.grpc_server import Policy

_PAYMENTS, _SETTLEMENT, _FUNDS = "service:payments", "service:settlement", "service:funds"
_SERVICES = frozenset({_PAYMENTS, _SETTLEMENT, _FUNDS})
_POSTERS = _SERVICES | {"wallet"}
_READERS = _POSTERS | {"operator"}
_OPERATOR = frozenset({"operator"})
_WALLET = frozenset({"wallet"})
_WINDOWS = frozenset({_SETTLEMENT})

POLICY: Policy = {
    "AccountsService/OpenAccount": _READERS,
    "AccountsService/FreezeAccount": _OPERATOR,
    "AccountsService/UnfreezeAccount": _OPERATOR,
    "AccountsService/CloseAccount": _OPERATOR,
    "AccountsService/ReopenAccount": _OPERATOR,
    "AccountsService/SetBounds": _OPERATOR,
    "AccountsService/GetAccount": _READERS,
    "AccountsService/GetAccounts": _READERS,
    "AccountsService/ListAccounts": _READERS,
    "AccountsService/ListEntries": _READERS,
    "AccountsService/PostTransfers": _POSTERS,
    "AccountsService/PlaceHold": _SERVICES,
    "AccountsService/CaptureHold": _SERVICES,
    "AccountsService/ReleaseHold": _SERVICES,
    "AccountsService/GiveQuote": frozenset({_PAYMENTS}),
    # What a wallet or an operator may not do singly is refused inside a bulk call too.
    "AccountsService/PostCommands": _READERS,
    "AccountsService/PostCommandsContinuously": _READERS,
    "AccountsService/OpenWindow": _WINDOWS,
    "AccountsService/SealWindow": _WINDOWS,
    "AccountsService/CloseWindow": _WINDOWS,
    "AccountsService/GetWindow": _SERVICES | _OPERATOR,
    "AccountsService/GetTrialBalance": _SERVICES | _OPERATOR,
    "AccountsService/MoveBusinessDate": _OPERATOR,
    "AccountsService/LockPeriod": _OPERATOR,
    "AccountsService/WatchJournal": _SERVICES | _OPERATOR,
}

STATEMENTS_POLICY: Policy = {
    "AccountStatementsService/GetBalanceAsOf": _READERS,
    "AccountStatementsService/IssueStatement": _WALLET | _OPERATOR,
    "AccountStatementsService/GetStatement": _READERS,
    "AccountStatementsService/ListStatements": _READERS,
    "AccountStatementsService/ListStatementLines": _READERS,
    "AccountStatementsService/ExportStatement": _READERS,
}

_AUDITORS = _SERVICES | _OPERATOR
AUDIT_POLICY: Policy = {
    # A head is for anybody to keep; an entry names other people's accounts.
    "JournalAuditService/GetJournalHead": _READERS,
    "JournalAuditService/ProveEntry": _AUDITORS,
    "JournalAuditService/ListPageHashes": _AUDITORS,
    "JournalAuditService/ListPageEntries": _AUDITORS,
    "JournalAuditService/ListRowBalances": _AUDITORS,
}
