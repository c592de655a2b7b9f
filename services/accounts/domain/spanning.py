"""What a transfer over any shards is on each of them, and what is to be done next: pure.

Every part balances by itself, through the shard's account in transit. The amounts that state
decides are asked of the shards that know it, by what they set aside; the rest follows from those.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from libs.ids import derived_id
from libs.money import MINOR_MAX
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Amount,
    Balancing,
    BeginSpan,
    Command,
    Drawing,
    Exchange,
    Home,
    Item,
    Leg,
    Linked,
    Resolved,
    Source,
    Template,
    Transfer,
)
from services.accounts.domain.computed import BALANCING, template_legs
from services.accounts.domain.entries import PartReserved, Rounding, SpanBegun
from services.accounts.domain.groups import bytes_of
from services.accounts.domain.kinds import Direction
from services.accounts.domain.legs import LEGS_MAX
from services.accounts.domain.pages import PAGE_BYTES_MAX
from services.accounts.domain.refusals import Reason, Refusal
from services.accounts.domain.sharding import HOME, ShardOf, accounts_of, transit_of
from services.accounts.domain.splits import split

MEMBERS_MAX = 200
_PLACE = re.compile(r"(legs|sources|parts)\[(\d+)]")
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)


class Intent(NamedTuple):
    """A span as it was begun; `shard` decides it."""

    shard: int
    caller: str
    begun: tuple[SpanBegun, ...]

    @property
    def span_id(self) -> str:
        return self.begun[0].span_id

    @property
    def homes(self) -> Mapping[str, int]:
        return dict(self.begun[0].homes)


class Move(NamedTuple):
    """One transfer's part on one shard.

    `at`: which of the span's transfers; `legs`: which of its legs these are, in its own order;
    `fields`: how the caller knows their accounts. Legs in transit come after those.
    """

    at: int
    transfer: Transfer
    legs: tuple[int, ...]
    fields: tuple[str, ...]


class Ask(NamedTuple):
    """A shard is to set aside what these moves need. The name is unique in the span."""

    name: str
    shard: int
    moves: tuple[Move, ...]


class Wanted(NamedTuple):
    """What has to be asked before anything else; all at once."""

    asks: tuple[Ask, ...]


class Fault(NamedTuple):
    """The span cannot be: the `at`-th of its transfers was refused."""

    at: int
    refusal: Refusal


class Posting(NamedTuple):
    """What a shard posts, with what it has set aside under these names."""

    shard: int
    names: tuple[str, ...]
    moves: tuple[Move, ...]


class Post(NamedTuple):
    """All is set aside: the deciding shard posts its own part, then all others theirs."""

    own: Posting
    others: tuple[Posting, ...]


Told: TypeAlias = Mapping[str, PartReserved | Fault]
Step: TypeAlias = Wanted | Fault | Post


class _Placed(NamedTuple):
    """A leg of a transfer, where it belongs, and how the caller knows its account."""

    shard: int
    at: int
    field: str
    leg: Leg


class _Whole(NamedTuple):
    """A transfer with all its amounts known."""

    legs: tuple[_Placed, ...]
    rounding: Rounding | None = None


def next_step(intent: Intent, told: Told) -> Step:
    """`told`: what each shard has answered so far. The same answers give the same step."""
    first = intent.begun[0].transfer
    asks = _asks(intent, first, told)
    missing = tuple(ask for ask in asks if ask.name not in told)
    if missing and not any(isinstance(each, Fault) for each in told.values()):
        return Wanted(missing)
    faults = [each for ask in asks if isinstance(each := told.get(ask.name), Fault)]
    if faults:
        return min(faults, key=_precedence)
    if isinstance(first.computed, Template):
        short = first.computed.amount.minor - sum(_drawn(told))
        if short:
            return _short(first.computed.amount.minor, short)
    return _post(intent, [ask for ask in asks if ask.name in told], told)


def _precedence(fault: Fault) -> tuple[int, int, bool, int]:
    """As in one place: the first transfer, the first row of the table, the first account."""
    row = Reason[fault.refusal.reason].value
    found = _PLACE.search(fault.refusal.fields[0]) if fault.refusal.fields else None
    if found is None:
        return fault.at, row, False, -1
    return fault.at, row, found[1] == "parts", int(found[2])


def _short(total: int, short: int) -> Fault:
    text = f"{total - short} of {total} is available"
    return Fault(0, Refusal(Reason.BALANCE_TOO_LOW.name, ("template.sources",), text))


def _asks(intent: Intent, first: Transfer, told: Told) -> list[Ask]:
    """All that can be asked, as far as amounts are known."""
    match first.computed:
        case Balancing(leg):
            return [_balancing(intent, first, leg)]
        case Template():
            return _template(intent, first, first.computed, told)
        case _:
            wholes = [_whole(intent, each.transfer, told) for each in intent.begun]
            return _asks_of(intent, wholes)


def _asks_of(intent: Intent, wholes: Sequence[_Whole]) -> list[Ask]:
    """Every shard is asked, the deciding one too: its reason may come before the others'."""
    return [
        Ask(f"part/{shard}", shard, tuple(move._replace(transfer=_bare(move)) for move in found))
        for shard, found in sorted(_moves(intent, wholes).items())
    ]


