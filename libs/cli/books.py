"""Reads the books after a day: trial balance, tie-out, and that each payment is in one window."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import events_pb2 as entries
from hefu.payments.v1 import payments_pb2 as payments
from hefu.settlement.v1 import settlement_pb2 as settlement
from libs.cli.business_day import DayTerms, Played
from libs.cli.connections import Connections
from libs.cli.report import DayReport, SettlementLine, TieOutLine

_OWED = (entries.ACCOUNT_KIND_CUSTOMER_WALLET, entries.ACCOUNT_KIND_MERCHANT)
_ON_ITS_WAY = (
    entries.ACCOUNT_KIND_IN_TRANSIT_OUT,
    entries.ACCOUNT_KIND_IN_TRANSIT_IN,
    entries.ACCOUNT_KIND_CLEARING,
    entries.ACCOUNT_KIND_FUND_CLEARING,
    entries.ACCOUNT_KIND_ADVANCE,
)
_OURS = (entries.ACCOUNT_KIND_FEE_INCOME,)
_UNEXPLAINED = (entries.ACCOUNT_KIND_SUSPENSE_LONG, entries.ACCOUNT_KIND_SUSPENSE_SHORT)
_LEFT_ITS_WINDOW = frozenset({settlement.LEG_STATE_CARRIED, settlement.LEG_STATE_DISPUTED})
_NAMED_MAX = 5
_LEGS_PER_PAGE = 5000
# Where the facts of a payment are stored.
CATEGORIES = (
    "journal-",
    "payment-",
    "partner-",
    "cut_off-",
    "settlement-",
    "bank_transfer-",
    "bank_message-",
    "statement-",
    "account_statement-",
    "break-",
)


@dataclass(frozen=True, slots=True)
class Books:
    """Credits minus debits of the journal by kind of account, in minor units of one currency."""

    by_kind: Mapping[int, int]
    pages: int

    def sum(self, kinds: Iterable[int]) -> int:
        """Credits minus debits over some kinds."""
        return sum(self.by_kind.get(kind, 0) for kind in kinds)


async def read_books(link: Connections, currency: str) -> Books:
    """The trial balance, from the journal's writer."""
    found = await link.accounts.GetTrialBalance(accounts.GetTrialBalanceRequest())
    by_kind: Counter[int] = Counter()
    for total in found.totals:
        if total.currency_code == currency:
            by_kind[total.kind] += total.credit_minus_debit_minor
    return Books(by_kind, found.pages)


async def report_of(
    link: Connections,
    terms: DayTerms,
    played: Played,
    known: Mapping[str, payments.Payment],
) -> DayReport:
    """Everything the report says, read from the services and the store."""
    books = await read_books(link, terms.currency)
    tie_out = await link.settlement.GetTieOut(settlement.GetTieOutRequest())
    paid = [known[str(id_)] for id_ in played.payouts if str(id_) in known]
    return DayReport(
        orders_read=len(terms.file.orders),
        accounts_opened=played.wallets,
        top_ups_confirmed=sum(_succeeded(known.get(str(id_))) for id_ in played.top_ups),
        payments_settled=sum(_settled(payment) for payment in paid),
        payments_refused=sum(_failed(payment) for payment in paid),
        payments_carried=sum(_carried(payment) for payment in paid),
        gross_minor=sum(payment.terms.amount.minor_units for payment in paid),
        settlements=[_settlement_line(found) for found in played.settlements],
        tie_out=[_tie_out_line(found) for found in tie_out.accounts],
        journal_sum_minor=sum(books.by_kind.values()),
        liabilities_minor=books.sum(_OWED),
        in_transit_minor=books.sum(_ON_ITS_WAY),
        suspense_minor=books.sum(_UNEXPLAINED),
        fees_minor=books.sum(_OURS),
        bank_assets_minor=-books.sum([entries.ACCOUNT_KIND_BANK_MIRROR]),
        journal_pages=books.pages,
        events_total=await _events(link),
        seconds=round(played.seconds, 1),
        currency=terms.currency,
        business_date=terms.business_date.isoformat(),
        faults=[*_unproven(tie_out.accounts), *await _window_faults(link, played, paid)],
    )


async def _events(link: Connections) -> int:
    count = 0
    async for _ in link.store.read_all(CATEGORIES):
        count += 1
    return count


def _unproven(accounts_at_banks: Sequence[settlement.TieOut]) -> Iterable[str]:
    for found in accounts_at_banks:
        if found.is_unproven and found.mirror_minor:
            yield f"bank {found.bank_id}, {found.currency_code}: no statement proves the mirror"
        elif found.payment_ids:
            legs = ", ".join(found.payment_ids[:_NAMED_MAX])
            yield f"bank {found.bank_id}, {found.currency_code}: unexplained legs {legs}"


async def _window_faults(
    link: Connections, played: Played, paid: Sequence[payments.Payment]
) -> Sequence[str]:
    """Each settled payment must stand in exactly one settlement that kept it."""
    standing: Counter[str] = Counter()
    for found in played.settlements:
        async for leg in _legs(link, found.settlement_id):
            if leg.state not in _LEFT_ITS_WINDOW:
                standing[leg.payment_id] += 1
    twice = sorted(id_ for id_, count in standing.items() if count > 1)
    settled_here = {found.settlement_id for found in played.settlements}
    lost = sorted(
        payment.payment_id
        for payment in paid
        if payment.settlement_id in settled_here and standing[payment.payment_id] == 0
    )
    unsettled = sorted(
        payment.payment_id
        for payment in paid
        if not (_settled(payment) or _failed(payment) or _carried(payment))
    )
    named = (
        ("in more than one window", twice),
        ("settled, but in no settlement's legs", lost),
        ("neither settled, refused nor carried", unsettled),
    )
    return [
        f"{len(ids)} payments are {told}: {', '.join(ids[:_NAMED_MAX])}"
        for told, ids in named
        if ids
    ]


async def _legs(link: Connections, settlement_id: str) -> AsyncIterator[settlement.SettlementLeg]:
    token = ""
    while True:
        page = await link.settlement.ListLegs(
            settlement.ListLegsRequest(
                settlement_id=settlement_id, page_size=_LEGS_PER_PAGE, page_token=token
            )
        )
        for leg in page.legs:
            yield leg
        token = page.next_page_token
        if not token:
            return


def _settlement_line(found: settlement.Settlement) -> SettlementLine:
    state = settlement.SettlementState.Name(found.state).removeprefix("SETTLEMENT_STATE_")
    return SettlementLine(
        bank=found.bank_id,
        legs=found.legs,
        gross_out_minor=found.sum_bank_minor,
        gross_in_minor=found.sum_ours_minor,
        net_minor=found.net_minor,
        state=state,
        disputed_legs=found.disputed_legs,
        in_doubt_resolved=found.in_doubt_resolved,
    )


def _tie_out_line(found: settlement.TieOut) -> TieOutLine:
    return TieOutLine(
        bank=found.bank_id,
        currency=found.currency_code,
        mirror_minor=found.mirror_minor,
        statement_minor=found.statement_minor,
        difference_minor=found.difference_minor,
    )


def _succeeded(payment: payments.Payment | None) -> bool:
    return payment is not None and payment.status == payments.PAYMENT_STATUS_SUCCEEDED


def _settled(payment: payments.Payment) -> bool:
    return payment.settlement == payments.SETTLEMENT_STATUS_SETTLED


def _failed(payment: payments.Payment) -> bool:
    return payment.status == payments.PAYMENT_STATUS_FAILED


def _carried(payment: payments.Payment) -> bool:
    return payment.times_carried > 0 and not _settled(payment) and not _failed(payment)
