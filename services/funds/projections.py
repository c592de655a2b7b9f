"""The read model of funds: one version, fed by our own events alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from libs.event_store import StoredEvent
from libs.read_model import ReadModel
from libs.writes import Write
from services.funds import tables as t
from services.funds.rows import catalogue, holdings, orders, plans, registrars

_OF: Final[Mapping[str, Callable[[StoredEvent], Iterable[Write]]]] = {
    catalogue.FUND_PREFIX: catalogue.of_fund,
    catalogue.INVESTOR_PREFIX: catalogue.of_investor,
    catalogue.REGISTRAR_PREFIX: catalogue.of_registrar,
    orders.PREFIX: orders.of_order,
    holdings.PREFIX: holdings.of_holding,
    plans.PLAN_PREFIX: plans.of_plan,
    plans.ADVANCE_PREFIX: plans.of_advance,
    registrars.DAY_PREFIX: registrars.of_day,
    registrars.FILE_PREFIX: registrars.of_file,
    registrars.BREAK_PREFIX: registrars.of_break,
}


def project(stored: StoredEvent) -> Iterable[Write]:
    """What an event changes."""
    prefix = stored.stream.partition("-")[0] + "-"
    return _OF[prefix](stored)


OWN: Final = ReadModel("funds", 2, "funds", tuple(_OF), t.own, project)