def _bare(move: Move) -> Transfer:
    """What is only tried: a business fact is one of the posting."""
    return move.transfer._replace(fact_key="")


def _balancing(intent: Intent, transfer: Transfer, at: int) -> Ask:
    leg = transfer.legs[at]
    shard = intent.homes[leg.account_id]
    through = _CREDIT if leg.direction == _DEBIT else _DEBIT
    legs = (leg, _in_transit(shard, through, leg.currency, leg.minor))
    keep = transfer.computed.keep if isinstance(transfer.computed, Balancing) else 0
    tried = transfer._replace(legs=legs, computed=Balancing(0, keep), fact_key="")
    move = Move(0, tried, (at,), (f"legs[{at}].account_id",))
    return Ask(f"part/{shard}", shard, (move,))


def _template(intent: Intent, transfer: Transfer, template: Template, told: Told) -> list[Ask]:
    """The sources in their order, run by run; beside the first, what the parts are to get."""
    asks = _asks_of(intent, [_Whole(_credits(intent, template))])
    currency, left = template.amount
    drawn = _drawn(told)
    for n, (shard, first, sources) in enumerate(_runs(intent, template.sources)):
        if n > len(drawn):
            break
        transit = transit_of(shard, currency)
        drawing = Drawing(Amount(currency, left), sources, first, transit)
        places = tuple(range(first, first + len(sources)))
        fields = tuple(f"template.sources[{at}].account_id" for at in places)
        tried = transfer._replace(legs=(), computed=drawing, fact_key="", obligation=None)
        asks.append(Ask(f"draw/{n}", shard, (Move(0, tried, places, fields),)))
        left -= drawn[n] if n < len(drawn) else 0
    return asks


def _runs(
    intent: Intent, sources: Sequence[Source]
) -> Iterable[tuple[int, int, tuple[Source, ...]]]:
    """Sources that follow one another on one shard: the shard, the place of the first, and they."""
    homes, at = intent.homes, 0
    while at < len(sources):
        shard, end = homes[sources[at].account_id], at + 1
        while end < len(sources) and homes[sources[end].account_id] == shard:
            end += 1
        yield shard, at, tuple(sources[at:end])
        at = end


def _drawn(told: Told) -> list[int]:
    """What each run of sources gives, of those that have answered."""
    found: list[int] = []
    while isinstance(each := told.get(f"draw/{len(found)}"), PartReserved):
        found.append(sum(leg.minor for leg in each.legs if leg.direction == _DEBIT))
    return found


def _credits(intent: Intent, template: Template) -> tuple[_Placed, ...]:
    homes, (currency, total) = intent.homes, template.amount
    amounts = split(total, template.whole, template.parts).amounts
    return tuple(
        _Placed(
            homes[part.account_id],
            len(template.sources) + n,
            f"template.parts[{n}].account_id",
            Leg(part.account_id, "", _CREDIT, currency, minor),
        )
        for n, (part, minor) in enumerate(zip(template.parts, amounts, strict=True))
        if minor
    )


def _whole(intent: Intent, transfer: Transfer, told: Told) -> _Whole:
    """With the amounts that the shards have told."""
    homes = intent.homes
    rounding: Rounding | None = None
    match transfer.computed:
        case Exchange() as exchange:
            return _Whole(_exchanged(intent, exchange))
        case Template() as template:
            return _drawn_whole(intent, template, told)
        case Balancing(at):
            reserved = told[f"part/{homes[transfer.legs[at].account_id]}"]
            minor = reserved.legs[0].minor if isinstance(reserved, PartReserved) else 0
            legs = tuple(leg._replace(minor=minor) for leg in transfer.legs)
            rounding = Rounding(BALANCING, ())
        case _:
            legs = transfer.legs
    return _Whole(
        tuple(
            _Placed(HOME if leg.bank_id else homes[leg.account_id], n, f"legs[{n}].account_id", leg)
            for n, leg in enumerate(legs)
        ),
        rounding,
    )


