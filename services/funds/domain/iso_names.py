"""ISO 20022 beside our own words for fund orders: states, refusals, messages (section 5)."""

from collections.abc import Mapping
from types import MappingProxyType

from services.funds.domain.order_lifecycle import Begun, Stage
from services.funds.domain.order_placing import Reason
from services.funds.domain.order_terms import (
    DividendModeChange,
    FastRedemption,
    Kind,
    Redemption,
    RegistrarMovement,
    Subscription,
    Switching,
)

# OrderStatus4Code of setr.016.001.04, for the states that have one of their own.
_STATUS: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.FUNDED: "RECE",
        Stage.SHARES_FROZEN: "RECE",
        Stage.ACCEPTED: "PACK",
        Stage.BATCHED: "STNP",
        Stage.TA_RECEIVED: "RECE",
        Stage.PRICED: "DONE",
        Stage.PARTIALLY_CONFIRMED: "GATM",
        Stage.ROLLED_OVER: "GATM",
        Stage.CONFIRMED: "COSE",
        Stage.SETTLED: "SETT",
        Stage.AMENDED: "CNFC",
    }
)
# Reject reasons; those with a mark in the reference may not be allowed in every message version.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "CUTOFF_PASSED": "CUTO",
        "CALENDAR_UNKNOWN": "DTRD",
        "FUND_CLOSED": "CLOS",
        "SUBSCRIPTION_SUSPENDED": "CLOS",
        "UNKNOWN_FUND": "DSEC",
        "SHARES_NOT_POSITIVE": "DQUA",
        "AMOUNT_NOT_POSITIVE": "DQUA",
        "SHARES_NOT_FREE": "DQUA",
        "BELOW_MINIMUM": "BMIN",
        "ABOVE_MAXIMUM": "SHIG",
        "BELOW_MINIMUM_REDEMPTION": "BMRA",
        "REMAINDER_TOO_SMALL": "BMRV",
        "LOCKED_IN": "LOCK",
        "HOLDING_CAP": "PRCT",
        "REDEMPTION_SUSPENDED": "ILLI",
        "SWITCH_NOT_ALLOWED": "UNSC",
        "FEE_MISMATCH": "FEEE",
        "ACCOUNT_FROZEN_DEBIT": "BLTR",
        "INVESTOR_NOT_IDENTIFIED": "IDNA",
        "ACCOUNT_REFUSED": "IDNA",
        "IDEMPOTENCY_KEY_REUSED": "ORRF",
        "ALREADY_CONFIRMED": "COSE",
    }
)
OTHER = "OTHR"
_TOP_UP = "BMTO"

# Versions are the per-link table's to change: request and confirmation of each intent.
_MESSAGES: Mapping[type, tuple[str, str]] = MappingProxyType(
    {
        Subscription: ("setr.010.001.04", "setr.012.001.04"),
        Redemption: ("setr.004.001.04", "setr.006.001.04"),
        FastRedemption: ("setr.004.001.04", "setr.006.001.04"),
        Switching: ("setr.013.001.04", "setr.015.001.04"),
    }
)


def status_code(order: Begun) -> str | None:
    """OrderStatus4Code of an order as it stands.

    None of what was cancelled or rejected: the report says those in elements of their own.
    """
    if order.stage in (Stage.DRAFT, Stage.SUITABILITY_PASSED):
        # Waiting for its money, or for its shares.
        return "AWSM" if isinstance(order.terms.kind, Subscription) else "AWRM"
    if order.stage is Stage.CONFIRMED and order.remaining_shares > 0:
        return "DONF"
    return _STATUS.get(order.stage)


def reject_code(reason: str, *, is_top_up: bool = False) -> str:
    """ISO's word for a refusal; OTHR with our own as text where it has none."""
    if reason == Reason.BELOW_MINIMUM.name and is_top_up:
        return _TOP_UP
    return REASONS.get(reason, OTHER)


def message_names(kind: Kind) -> tuple[str, str] | None:
    """Request and confirmation; none where ISO has no message for it."""
    if isinstance(kind, DividendModeChange | RegistrarMovement):
        return None
    return _MESSAGES[type(kind)]
