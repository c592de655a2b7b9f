"""What a ranking in the shadow would have earned, from what the live one showed and the chances."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.recommendations.advising import ProposalStreams
from services.recommendations.codec import proposal_codec
from services.recommendations.domain import proposal as what
from services.recommendations.domain.measures import policy_value

MILLION: Final = 1_000_000
# Lists looked at, the newest ones.
LISTS_MAX: Final = 5_000
REWARDS: Final = ("OPENED", "ACCEPTED", "ORDERED")
_SHADOW: Final = "hefu.recommendations.v1.ShadowAnswered"


@dataclass(frozen=True, slots=True)
class Value:
    """Of an item shown: what the live ranking earned, and two estimates for the other one."""

    reward: str
    live: float
    ips: float
    snips: float
    effective_items: float


@dataclass(frozen=True, slots=True)
class Valued:
    lists: int
    items: int
    values: Sequence[Value]
    # Share of the shadow's items that were not shown.
    unseen: float


@dataclass(frozen=True, slots=True)
class Logged:
    """One item that was shown: its chance, the chance the other one gives it, what it earned."""

    old: float
    new: float
    rewards: Mapping[str, float]


async def value_shadow(proposals: ProposalStreams, version: str, since_us: int) -> Valued:
    """Read the log: each list that the version answered too."""
    answered: deque[tuple[str, Mapping[str, float]]] = deque(maxlen=LISTS_MAX)
    async for stored in proposals.store.read_all(("proposal-",), only=_SHADOW):
        event = proposal_codec.decode(stored.type, stored.data)
        if isinstance(event, what.ShadowAnswered) and event.version == version:
            told = {i.fund_code: i.propensity_millionths / MILLION for i in event.items}
            answered.append((stored.stream.removeprefix("proposal-"), told))
    lists, offered, unseen = 0, 0, 0
    shown: list[Logged] = []
    for proposal_id, chances in answered:
        state = (await proposals.load(proposal_id)).state
        if isinstance(state, what.Absent) or state.issued.as_of_us < since_us:
            continue
        lists += 1
        shown += logged(state, chances)
        offered += len(chances)
        unseen += len(chances.keys() - {item.fund_code for item in state.issued.items})
    values = [_valued(name, shown) for name in REWARDS]
    return Valued(lists, len(shown), values, unseen / offered if offered else 0.0)


def logged(state: what.Proposal, chances: Mapping[str, float]) -> list[Logged]:
    """The items of one list, with what came of each."""
    accepted = () if state.accepted is None else state.accepted.items
    chosen = {item.fund_code for item in accepted}
    ordered = {o.fund_code for o in state.orders.values() if not o.refusal_reason}
    return [
        Logged(
            item.propensity_millionths / MILLION,
            chances.get(item.fund_code, 0.0),
            {
                "OPENED": float(item.fund_code in state.opened),
                "ACCEPTED": float(item.fund_code in chosen),
                "ORDERED": float(item.fund_code in ordered),
            },
        )
        for item in state.issued.items
    ]


def _valued(reward: str, shown: Sequence[Logged]) -> Value:
    ips, snips, effective = policy_value(
        (each.rewards[reward], each.old, each.new) for each in shown
    )
    live = sum(each.rewards[reward] for each in shown) / len(shown) if shown else 0.0
    return Value(reward, live, ips, snips, effective)
