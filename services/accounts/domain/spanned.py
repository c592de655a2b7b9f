"""What the caller of a transfer over shards is told: as if it were posted in one place."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from services.accounts.domain.answers import Answer
from services.accounts.domain.entries import (
    Entry,
    PostedLeg,
    Rounding,
    SpanEnded,
    TransferPosted,
)
from services.accounts.domain.refusals import Reason, Refusal
from services.accounts.domain.sharding import transit_of
from services.accounts.domain.spanning import Intent, Move

_LEG = re.compile(r"legs\[(\d+)](\..*)")


class Posted(NamedTuple):
    """A part, as it stands on its shard."""

    shard: int
    move: Move
    entry: Entry


def answers_of(
    intent: Intent, ended: SpanEnded, posted: Sequence[Posted], position: int, *, is_replayed: bool
) -> list[Answer]:
    """One for each of its transfers; by the position of its end all parts of it stand."""
    if ended.reason:
        return [
            Answer(position, is_replayed, refusal=_refusal(ended, n))
            for n in range(len(intent.begun))
        ]
    return [
        Answer(position, is_replayed, _whole(intent, n, [p for p in posted if p.move.at == n]))
        for n in range(len(intent.begun))
    ]


def _refusal(ended: SpanEnded, at: int) -> Refusal:
    if at != ended.at:
        text = f"item {ended.at + 1} of the group: {ended.reason}"
        return Refusal(Reason.LINKED_FAILED.name, (), text)
    return Refusal(ended.reason, (ended.field,) if ended.field else (), ended.description)


def _whole(intent: Intent, at: int, parts: Sequence[Posted]) -> Entry:
    """The parts as one entry, under the caller's id: its own legs and accounts alone."""
    asked = intent.begun[at].transfer
    legs: dict[int, PostedLeg] = {}
    facts: list[TransferPosted] = []
    for part in parts:
        fact = part.entry.fact
        if isinstance(fact, TransferPosted):
            facts.append(fact)
            legs |= dict(zip(part.move.legs, fact.legs, strict=False))
    transits = {transit_of(part.shard, leg.currency) for part in parts for leg in legs.values()}
    told = [fact.rounding for fact in facts if fact.rounding is not None]
    rounding = (
        Rounding(told[0].rule, tuple(p for each in told for p in each.parts)) if told else None
    )
    fact = TransferPosted(
        tuple(legs[n] for n in sorted(legs)),
        asked.purpose,
        asked.fact_key,
        *(asked.corrects or ("", "")),
        rounding,
        next((each.quote_id for each in facts if each.quote_id), ""),
    )
    obligations = [part.entry.obligation for part in parts if part.entry.obligation is not None]
    return parts[0].entry._replace(
        fact=fact,
        command_id=asked.transfer_id,
        caller=intent.caller,
        correlation_id=asked.correlation_id,
        obligation=obligations[0] if obligations else None,
        balances=tuple(
            balance
            for part in parts
            for balance in part.entry.balances
            if balance.account_id not in transits
        ),
        group_id=intent.begun[0].transfer.transfer_id if len(intent.begun) > 1 else "",
        is_past_day_negative=any(part.entry.is_past_day_negative for part in parts),
    )


def as_known(refusal: Refusal, fields: Sequence[str]) -> Refusal:
    """A part's refusal with its leg as the caller knows it: `fields` are those of its accounts."""
    found = _LEG.fullmatch(refusal.fields[0]) if refusal.fields else None
    if found is None or int(found[1]) >= len(fields):
        return refusal
    known = fields[int(found[1])]
    if known.startswith("legs["):
        known = f"{known.partition('.')[0]}{found[2]}"
    return refusal._replace(fields=(known,) if known else ())
