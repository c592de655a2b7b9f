"""Advice's own rows: who is to be reviewed, which proposals are open, what feeds brought."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

from libs.event_store import StoredEvent
from libs.read_model import Added, Erase, Patch, Put, ReadModel, Write
from services.recommendations.codec import any_codec
from services.recommendations.domain import feed, proposal, release
from services.recommendations.domain import investor_lifecycle as investor
from services.recommendations.domain.facts import Kind
from services.recommendations.domain.outcome import DAY_US, SPANS_DAYS, first_day, next_span

metadata = MetaData()

investors = Table(
    "investors",
    metadata,
    Column("investor_id", Text, primary_key=True),
    # When the class ends; null: none is in force.
    Column("review_us", BigInteger),
    Column("is_forgotten", Boolean, nullable=False),
    # What funds are to be told of, and the position it is of.
    Column("told_class", Text, nullable=False),
    Column("told_until_us", BigInteger, nullable=False),
    Column("questionnaire_version", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("investors_by_review", investors.c.review_us)
# What happened to each, so that an answer need not ask the store: as stored where it says who may
# have which advice; of all else that it happened.
histories = Table(
    "investor_events",
    metadata,
    Column("investor_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)
wallets = Table(
    "investor_wallets",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("investor_id", Text, nullable=False),
)
Index("wallets_of_investor", wallets.c.investor_id)
proposals = Table(
    "proposals",
    metadata,
    Column("proposal_id", Text, primary_key=True),
    Column("investor_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    # The start of its business date: spans of its outcome run from it.
    Column("business_us", BigInteger, nullable=False),
    Column("valid_until_us", BigInteger, nullable=False),
    Column("orders_open", Integer, nullable=False),
    # Spans of its outcome that are measured, and when the next is due; null: nobody followed it,
    # or all are.
    Column("spans_measured", Integer, nullable=False),
    Column("outcome_due_us", BigInteger),
    Column("position", BigInteger, nullable=False),
)
Index("proposals_by_outcome", proposals.c.outcome_due_us)
Index("proposals_of_investor", proposals.c.investor_id, proposals.c.position)
Index("proposals_by_status", proposals.c.status, proposals.c.valid_until_us)
# Items of proposals that are open, which a fund's change makes expire, and of those that were
# dismissed, which is the investor's word about their funds.
proposal_items = Table(
    "proposal_items",
    metadata,
    Column("proposal_id", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("highest_level", Integer, nullable=False),
)
Index("items_of_fund", proposal_items.c.code)
own_facts = Table(
    "own_facts",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("proposal_id", Text, nullable=False),
    Column("investor_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("business_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("own_facts_of_investor", own_facts.c.investor_id)
Index("own_facts_of_proposal", own_facts.c.proposal_id)
prices = Table(
    "feed_prices",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("date", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("price", Text, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
# Position of the newest batch with a price of each fund: what is made of its prices is kept by it.
priced = Table(
    "feed_priced",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
Index("feed_priced_by_position", priced.c.position)
scores = Table(
    "feed_scores",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("factor", Text, primary_key=True),
    Column("date", Text, nullable=False),
    Column("score", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)
views = Table(
    "feed_views",
    metadata,
    Column("source", Text, primary_key=True),
    Column("view_id", Text, primary_key=True),
    Column("view", Text, nullable=False),
    Column("valid_until_date", Text, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
fund_facts = Table(
    "feed_fund_facts",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("manager", Text, nullable=False),
    Column("theme", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("inception_date", Text, nullable=False),
    Column("yearly_fee_millionths", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
# The theme of a fund as feeds told it, each time: what was known at a position is read from it.
themes = Table(
    "feed_themes",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("theme", Text, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
# Position of the newest batch of each kind: who keeps what feeds brought looks here first.
marks = Table(
    "feed_marks",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
quarantined = Table(
    "feed_quarantined",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("quarantined_by_position", quarantined.c.position)

shadows = Table(
    "shadows",
    metadata,
    Column("version", Text, primary_key=True),
    Column("answered", BigInteger, nullable=False),
    # Sum over the answers; divided by their number it is the mean.
    Column("overlap_millionths", BigInteger, nullable=False),
)

INVESTOR: Final = "investor-"
PROPOSAL: Final = "proposal-"
FEED: Final = "feed_batch-"
RELEASE: Final = "release-"
PREFIXES: Final = (INVESTOR, PROPOSAL, FEED, RELEASE)


_ISSUED: Final = "hefu.recommendations.v1.RecommendationIssued"


def project(stored: StoredEvent) -> Iterator[Write]:
    if stored.type == _ISSUED:
        # Thousands of refused funds are in it that no row needs: it is read as plain JSON.
        yield from _issued(stored, orjson.loads(stored.data))
        return
    event = any_codec.decode(stored.type, stored.data)
    if stored.stream.startswith(INVESTOR):
        yield _history(stored, event)
        yield from _investor(stored, event)
    elif stored.stream.startswith(PROPOSAL):
        yield from _proposal(stored, event)
    elif stored.stream.startswith(FEED):
        yield from _feed(stored, event)
    elif isinstance(event, release.ShadowSet) and event.version:
        yield Put(shadows, {"version": event.version, "answered": 0, "overlap_millionths": 0})


def _history(stored: StoredEvent, event: object) -> Write:
    row = {
        "investor_id": stored.stream.removeprefix(INVESTOR),
        "revision": stored.revision,
        "type": stored.type,
        "data": "" if isinstance(event, _SAYS_NOTHING) else stored.data.decode(),
    }
    return Put(histories, row)


# Sealed answers are long, and neither they nor warnings decide about advice.
_SAYS_NOTHING: Final = (investor.Submitted, investor.WarningShown, investor.WarningAcknowledged)


def _investor(stored: StoredEvent, event: object) -> Iterator[Write]:
    investor_id = stored.stream.removeprefix(INVESTOR)
    key = {"investor_id": investor_id}
    at = {"position": stored.position}
    match event:
        case investor.Registered(account_ids=account_ids):
            if stored.revision == 0:
                nothing = {"told_class": "", "told_until_us": 0, "questionnaire_version": ""}
                yield Put(investors, {**key, **at, **nothing, "is_forgotten": False})
            yield Erase(wallets, key)
            for account_id in account_ids:
                yield Put(wallets, {**key, "account_id": account_id})
        case investor.ClassAssigned(found, _, until_us, version, _):
            told = {"told_class": found.name, "told_until_us": until_us}
            more = {"review_us": until_us, "questionnaire_version": version}
            yield Patch(investors, key, {**at, **told, **more})
        case investor.ClassExpired(expired_us=expired_us):
            yield Patch(investors, key, {**at, "review_us": None, "told_until_us": expired_us})
        case investor.ProfessionalRecognised(valid_until_us=until_us):
            told = {"told_class": "PROFESSIONAL", "told_until_us": until_us}
            yield Patch(investors, key, {**at, **told})
        case investor.ProfessionalWithdrawn(withdrawn_us=withdrawn_us):
            yield Patch(investors, key, {**at, "told_until_us": withdrawn_us})
        case investor.Forgotten():
            yield Patch(investors, key, {**at, "is_forgotten": True, "review_us": None})
        case investor.WarningShown(fund_code=code, shown_us=shown_us):
            yield _fact(stored, (investor_id, "", code), Kind.WARNED, shown_us)


def _proposal(stored: StoredEvent, event: object) -> Iterator[Write]:
    key = {"proposal_id": stored.stream.removeprefix(PROPOSAL)}
    match event:
        case proposal.ShadowAnswered(version=version, overlap_millionths=overlap):
            counts = {"answered": Added(1), "overlap_millionths": Added(overlap)}
            yield Patch(shadows, {"version": version}, counts)
        case proposal.ItemOpened(fund_code=code, opened_us=at_us):
            yield _fact(stored, ("", key["proposal_id"], code), Kind.OPENED, at_us)
        case proposal.Dismissed(dismissed_us=at_us):
            yield _fact(stored, ("", key["proposal_id"], ""), Kind.DISMISSED, at_us)
            yield Patch(proposals, key, {"status": "DISMISSED"})
        case proposal.Expired():
            yield from _closed(key, "EXPIRED")
        case proposal.Accepted(items=items):
            yield from _closed(key, "ACCEPTED")
            followed = {"orders_open": len(items), "outcome_due_us": _due(0)}
            yield Patch(proposals, key, followed)
        case proposal.OutcomeMeasured(days=days):
            done = SPANS_DAYS.index(days) + 1
            yield Patch(proposals, key, {"spans_measured": done, "outcome_due_us": _due(done)})
        case proposal.OrderLinked():
            yield Patch(proposals, key, {"orders_open": proposals.c.orders_open - 1})


def _issued(stored: StoredEvent, issued: Mapping[str, Any]) -> Iterator[Write]:
    key = {"proposal_id": issued["proposal_id"]}
    row = {
        **key,
        "investor_id": issued["investor_id"],
        "purpose": str(issued["purpose"]).removeprefix("PURPOSE_"),
        "status": "ISSUED",
        "strategy": issued.get("strategy", ""),
        "issued_us": int(issued["as_of_us"]),
        "business_us": first_day(issued.get("as_of_date", ""), int(issued["as_of_us"])) * DAY_US,
        "valid_until_us": int(issued["valid_until_us"]),
        "orders_open": 0,
        "spans_measured": 0,
        "position": stored.position,
    }
    yield Put(proposals, row)
    highest = int(str(issued["suitability"]["highest_level"]).removeprefix("RISK_LEVEL_R"))
    for item in issued.get("items", ()):
        yield Put(proposal_items, {**key, "code": item["fund_code"], "highest_level": highest})


def _due(measured: int) -> object:
    """From the business date of the advice, which stands in the same row."""
    span = next_span(measured)
    return None if span is None else proposals.c.business_us + span * DAY_US


def _closed(key: dict[str, str], status: str) -> Iterator[Write]:
    yield Patch(proposals, key, {"status": status})
    yield Erase(proposal_items, key)


def _fact(stored: StoredEvent, of: tuple[str, str, str], kind: Kind, business_us: int) -> Write:
    investor_id, proposal_id, code = of
    row = {
        "event_id": str(stored.id),
        "proposal_id": proposal_id,
        "investor_id": investor_id,
        "code": code,
        "kind": kind.value,
        "business_us": business_us,
        "recorded_us": stored.recorded_us,
        "position": stored.position,
    }
    return Put(own_facts, row)


def _feed(stored: StoredEvent, event: object) -> Iterator[Write]:
    if not isinstance(
        event, feed.PricesTaken | feed.ScoresTaken | feed.ViewsTaken | feed.FactsTaken
    ):
        return
    at: dict[str, object] = {"position": stored.position}
    yield Put(marks, {"kind": type(event).__name__, **at})
    known: dict[str, object] = {**at, "recorded_us": stored.recorded_us}
    match event:
        case feed.PricesTaken(prices=found):
            for each in found:
                at_day = {"instrument": each.instrument, "date": each.date}
                yield Put(prices, {**at_day, "price": each.price, **known})
            for name in sorted({each.instrument for each in found}):
                yield Put(priced, {"instrument": name, **at})
        case feed.ScoresTaken(scores=told):
            for score in told:
                where = {"instrument": score.instrument, "factor": score.factor}
                yield Put(scores, {**where, "date": score.date, "score": score.score, **at})
        case feed.ViewsTaken(views=held):
            for view in held:
                body: dict[str, object] = {
                    "legs": [[leg.instrument, leg.weight] for leg in view.legs],
                    "yearly_return": view.yearly_return,
                    "confidence": view.confidence,
                }
                told_view = {
                    "source": event.source,
                    "view_id": view.view_id,
                    "view": orjson.dumps(body).decode(),
                    "valid_until_date": view.valid_until_date,
                }
                yield Put(views, {**told_view, **known})
        case feed.FactsTaken(facts=facts):
            for fact in facts:
                yield Put(themes, {"instrument": fact.instrument, "theme": fact.theme, **known})
                yield Put(
                    fund_facts,
                    {
                        "instrument": fact.instrument,
                        "manager": fact.manager,
                        "theme": fact.theme,
                        "family": fact.family,
                        "inception_date": fact.inception_date,
                        "yearly_fee_millionths": fact.yearly_fee_millionths,
                        **at,
                    },
                )
    for item in event.quarantined:
        apart = {
            "batch_id": event.batch_id,
            "ordinal": item.ordinal,
            "source": event.source,
            "instrument": item.instrument,
            "value": item.value,
            "reason": item.reason.name,
            "description": item.description,
            "taken_us": event.taken_us,
        }
        yield Put(quarantined, {**apart, **at})


model = ReadModel("advice", 9, "recommendations", PREFIXES, metadata, project)