def _drawn_whole(intent: Intent, template: Template, told: Told) -> _Whole:
    taken = {
        leg.account_id: leg.minor
        for name, each in told.items()
        if name.startswith("draw/") and isinstance(each, PartReserved)
        for leg in each.legs
    }
    rooms = [taken.get(source.account_id, 0) for source in template.sources]
    _, rounding = template_legs(template, rooms)
    currency, homes = template.amount.currency, intent.homes
    drawn = tuple(
        _Placed(
            homes[source.account_id],
            n,
            f"template.sources[{n}].account_id",
            Leg(source.account_id, "", _DEBIT, currency, minor),
        )
        for n, (source, minor) in enumerate(zip(template.sources, rooms, strict=True))
        if minor
    )
    return _Whole((*drawn, *_credits(intent, template)), rounding)


def _exchanged(intent: Intent, exchange: Exchange) -> tuple[_Placed, ...]:
    """The customer's two sides, where they are not on shard 0 with the positions."""
    homes, received = intent.homes, intent.begun[0].received
    sold, bought = exchange.sold, exchange.bought.currency
    sides = (
        (0, "exchange.seller_account_id", Leg(exchange.seller, "", _DEBIT, *sold)),
        (3, "exchange.buyer_account_id", Leg(exchange.buyer, "", _CREDIT, bought, received)),
    )
    return tuple(
        _Placed(homes[leg.account_id], at, field, leg)
        for at, field, leg in sides
        if homes[leg.account_id] != HOME
    )


def _moves(intent: Intent, wholes: Sequence[_Whole]) -> dict[int, list[Move]]:
    """By shard, every transfer's part there, in the order of the transfers."""
    found: dict[int, list[Move]] = {}
    for n, (begun, whole) in enumerate(zip(intent.begun, wholes, strict=True)):
        by_shard: dict[int, list[_Placed]] = {}
        for placed in whole.legs:
            by_shard.setdefault(placed.shard, []).append(placed)
        # A business fact is written once: where it is decided, if anything of it is posted there.
        is_there = intent.shard in by_shard or isinstance(begun.transfer.computed, Exchange)
        factual = intent.shard if is_there else min(by_shard)
        for shard, some in by_shard.items():
            part = _part(begun.transfer, intent.caller, shard, some, whole.rounding)
            if shard != factual:
                part = part._replace(fact_key="")
            places = tuple(each.at for each in some)
            move = Move(n, part, places, tuple(each.field for each in some))
            found.setdefault(shard, []).append(move)
    first = intent.begun[0].transfer
    if isinstance(first.computed, Exchange):
        found[HOME] = [_exchange_at_home(intent, first, first.computed)]
    return found


def _part(
    transfer: Transfer,
    caller: str,
    shard: int,
    some: Sequence[_Placed],
    rounding: Rounding | None,
) -> Transfer:
    legs = [each.leg for each in some]
    accounts = {leg.account_id for leg in legs}
    resolved = None
    if rounding is not None:
        left_over = (part for part in rounding.parts if part.account_id in accounts)
        resolved = Resolved(rounding.rule, tuple((p[0], p[1], p[2]) for p in left_over))
    return transfer._replace(
        transfer_id=part_id(transfer.transfer_id, caller, shard),
        legs=(*legs, *_through_transit(shard, legs)),
        correlation_id=transfer.correlation_id or transfer.transfer_id,
        obligation=transfer.obligation if shard == HOME else None,
        computed=resolved,
    )


def part_id(transfer_id: str, caller: str, shard: int) -> str:
    return str(derived_id(transfer_id, f"span/{caller}/part", shard))


def _through_transit(shard: int, legs: Sequence[Leg]) -> list[Leg]:
    """What balances the legs, in each currency: in pieces no larger than a leg may be."""
    taken: dict[str, int] = {}
    for leg in legs:
        minor = leg.minor if leg.direction == _DEBIT else -leg.minor
        taken[leg.currency] = taken.get(leg.currency, 0) + minor
    found: list[Leg] = []
    for currency, net in taken.items():
        direction, left = _CREDIT if net > 0 else _DEBIT, abs(net)
        while left:
            minor = min(left, MINOR_MAX)
            found.append(_in_transit(shard, direction, currency, minor))
            left -= minor
    return found


def _in_transit(shard: int, direction: int, currency: str, minor: int) -> Leg:
    return Leg(transit_of(shard, currency), "", direction, currency, minor)


