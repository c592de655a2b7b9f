"""What a fund order asks for, and what a registrar answers to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import date
from enum import Enum, auto
from functools import lru_cache
from typing import TypeAlias, assert_never

from libs.decider import FieldViolation
from libs.fund_arithmetic import DividendMode
from libs.ids import derived_id
from libs.money import Money


class Remainder(Enum):
    """What becomes of shares that a large redemption defers; the names are storage."""

    ROLL_OVER = auto()
    CANCEL = auto()


@dataclass(frozen=True, slots=True)
class Subscription:
    fund_code: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Redemption:
    fund_code: str
    shares: int
    remainder: Remainder = Remainder.ROLL_OVER
    # A switch to another registrar: what comes buys this fund there, by an order of its own.
    target_code: str = ""


@dataclass(frozen=True, slots=True)
class Switching:
    fund_code: str
    target_code: str
    shares: int
    remainder: Remainder = Remainder.ROLL_OVER


@dataclass(frozen=True, slots=True)
class DividendModeChange:
    fund_code: str
    mode: DividendMode


@dataclass(frozen=True, slots=True)
class FastRedemption:
    """Paid at once from a bank's advance, which the ordinary redemption repays."""

    fund_code: str
    shares: int


@dataclass(frozen=True, slots=True)
class RegistrarMovement:
    """Begun by the registrar: 142 forced redemption, 143 dividend, 144 and 145 forced changes."""

    fund_code: str
    business_code: str


Kind: TypeAlias = (
    Subscription | Redemption | Switching | DividendModeChange | FastRedemption | RegistrarMovement
)
# Confirm-only codes; of a 143 in shares and of a 144 shares come in, of the others they go out.
FORCED_REDEMPTION, DIVIDEND, FORCED_INCREASE, FORCED_DECREASE = "142", "143", "144", "145"
REGISTRAR_CODES = frozenset({FORCED_REDEMPTION, DIVIDEND, FORCED_INCREASE, FORCED_DECREASE})


@dataclass(frozen=True, slots=True)
class Terms:
    """All of it counts when two requests under one id are compared."""

    investor_id: str
    # Where money comes from and goes to.
    wallet_account_id: str
    kind: Kind
    # A recommendation or a plan behind it: such an order never rests on a warning.
    recommendation_id: str = ""
    plan_id: str = ""
    plan_due_date: date | None = None
    warning_id: str = ""
    second_confirmation_id: str = ""
    # Of a purchase that a switch pays for: the order whose shares were redeemed for it.
    switch_id: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One row of a confirmation file. Money in minor units, shares and NAVs at the fund's scales.

    `amount_minor` is the money that moves: of a subscription all that is taken, fee included; of a
    redemption what is paid out, fees taken off. Where it was read is not part of what it says.
    """

    ta_serial: str
    business_code: str
    fund_code: str
    trade_date: date
    confirm_date: date
    nav: int
    shares: int
    amount_minor: int
    fee_minor: int = 0
    agency_fee_minor: int = 0
    refund_minor: int = 0
    back_end_minor: int = 0
    # Of a switch: the fund that is entered.
    target_code: str = ""
    target_nav: int = 0
    target_shares: int = 0
    recuperate_fee_minor: int = 0
    register_date: date | None = None
    # BusinessFinishFlag: no other row follows for this trade day.
    is_final: bool = True
    # The rest of a large redemption is dealt with on the next trade day.
    rolls_over: bool = False
    file_key: str = field(default="", compare=False)
    row: int = field(default=0, compare=False)

    @property
    def row_id(self) -> str:
        """The row's identity with its registrar (funds, section 4)."""
        return f"{self.ta_serial}/{self.business_code}/{text_of(self.confirm_date)}"


@lru_cache
def text_of(day: date) -> str:
    """A day as it is written, ISO 8601: a file names few, and each many times."""
    return day.isoformat()


def entry_id(order_id: str, row_id: str) -> str:
    """The purchase that an answered part of a switch pays for."""
    return str(derived_id(order_id, f"enter:{row_id}"))


def entry_of(order_id: str, redeemed: Terms, amount: Money) -> Terms:
    """What that purchase asks for."""
    if not isinstance(redeemed.kind, Redemption) or not redeemed.kind.target_code:
        raise AssertionError("nothing else enters another fund")
    bought = Subscription(redeemed.kind.target_code, amount)
    return replace(redeemed, kind=bought, plan_id="", plan_due_date=None, switch_id=order_id)


def asked_shares(kind: Kind) -> int:
    """Shares that are to leave; 0 of an order in money."""
    match kind:
        case Redemption() | Switching() | FastRedemption():
            return kind.shares
        case Subscription() | DividendModeChange() | RegistrarMovement():
            return 0
        case _:
            assert_never(kind)


def target_of(kind: Kind) -> str:
    """The fund that a switch enters, whether one registrar does both or not."""
    return kind.target_code if isinstance(kind, Switching | Redemption) else ""


def business_code(terms: Terms, *, is_raising: bool) -> str:
    """The registrar's code of a request (funds, section 3)."""
    match terms.kind:
        case Subscription():
            if terms.plan_id:
                return "039"
            return "020" if is_raising else "022"
        case Redemption():
            return "063" if terms.plan_id else "024"
        case FastRedemption():
            return "024"
        case Switching():
            return "036"
        case DividendModeChange():
            return "029"
        case RegistrarMovement(business_code=code):
            return code
        case _:
            assert_never(terms.kind)


def confirmed_as(code: str) -> str:
    """The code that answers a request: 022 is confirmed as 122."""
    return code if code in REGISTRAR_CODES else f"1{code[1:]}"


def differences(asked: Terms, before: Terms) -> tuple[FieldViolation, ...]:
    """Where two askings under one id differ, by field."""
    return tuple(_differences(asked, before))


def _differences(asked: Terms, before: Terms) -> Iterator[FieldViolation]:
    for each in fields(Terms):
        if each.name == "kind":
            continue
        if getattr(asked, each.name) != getattr(before, each.name):
            yield FieldViolation(f"terms.{each.name}", f"was {getattr(before, each.name)!r}")
    if type(asked.kind) is not type(before.kind):
        yield FieldViolation("terms.kind", f"was {type(before.kind).__name__}")
        return
    for each in fields(asked.kind):
        old = getattr(before.kind, each.name)
        if getattr(asked.kind, each.name) != old:
            yield FieldViolation(f"terms.kind.{each.name}", f"was {old}")
