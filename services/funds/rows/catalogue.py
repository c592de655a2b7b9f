"""Rows of funds and their prices, of registrars, and of investors' classes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson
from sqlalchemy import case

from libs.event_store import StoredEvent
from libs.writes import Added, Patch, Put, Write
from services.funds import tables as t
from services.funds.aggregates import FUNDS, INVESTORS, REGISTRARS
from services.funds.domain import fund, investor
from services.funds.domain.product import FundStatus, FundTerms
from services.funds.shapes import shape_of

FUND_PREFIX: Final = "fund-"
INVESTOR_PREFIX: Final = "fund_investor-"
REGISTRAR_PREFIX: Final = "registrar-"
_F: Final = t.funds.c


def of_fund(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a fund changes."""
    event = FUNDS.decode(stored.type, stored.data)
    yield from _OF_FUND[type(event)](stored.stream.removeprefix(FUND_PREFIX), event)


def _published(code: str, event: fund.Published) -> Iterator[Write]:
    terms = event.terms
    row = {
        "ta_id": terms.ta_id,
        "kind": terms.fund_type.name,
        "risk_level": int(terms.risk_level),
        "version": event.version,
        "currency": terms.currency,
        "terms": orjson.dumps(shape_of(FundTerms).to_json(terms)).decode(),
    }
    if event.version == 1:
        fresh = {"code": code, "status": FundStatus.OPEN.name, "nav_date": "", "nav": 0}
        yield Put(t.funds, {**fresh, **row})
    else:
        yield Patch(t.funds, {"code": code}, row)


def _status(code: str, event: fund.StatusChanged) -> Iterator[Write]:
    yield Patch(t.funds, {"code": code}, {"status": event.status.name})


def _nav(code: str, nav: fund.Nav) -> dict[str, object]:
    return {
        "code": code,
        "nav_date": nav.nav_date.isoformat(),
        "nav": nav.nav,
        "accumulated_nav": nav.accumulated_nav,
        "income_per_10k": nav.income_per_10k,
        "seven_day_yield": nav.seven_day_yield,
    }


def _latest(code: str, nav: fund.Nav) -> Write:
    # A price of an earlier day leaves the newest one as it is.
    day = nav.nav_date.isoformat()
    is_newest = _F.nav_date <= day
    return Patch(
        t.funds,
        {"code": code},
        {
            "nav": case((is_newest, nav.nav), else_=_F.nav),
            "nav_date": case((is_newest, day), else_=_F.nav_date),
        },
    )


def _nav_published(code: str, event: fund.NavPublished) -> Iterator[Write]:
    yield Put(t.navs, {**_nav(code, event.nav), "corrections": 0})
    yield _latest(code, event.nav)


def _nav_corrected(code: str, event: fund.NavCorrected) -> Iterator[Write]:
    row = _nav(code, event.after)
    key = {"code": row.pop("code"), "nav_date": row.pop("nav_date")}
    yield Patch(t.navs, key, {**row, "corrections": Added(1)})
    yield _latest(code, event.after)


def _nothing(_code: str, _event: object) -> Iterator[Write]:
    yield from ()


_OF_FUND: Final[Mapping[type, Callable[[str, Any], Iterator[Write]]]] = {
    fund.Published: _published,
    fund.StatusChanged: _status,
    fund.NavPublished: _nav_published,
    fund.NavCorrected: _nav_corrected,
    fund.NavCorrectionProposed: _nothing,
    fund.NavCorrectionApproved: _nothing,
    fund.NavCorrectionRefused: _nothing,
    fund.DividendDeclared: _nothing,
}


def of_investor(stored: StoredEvent) -> Iterator[Write]:
    """What an event of an investor changes."""
    event = INVESTORS.decode(stored.type, stored.data)
    if isinstance(event, investor.ClassRecorded):
        row = {
            "investor_id": stored.stream.removeprefix(INVESTOR_PREFIX),
            "investor_class": int(event.investor_class),
            "kind": event.kind.name,
            "valid_until": event.valid_until.isoformat(),
            "profile_version": event.profile_version,
        }
        yield Put(t.investors, row)


def of_registrar(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a registrar changes."""
    event = REGISTRARS.decode(stored.type, stored.data)
    yield Put(t.registrars, asdict(event.registrar))