def _post(intent: Intent, asks: Sequence[Ask], told: Told) -> Post:
    wholes = [_whole(intent, each.transfer, told) for each in intent.begun]
    moves = _moves(intent, wholes)
    names: dict[int, list[str]] = {}
    for ask in asks:
        names.setdefault(ask.shard, []).append(ask.name)
    postings = [
        Posting(shard, tuple(names.get(shard, ())), tuple(moves.get(shard, ())))
        for shard in sorted({*moves, *names, intent.shard})
    ]
    (own,) = (each for each in postings if each.shard == intent.shard)
    return Post(own, tuple(each for each in postings if each.shard != intent.shard))


def _exchange_at_home(intent: Intent, transfer: Transfer, exchange: Exchange) -> Move:
    """The whole of it; only that what is elsewhere comes and goes through the one in transit."""
    homes = intent.homes
    if homes[exchange.seller] != HOME:
        exchange = exchange._replace(seller=transit_of(HOME, exchange.sold.currency))
    if homes[exchange.buyer] != HOME:
        exchange = exchange._replace(buyer=transit_of(HOME, exchange.bought.currency))
    part = transfer._replace(
        transfer_id=part_id(transfer.transfer_id, intent.caller, HOME),
        correlation_id=transfer.correlation_id or transfer.transfer_id,
        computed=exchange,
    )
    return Move(0, part, tuple(range(5)), ())


class Span(NamedTuple):
    """What goes over several shards, and the one that is to decide it."""

    shard: int
    begins: tuple[BeginSpan, ...]
    is_linked: bool = False
    is_open: bool = False


def cannot_span(commands: Sequence[Command], shard_of: ShardOf) -> str:
    """Why these cannot be done over several shards; "": they can."""
    transfers = [each for each in commands if isinstance(each, Transfer)]
    if len(transfers) != len(commands):
        if len(commands) == 1:
            return "a hold and what it is for lie on different shards"
        return "a group over several shards is one of transfers"
    if len(commands) > 1 and any(each.computed is not None for each in transfers):
        return "a group over several shards is one of transfers whose amounts are given"
    if len(commands) > MEMBERS_MAX or bytes_of(commands) > PAGE_BYTES_MAX // 2:
        return f"a group over several shards is one of at most {MEMBERS_MAX} small transfers"
    for each in transfers:
        if _legs_at_most(each) > LEGS_MAX:
            return f"with what goes through transit, these are more than {LEGS_MAX} legs"
        if each.obligation is not None and not _is_at_home(each, shard_of):
            return "a bank's window is on shard 0, and none of these accounts is"
    return ""


def _is_at_home(transfer: Transfer, shard_of: ShardOf) -> bool:
    if any(leg.bank_id for leg in transfer.legs):
        return True
    return any(shard_of(each) == HOME for each in accounts_of(transfer))


def _legs_at_most(transfer: Transfer) -> int:
    """At least one is elsewhere; those through transit come to the others."""
    if isinstance(transfer.computed, Template):
        return len(transfer.computed.sources) + len(transfer.computed.parts)
    currencies = {leg.currency for leg in transfer.legs}
    pieces = sum(leg.minor for leg in transfer.legs) // MINOR_MAX + 1
    return len(transfer.legs) - 1 + len(currencies) * pieces


def span_of(item: Item, caller: Caller, shard_of: ShardOf, received: int) -> Span:
    """Shard 0 decides where it has a part: its windows and quotes are not set aside."""
    commands = item.commands if isinstance(item, Linked) else (item,)
    transfers = [each for each in commands if isinstance(each, Transfer)]
    homes = {
        account_id: shard_of(account_id)
        for each in transfers
        for account_id in accounts_of(each)
        if account_id
    }
    first = transfers[0]
    span_id = str(derived_id(first.transfer_id, f"span/{caller.name}"))
    begins = tuple(
        BeginSpan(
            each.transfer_id,
            span_id,
            each,
            tuple(Home(*home) for home in homes.items()) if each is first else (),
            tuple(sorted(map(int, caller.posts_to))),
            caller.backdate_days,
            caller.ahead_days,
            received,
        )
        for each in transfers
    )
    shard = _deciding(first, homes, {leg.bank_id for each in transfers for leg in each.legs})
    is_open = isinstance(item, Linked) and item.is_open
    return Span(shard, begins, isinstance(item, Linked), is_open)


def _deciding(first: Transfer, homes: Mapping[str, int], banks: set[str]) -> int:
    match first.computed:
        case Balancing(at):
            # The other one: how much it is, is known when the means for it are set aside.
            return homes[first.legs[1 - at].account_id]
        case Exchange():
            return HOME
        case _:
            if HOME in homes.values() or any(banks):
                return HOME
            return next(iter(homes.values()))
