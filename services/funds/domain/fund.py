"""A fund in the catalogue: its terms, its status, its prices by day and its dividends."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.fund_arithmetic import FeeRules, FrontEnd, rate_above_cap, rules_on
from libs.fund_arithmetic.fee_rules import RULES
from services.funds.domain import two_operators
from services.funds.domain.product import FundStatus, FundTerms
from services.funds.domain.two_operators import Proposals

# Rates and shares in millionths are below this.
_ONE = 1_000_000


@dataclass(frozen=True, slots=True)
class Nav:
    """One day's price at the fund's scale; of a money fund, its income too.

    `income_per_10k` is 万份收益 of that natural day, 4 decimals.
    """

    nav_date: date
    nav: int
    accumulated_nav: int = 0
    income_per_10k: int = 0
    seven_day_yield: int = 0


@dataclass(frozen=True, slots=True)
class Dividend:
    """`per_share` is in major units at `per_share_scale`."""

    dividend_id: str
    record_date: date
    ex_date: date
    pay_date: date
    per_share: int
    per_share_scale: int = 4


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Published:
    terms: FundTerms
    version: int
    actor: str


@dataclass(frozen=True, slots=True)
class StatusChanged:
    status: FundStatus
    cause: str
    request_id: str


@dataclass(frozen=True, slots=True)
class NavPublished:
    nav: Nav
    # A file's key, or "operator:<name>".
    source: str


@dataclass(frozen=True, slots=True)
class NavCorrected:
    before: Nav
    after: Nav
    cause: str
    source: str


@dataclass(frozen=True, slots=True)
class NavCorrectionProposed:
    """Another price for a day by hand; it counts when another operator has approved it."""

    proposal_id: str
    before: Nav
    after: Nav
    cause: str
    maker: str


@dataclass(frozen=True, slots=True)
class NavCorrectionApproved:
    proposal_id: str
    checker: str


@dataclass(frozen=True, slots=True)
class NavCorrectionRefused:
    proposal_id: str
    checker: str
    note: str


@dataclass(frozen=True, slots=True)
class DividendDeclared:
    dividend: Dividend
    source: str


Event: TypeAlias = (
    Published
    | StatusChanged
    | NavPublished
    | NavCorrected
    | NavCorrectionProposed
    | NavCorrectionApproved
    | NavCorrectionRefused
    | DividendDeclared
)


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Listed:
    terms: FundTerms
    version: int
    status: FundStatus = FundStatus.OPEN
    status_requests: frozenset[str] = frozenset()
    # By date, oldest first.
    navs: tuple[Nav, ...] = ()
    # Dates of prices that were corrected, once for each time.
    corrections: tuple[date, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    # Corrections by hand.
    proposals: Proposals[NavCorrectionProposed] = field(default_factory=Proposals)

    @property
    def latest_nav(self) -> Nav | None:
        return self.navs[-1] if self.navs else None

    def nav_on(self, day: date) -> Nav | None:
        place = _place(self.navs, day)
        found = self.navs[place] if place < len(self.navs) else None
        return found if found is not None and found.nav_date == day else None


Fund: TypeAlias = Absent | Listed


def evolve(fund: Fund, event: Event) -> Fund:
    match fund, event:
        case Absent(), Published(terms, version):
            return Listed(terms, version)
        case Listed(), Published(terms, version):
            return replace(fund, terms=terms, version=version)
        case Listed(), StatusChanged(status, _, request_id):
            requests = fund.status_requests | {request_id}
            return replace(fund, status=status, status_requests=requests)
        case Listed(), NavPublished(nav):
            place = _place(fund.navs, nav.nav_date)
            return replace(fund, navs=(*fund.navs[:place], nav, *fund.navs[place:]))
        case Listed(), NavCorrected(_, after):
            place = _place(fund.navs, after.nav_date)
            navs = (*fund.navs[:place], after, *fund.navs[place + 1 :])
            return replace(fund, navs=navs, corrections=(*fund.corrections, after.nav_date))
        case Listed(), NavCorrectionProposed():
            return replace(fund, proposals=fund.proposals.proposed(event))
        case Listed(), NavCorrectionApproved(proposal_id):
            return replace(fund, proposals=fund.proposals.with_approved(proposal_id))
        case Listed(), NavCorrectionRefused(proposal_id):
            return replace(fund, proposals=fund.proposals.with_refused(proposal_id))
        case Listed(), DividendDeclared(dividend):
            return replace(fund, dividends=(*fund.dividends, dividend))
    raise AssertionError(f"{event} cannot follow {fund}")


def _place(navs: Sequence[Nav], day: date) -> int:
    # Almost every price is of the newest day.
    if not navs or navs[-1].nav_date < day:
        return len(navs)
    return bisect_left(navs, day, key=lambda nav: nav.nav_date)


# Commands.
class Reason(Enum):
    FIELD_INVALID = auto()
    UNKNOWN_FUND = auto()
    FUND_TERMS_FIXED = auto()
    FEE_ABOVE_CAP = auto()
    NAV_NOT_POSITIVE = auto()
    NAV_DIFFERS = auto()
    NAV_MISSING = auto()
    DIVIDEND_DIFFERS = auto()


@dataclass(frozen=True, slots=True)
class Publish:
    terms: FundTerms
    actor: str
    # The table of fee rules in force, by date.
    rules: tuple[FeeRules, ...] = RULES


@dataclass(frozen=True, slots=True)
class ChangeStatus:
    request_id: str
    status: FundStatus
    cause: str


@dataclass(frozen=True, slots=True)
class PublishNav:
    nav: Nav
    source: str


@dataclass(frozen=True, slots=True)
class CorrectNav:
    """The registrar's own word: what it priced, it corrects alone."""

    nav: Nav
    cause: str
    source: str


