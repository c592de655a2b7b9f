"""Advice, always in this order: eligible, constructed or ranked, explained, logged, answered."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias
from uuid import UUID

from libs.clock import Clock
from libs.decider import Cause, FieldViolation, Rejected, Streams, Transacted
from libs.projection import Projection
from libs.read_model import Database
from libs.suitability import InvestorClass, highest_level
from services.recommendations import known_facts, queries
from services.recommendations.asking import AskedList, AskedPortfolio, Reason
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.catalogue import Catalogue, FundSet
from services.recommendations.domain.constraints import CONSTRAINTS
from services.recommendations.domain.eligibility import (
    DAYS_OF_MONTH,
    Asked,
    Holdings,
    Judged,
    judge,
    whole_refusal,
)
from services.recommendations.domain.facts import (
    DAY_US,
    Fact,
    Features,
    bought_since,
    known,
    planned,
    shares_of,
)
from services.recommendations.domain.features import (
    FEATURE_SET,
    digest_of_forms,
    in_form,
    investor_features,
    pair_features,
)
from services.recommendations.domain.proposal import (
    Candidate,
    Expected,
    Issue,
    Issued,
    Item,
    Positions,
    Purpose,
    Snapshot,
)
from services.recommendations.domain.ranking import (
    ListRules,
    Question,
    Ranked,
    Ranker,
    rank,
)
from services.recommendations.domain.release import Slot
from services.recommendations.domain.themes import theme_shares
from services.recommendations.domain.together import (
    Moves,
    Together,
    moves_by_currency,
    together,
)
from services.recommendations.explaining import digest_of, item_hash, of_listed
from services.recommendations.investors import Investors, of_rows
from services.recommendations.releases import Releases
from services.recommendations.shelf import Shelf

ProposalStreams: TypeAlias = Streams[what.Command, what.State, what.Event]
Issuing: TypeAlias = Transacted[what.State, what.Event]

MILLION: Final = 1_000_000
VALID_FOR_US: Final = DAY_US
HOUSE: Final = "house@1"
# Features of an investor and a fund that have nothing to do with each other.
STRANGERS: Final = in_form(pair_features((), 0, ""))
# Answers in the shadow that may be under way at once; more are not given.
SHADOWS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Known:
    """One investor, at one moment: what every kind of advice starts from."""

    investor: life.Investor
    revision: int
    investor_class: InvestorClass
    facts: Sequence[Fact]
    holdings: Holdings
    upto: known_facts.Upto
    catalogue: Catalogue
    features: Features
    # Minor units of ten thousand shares of the funds there are facts of, and their currencies.
    prices: Mapping[str, int]
    currencies: Mapping[str, str]
    # How what is held of each currency moved, as it is held now.
    moves: Mapping[str, Moves]

    @property
    def now_us(self) -> int:
        return self.upto.at_us

    @property
    def horizon_days(self) -> int:
        return self.investor.preferences.horizon_months * DAYS_OF_MONTH


def anybodys(_: life.Investor) -> bool:
    """Whoever asks may."""
    return True


@dataclass
class Advice:
    """Lists of funds; and what lists and portfolios have in common."""

    investors: Investors
    proposals: ProposalStreams
    database: Database
    own: Projection
    payments: Projection
    shelf: Shelf
    releases: Releases
    clock: Clock
    rules: ListRules = field(default_factory=ListRules)
    _shadows: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _under_way: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer: what may come later gives way."""
        return self._under_way > 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While this lasts somebody waits."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def list_funds(
        self, asked: AskedList, is_theirs: Callable[[life.Investor], bool] = anybodys
    ) -> Issuing:
        """Funds ranked for an investor. Raises `Rejected`: then nothing is recorded.

        `is_theirs`: whether who asks may ask about the investor.
        """
        with self.at_work():
            return await self._list_funds(asked, is_theirs)

    async def _list_funds(
        self, asked: AskedList, is_theirs: Callable[[life.Investor], bool]
    ) -> Issuing:
        about = await self.known(asked.investor_id, is_theirs)
        amount = asked.amount
        judged = judge(
            about.catalogue,
            about.investor,
            about.holdings,
            Asked(None if amount is None else amount.minor, amount.currency if amount else ""),
            about.now_us,
        )
        refuse_nothing(about.catalogue, judged)
        ranker = await self._ranker()
        # Funds of one currency alone are eligible: they are held beside what is held of it.
        currency = (amount.currency if amount else "") or about.investor.preferences.currency
        moved = about.moves.get(currency, Moves())
        less_alike = self.shelf.diversifiers.beside(moved, about.catalogue, judged.eligible)
        question = question_of(about, less_alike)
        rules = replace(self.rules, size=asked.size or self.rules.size)
        seed = seed_of(asked.proposal_id)
        ranked, candidates = rank(about.catalogue, ranker, question, judged.eligible, rules, seed)
        items = tuple(listed(about.catalogue, ranker, question, each) for each in ranked)
        draft = await self.draft(about, judged, [item.fund_code for item in items])
        done = await self.issue(
            replace(
                draft,
                proposal_id=asked.proposal_id,
                purpose=Purpose.FUND_LIST,
                candidates=tuple(candidate_of(each) for each in candidates),
                items=items,
                strategy="list",
                strategy_version=_version_of(ranker),
                seed=seed,
                amount=amount,
                item_hash=item_hash(items),
                terms_digest=digest_of(asked.terms),
                caller=asked.caller,
            )
        )
        if done.events:
            self._shadow(about, question, judged.eligible, rules, done)
        return done

    async def known(
        self, investor_id: str, is_theirs: Callable[[life.Investor], bool] = anybodys
    ) -> Known:
        """Raises `Rejected` where there can be no advice for this investor."""
        now_us, catalogue = self.clock(), self.shelf.catalogue
        upto = known_facts.Upto(
            *(self.own.position, self.shelf.funds_position, self.payments.position, now_us),
            feeds=catalogue.fed_at,
        )
        state, revision, facts, moves = await self._asked_of(investor_id, upto, catalogue)
        if isinstance(state, life.Unknown) or not is_theirs(state):
            raise Rejected(Reason.INVESTOR_NOT_FOUND)
        if refusal := whole_refusal(state, now_us):
            raise Rejected(Reason[refusal])
        found = life.class_at(state, now_us)
        if found is None:
            raise AssertionError("an investor without a class was refused before")
        shares = shares_of(known(facts, now_us))
        prices, levels, currencies = _priced(catalogue, {fact.fund_code for fact in facts})
        values = {code: count * prices.get(code, 0) // 10_000 for code, count in shares.items()}
        held = Holdings(
            {code: value for code, value in values.items() if value > 0},
            bought_since(facts, now_us - now_us % DAY_US),
        )
        features = investor_features(facts, now_us, prices, levels, moves, currencies)
        return Known(
            state,
            revision,
            found,
            facts,
            held,
            upto,
            catalogue,
            features,
            prices,
            currencies,
            moves_by_currency(held.value_minor, currencies, moves),
        )

    async def _asked_of(
        self, investor_id: str, upto: known_facts.Upto, catalogue: Catalogue
    ) -> tuple[life.State, int, Sequence[Fact], Mapping[str, Moves]]:
        """State and revision of an investor, facts, and moves of what is held.

        Mostly the rows tell all. Else the store and the rows are asked at once.
        """
        rows = self.shelf.known_of(investor_id, upto, catalogue)
        if self.investors.are_in_rows(investor_id):
            found, moves = await rows
            state, revision = of_rows(found.events)
            if not isinstance(state, life.Unknown):
                return state, revision, found.facts, moves
            loaded = await self.investors.load(investor_id)
        else:
            loaded, (found, moves) = await asyncio.gather(self.investors.load(investor_id), rows)
        return loaded.state, loaded.revision, found.facts, moves

    async def draft(self, about: Known, judged: Judged, codes: Sequence[str]) -> Issued:
        """What every recommendation says; the rest is replaced by who issues it."""
        forms = {"investor": in_form(about.features)}
        moves = await self.shelf.moves_of(codes, about.catalogue) if about.moves else {}
        told = {fact.fund_code for fact in about.facts}
        for code, features in (await self.shelf.features_of(codes, about.catalogue)).items():
            fund = about.catalogue.funds[about.catalogue.index[code]]
            own = about.moves.get(fund.currency) if code in moves else None
            alike = None if own is None else together(own, moves[code]).correlation
            forms[f"fund:{code}"] = self.shelf.form_of(code, features)
            forms[f"pair:{code}"] = (
                STRANGERS
                if alike is None and code not in told
                else in_form(pair_features(about.facts, about.now_us, code, alike))
            )
        valid_us = min(about.now_us + VALID_FOR_US, life.valid_until_us(about.investor))
        profile = about.investor.profile
        return Issued(
            proposal_id="",
            investor_id=about.investor.investor_id,
            purpose=Purpose.FUND_LIST,
            as_of_us=about.now_us,
            positions=Positions(
                *(about.upto.own, about.upto.funds, about.upto.payments, about.upto.feeds)
            ),
            candidates=(),
            refused=tuple(
                (code, about.catalogue.codes_of(funds)) for code, funds in judged.refused.items()
            ),
            items=(),
            strategy="",
            strategy_version="",
            constraint_set=CONSTRAINTS.version,
            fallbacks=(),
            feature_hash=digest_of_forms(forms),
            feature_set=FEATURE_SET,
            features=tuple(sorted(about.features.items())),
            suitability=Snapshot(
                about.investor_class,
                highest_level(about.investor_class),
                "" if profile is None else profile.questionnaire_version,
                life.valid_until_us(about.investor),
                about.revision,
            ),
            seed=0,
            valid_until_us=valid_us,
            amount=None,
            binding=(),
            expected=Expected(),
            runner_up=None,
            item_hash="",
            terms_digest="",
            caller="",
            as_of_date=queries.date_of(about.catalogue.today),
        )

    async def issue(self, issued: Issued) -> Issuing:
        """Written before it is answered: who retries with the same id finds it."""
        id_ = issued.proposal_id
        cause = Cause(f"{id_}/ISSUE", correlation_id=id_, actor=issued.caller)
        return await self.proposals.transact(id_, Issue(issued), cause, is_new=True)

    async def replayed(self, asked: AskedList | AskedPortfolio) -> Issuing | None:
        """What was issued under this id before. Raises `Rejected` where it was something else."""
        loaded = await self.proposals.load(asked.proposal_id)
        if isinstance(loaded.state, what.Absent):
            return None
        what.check_same(loaded.state.issued, asked.caller, digest_of(asked.terms))
        return loaded

    async def _ranker(self) -> Ranker:
        released = await self.releases.of(Slot.RANKER)
        found = self.shelf.rankers.get(released.version)
        # A version whose artifact is gone, broken or another than was promoted serves nobody.
        if found is None or found.artifact_hash != released.artifact_hash:
            return self.shelf.rankers[HOUSE]
        return found

    def _shadow(
        self,
        about: Known,
        question: Question,
        eligible: FundSet,
        rules: ListRules,
        done: Issuing,
    ) -> None:
        if len(self._shadows) >= SHADOWS_MAX:
            return
        task = asyncio.create_task(self._answer_in_shadow(about, question, eligible, rules, done))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _answer_in_shadow(
        self,
        about: Known,
        question: Question,
        eligible: FundSet,
        rules: ListRules,
        done: Issuing,
    ) -> None:
        """The ranking in the shadow answers the same question; nobody sees it."""
        released = await self.releases.of(Slot.RANKER)
        ranker = self.shelf.rankers.get(released.shadow_version)
        if ranker is None or isinstance(done.state, what.Absent):
            return
        issued = done.state.issued
        ranked, _ = rank(about.catalogue, ranker, question, eligible, rules, issued.seed)
        items = tuple(listed(about.catalogue, ranker, question, each) for each in ranked)
        shown = {item.fund_code for item in issued.items}
        both = sum(item.fund_code in shown for item in items)
        overlap = both * MILLION // max(len(shown), 1)
        answered = what.ShadowAnswered(ranker.version, items, item_hash(items), overlap)
        id_ = issued.proposal_id
        cause = Cause(f"{id_}/SHADOW/{ranker.version}", correlation_id=id_, actor=issued.caller)
        await self.proposals.transact(id_, what.AnswerInShadow(answered), cause)

    async def close(self) -> None:
        """Wait for what is answered in the shadow."""
        await asyncio.gather(*self._shadows, return_exceptions=True)


def refuse_nothing(catalogue: Catalogue, judged: Judged) -> None:
    """Raise where no fund is left, with how many each check took away."""
    if judged.eligible:
        return
    if not catalogue.funds:
        raise Rejected(Reason.CATALOGUE_EMPTY, "no fund is known yet")
    told = [
        FieldViolation(code, f"refuses {len(catalogue.codes_of(funds))} funds")
        for code, funds in judged.refused.items()
    ]
    raise Rejected(Reason.NOTHING_ELIGIBLE, "no fund passes every check", told)


def question_of(about: Known, less_alike: Mapping[str, Together]) -> Question:
    wanted = about.investor.preferences
    target, holdings = wanted.target_minor, about.holdings
    reached = holdings.in_currency(about.catalogue, wanted.currency).total_minor if target else 0
    return Question(
        about.investor.investor_id,
        int(about.investor_class),
        tuple(sorted(about.holdings.value_minor)),
        about.horizon_days,
        wanted.wanted_themes,
        planned(known(about.facts, about.now_us)),
        max(target - reached, 0),
        less_alike,
        theme_shares(about.facts, about.now_us, about.currencies),
    )


def listed(catalogue: Catalogue, ranker: Ranker, question: Question, each: Ranked) -> Item:
    place = catalogue.index[each.code]
    fund = catalogue.funds[place]
    return Item(
        each.code,
        fund.name,
        fund.level,
        score_millionths=round(each.score * MILLION),
        propensity_millionths=round(each.propensity * MILLION),
        yearly_fee_millionths=catalogue.fee_millionths(place, question.horizon_days),
        reasons=of_listed(catalogue, ranker, question, each),
    )


def candidate_of(each: Ranked) -> Candidate:
    sources = tuple((name, round(score * MILLION)) for name, score in sorted(each.sources.items()))
    return Candidate(each.code, round(each.score * MILLION), sources)


def seed_of(proposal_id: str) -> int:
    """The random bits of the id: chosen by the caller, the same for ever."""
    return UUID(proposal_id).int & (1 << 62) - 1


def _version_of(ranker: Ranker) -> str:
    return f"{ranker.version}:{ranker.artifact_hash}" if ranker.artifact_hash else ranker.version


def _priced(
    catalogue: Catalogue, codes: set[str]
) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, str]]:
    """Minor units of ten thousand shares, levels and currencies of an investor's funds."""
    funds = [fund for code in codes if (fund := catalogue.find(code)) is not None]
    return (
        {fund.code: fund.price_of_10k for fund in funds},
        {fund.code: int(fund.level) for fund in funds},
        {fund.code: fund.currency for fund in funds},
    )
