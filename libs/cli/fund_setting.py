"""What fund days are about: the registrar, the sessions, and how many take part."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.cli.fund_market import Market, Session


@dataclass(frozen=True, slots=True)
class Setting:
    """What the report is about."""

    registrar_id: str
    currency: str
    sessions: Sequence[Session]
    investors: int
    plans: int
    market: Market