@dataclass(frozen=True, slots=True)
class ProposeNavCorrection:
    proposal_id: str
    nav: Nav
    cause: str
    maker: str


@dataclass(frozen=True, slots=True)
class ApproveNavCorrection:
    proposal_id: str
    checker: str


@dataclass(frozen=True, slots=True)
class RefuseNavCorrection:
    proposal_id: str
    checker: str
    note: str


@dataclass(frozen=True, slots=True)
class DeclareDividend:
    dividend: Dividend
    source: str


Command: TypeAlias = (
    Publish
    | ChangeStatus
    | PublishNav
    | CorrectNav
    | ProposeNavCorrection
    | ApproveNavCorrection
    | RefuseNavCorrection
    | DeclareDividend
)


def decide(command: Command, fund: Fund) -> Sequence[Event]:
    match command:
        case Publish():
            return _publish(command, fund)
        case ChangeStatus(request_id, status, cause):
            listed = _listed(fund)
            is_known = request_id in listed.status_requests or listed.status is status
            return [] if is_known else [StatusChanged(status, cause, request_id)]
        case PublishNav():
            return _publish_nav(command, _listed(fund))
        case CorrectNav():
            return _correct_nav(command, _listed(fund))
        case ProposeNavCorrection():
            return _propose(command, _listed(fund))
        case ApproveNavCorrection():
            return _approve(command, _listed(fund))
        case RefuseNavCorrection():
            return _refuse(command, _listed(fund))
        case DeclareDividend():
            return _declare(command, _listed(fund))
        case _:
            assert_never(command)


def _listed(fund: Fund) -> Listed:
    if isinstance(fund, Absent):
        raise Rejected(Reason.UNKNOWN_FUND)
    return fund


def _publish(command: Publish, fund: Fund) -> Sequence[Event]:
    terms = command.terms
    _check_terms(terms)
    if isinstance(fund, Listed):
        if fund.terms == terms:
            return []
        _check_fixed(terms, fund.terms)
    # What was published under older rules stays: only tables that are new here are measured.
    known = fund.terms.fee_tables if isinstance(fund, Listed) else ()
    for number, table in enumerate(terms.fee_tables):
        if table in known:
            continue
        rules = rules_on(table.effective_date, command.rules)
        front_end = FrontEnd(table.method, table.front, table.discount)
        rate = rate_above_cap(rules, terms.fund_type, front_end)
        if rate is not None:
            path = f"terms.fee_tables[{number}].front"
            told = f"{rate} millionths are above the cap of {terms.fund_type.name}"
            raise Rejected(Reason.FEE_ABOVE_CAP, told, [FieldViolation(path, told)])
    version = fund.version + 1 if isinstance(fund, Listed) else 1
    return [Published(terms, version, command.actor)]


def _check_terms(terms: FundTerms) -> None:
    if not terms.fee_tables:
        raise _invalid("terms.fee_tables", "a fund has at least one")
    if not terms.dealing.calendars:
        raise _invalid("terms.dealing.calendars", "a fund names at least one exchange")
    if not 0 <= terms.gate <= _ONE:
        raise _invalid("terms.gate", "not a part in millionths")
    dates = [table.effective_date for table in terms.fee_tables]
    if dates != sorted(set(dates)):
        raise _invalid("terms.fee_tables", "effective dates rise and do not repeat")
    for number, table in enumerate(terms.fee_tables):
        path = f"terms.fee_tables[{number}]"
        if not 0 <= table.discount <= _ONE or not 0 <= table.agency_share <= _ONE:
            raise _invalid(path, "a discount or a share is not in millionths")
        starts: tuple[tuple[str, list[int], list[int]], ...] = (
            ("front", [b.from_minor for b in table.front], [b.rate for b in table.front]),
            (
                "redemption",
                [b.from_days for b in table.redemption],
                [b.rate for b in table.redemption],
            ),
            ("back_end", [b.from_years for b in table.back_end], [b.rate for b in table.back_end]),
        )
        for name, begins, rates in starts:
            if begins and (begins[0] != 0 or begins != sorted(set(begins))):
                raise _invalid(f"{path}.{name}", "bands begin at 0 and rise")
            if not all(0 <= rate < _ONE for rate in rates):
                raise _invalid(f"{path}.{name}", "a rate is not in millionths")


def _check_fixed(terms: FundTerms, before: FundTerms) -> None:
    # Shares, prices and registers were counted by these.
    for name in ("code", "ta_id", "currency", "share_scale", "nav_scale", "register_model"):
        if getattr(terms, name) != getattr(before, name):
            told = f"was {getattr(before, name)} and cannot change"
            path = f"terms.{name}"
            raise Rejected(Reason.FUND_TERMS_FIXED, f"{path}: {told}", [FieldViolation(path, told)])


def _invalid(path: str, told: str) -> Rejected:
    return Rejected(Reason.FIELD_INVALID, f"{path}: {told}", [FieldViolation(path, told)])


def _check_nav(nav: Nav) -> None:
    if nav.nav <= 0 or nav.accumulated_nav < 0 or nav.income_per_10k < 0:
        told = "a price is above 0 and an income is not below it"
        raise Rejected(Reason.NAV_NOT_POSITIVE, told, [FieldViolation("nav.nav", told)])


def _publish_nav(command: PublishNav, fund: Listed) -> Sequence[Event]:
    _check_nav(command.nav)
    known = fund.nav_on(command.nav.nav_date)
    if known is None:
        return [NavPublished(command.nav, command.source)]
    if known == command.nav:
        return []
    told = f"{known.nav} is published for {known.nav_date}; another value is a correction"
    raise Rejected(Reason.NAV_DIFFERS, told, [FieldViolation("nav.nav", told)])


def _correct_nav(command: CorrectNav, fund: Listed) -> Sequence[Event]:
    _check_nav(command.nav)
    known = fund.nav_on(command.nav.nav_date)
    if known is None:
        raise Rejected(Reason.NAV_MISSING, f"nothing is published for {command.nav.nav_date}")
    if known == command.nav:
        return []
    return [NavCorrected(known, command.nav, command.cause, command.source)]


def _propose(command: ProposeNavCorrection, fund: Listed) -> Sequence[Event]:
    known = fund.proposals.get(command.proposal_id)
    if known is not None:
        if (known.after, known.cause, known.maker) == (command.nav, command.cause, command.maker):
            return []
        raise Rejected(two_operators.Reason.PROPOSAL_DIFFERS, "the id was used for another price")
    _check_nav(command.nav)
    before = fund.nav_on(command.nav.nav_date)
    if before is None:
        raise Rejected(Reason.NAV_MISSING, f"nothing is published for {command.nav.nav_date}")
    if before == command.nav:
        raise _invalid("nav.nav", "is what is published")
    return [
        NavCorrectionProposed(
            command.proposal_id, before, command.nav, command.cause, command.maker
        )
    ]


def _approve(command: ApproveNavCorrection, fund: Listed) -> Sequence[Event]:
    known = fund.proposals.to_approve(command.proposal_id, command.checker)
    if known is None:
        return []
    if fund.nav_on(known.before.nav_date) != known.before:
        # What the checker has seen was about another price.
        raise Rejected(Reason.NAV_DIFFERS, "the price has been corrected since")
    approved = NavCorrectionApproved(command.proposal_id, command.checker)
    source = f"operator:{known.maker}"
    return [approved, NavCorrected(known.before, known.after, known.cause, source)]


def _refuse(command: RefuseNavCorrection, fund: Listed) -> Sequence[Event]:
    if fund.proposals.to_refuse(command.proposal_id, command.checker) is None:
        return []
    return [NavCorrectionRefused(command.proposal_id, command.checker, command.note)]


def _declare(command: DeclareDividend, fund: Listed) -> Sequence[Event]:
    dividend = command.dividend
    if dividend.per_share <= 0:
        raise _invalid("dividend.per_share", "must be above 0")
    if not dividend.record_date <= dividend.ex_date <= dividend.pay_date:
        raise _invalid("dividend.ex_date", "record, ex and pay dates follow one another")
    known = next((d for d in fund.dividends if d.dividend_id == dividend.dividend_id), None)
    if known is None:
        return [DividendDeclared(dividend, command.source)]
    if known == dividend:
        return []
    raise Rejected(Reason.DIVIDEND_DIFFERS, "the id was used for other terms")


fund: Decider[Command, Fund, Event] = Decider(Absent(), decide, evolve)
