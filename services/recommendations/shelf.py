"""What every answer stands on, kept ready: the catalogue, the crowd, and the rankings loaded."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, TypeAlias, TypeVar

import structlog
from sqlalchemy import Connection

from libs.clock import Clock
from libs.projection import Projection
from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations import known_facts, known_funds, queries
from services.recommendations.construction.problem import Quotes
from services.recommendations.construction.quoting import packed
from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.eligibility import prepare
from services.recommendations.domain.facts import DAY_US, Features, Kind
from services.recommendations.domain.features import fund_features, in_form
from services.recommendations.domain.ranking import Crowd, CrowdRanker, Ranker, neighbours_of
from services.recommendations.domain.together import Moves
from services.recommendations.ranking.diversifying import Diversifiers, widely_bought

# Rankings beside the house's own, made anew for each catalogue: (catalogue, crowd) -> rankings.
Loader: TypeAlias = Callable[[Catalogue, Crowd], Sequence[Ranker]]

T = TypeVar("T")
# Positions of the newest price of a fund's own, and of a feed.
At: TypeAlias = tuple[int, int]

LOOK_EVERY_S: Final = 0.25
CROWD_EVERY_S: Final = 60.0
QUOTED_DAYS: Final = 1_000
# More purchases than these are counted by an artifact, not while somebody waits.
BASKET_ROWS_MAX: Final = 200_000
HALF_LIFE_DAYS: Final = 90
FEATURES_KEPT: Final = 20_000
# Funds whose prices are kept in memory, about 12 kB each.
QUOTES_KEPT: Final = 5_000
# Funds whose moves are kept, about 12 kB each; and those that are read ahead at once.
MOVES_KEPT: Final = 5_000
AT_ONCE: Final = 10

logger = structlog.get_logger()


def no_more(_catalogue: Catalogue, _crowd: Crowd) -> Sequence[Ranker]:
    """Nothing beside the house's own ranking."""
    return ()


def no_news() -> bool:
    return False


@dataclass
class Shelf:
    """Refreshed when the rows behind it have moved; what is answered says up to where."""

    database: Database
    funds: Projection
    own: Projection
    clock: Clock
    follows_market: bool = False
    load: Loader = no_more
    # Whether there are rankings that `load` has not brought yet.
    has_news: Callable[[], bool] = no_news
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(()))
    crowd: Crowd = field(default_factory=Crowd)
    rankers: Mapping[str, Ranker] = field(default_factory=dict)
    has_funds: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    # Positions that the catalogue was read at.
    funds_position: int = -1
    own_position: int = -1
    marks: queries.Marks = field(default_factory=lambda: queries.Marks(-1, -1, -1))
    _day: int = -1
    _house: CrowdRanker | None = field(default=None, repr=False)
    _read: queries.Read | None = field(default=None, repr=False)
    diversifiers: Diversifiers = field(default_factory=Diversifiers, repr=False)
    # By fund, and the positions of the prices they are made of.
    _features: dict[str, tuple[At, Features]] = field(default_factory=dict, repr=False)
    _forms: dict[str, tuple[Features, str]] = field(default_factory=dict, repr=False)
    _moves: dict[str, tuple[At, Moves]] = field(default_factory=dict, repr=False)
    # The catalogue whose prices were read ahead.
    _read_for: Catalogue | None = field(default=None, repr=False)
    # What the diversifiers were made of: funds and the positions of their newest prices.
    _diverse: Sequence[tuple[str, At]] = field(default=(), repr=False)
    _quotes: dict[tuple[str, At, bool], Quotes] = field(default_factory=dict, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def run(self) -> None:
        """For ever: look whether anything moved, and count the crowd now and then."""
        loop = asyncio.get_running_loop()
        counted_at_s = loop.time()
        while True:
            await self.refresh()
            await self.read_ahead()
            if await asyncio.to_thread(self.has_news):
                async with self._turn:
                    await self._put_up(self.catalogue, self.crowd)
            if loop.time() - counted_at_s >= CROWD_EVERY_S:
                await self.count()
                counted_at_s = loop.time()
            await asyncio.sleep(LOOK_EVERY_S)

    async def refresh(self) -> None:
        """Read of the catalogue what may have changed."""
        async with self._turn:
            day = self.clock() // DAY_US
            at = self.funds.position, self.own.position, day
            if at == (self.funds_position, self.own_position, self._day):
                return
            marks = await self.database.read(queries.marks)
            if marks != self.marks or day != self._day:
                await self._reload()
            # The rows may have moved on while they were read: what was read is known.
            funds_position = max(at[0], self.marks.funds)
            self.funds_position, self.own_position, self._day = funds_position, at[1], day

    async def _reload(self) -> None:
        now_us, before = self.clock(), self._read
        self._read = await self.database.read(
            lambda c: queries.catalogue(
                c, now_us, follows_market=self.follows_market, before=before
            )
        )
        await self._put_up(self._read.catalogue, self.crowd)
        self.marks = self._read.marks
        if self.catalogue.funds:
            self.has_funds.set()

    async def count(self) -> None:
        """Count purchases anew: popularity by band, what is bought together, what moves how."""
        rows, carts = await self.database.read(
            lambda c: (queries.bought(c), queries.baskets(c, BASKET_ROWS_MAX))
        )
        # A long count, which lists must not wait for.
        crowd = await asyncio.to_thread(crowd_of, rows, carts, self.clock() // DAY_US)
        async with self._turn:
            await self._put_up(self.catalogue, crowd)
        await self._diversify()

    async def _diversify(self) -> None:
        """Funds that lists look among for what moves otherwise; few at a time, others wait."""
        catalogue = self.catalogue
        codes = await asyncio.to_thread(widely_bought, catalogue, self.crowd)
        made_of = [(code, catalogue.made_of(code)) for code in codes]
        if made_of == self._diverse:
            return
        found: dict[str, Moves] = {}
        for start in range(0, len(codes), AT_ONCE):
            found |= await self.moves_of(codes[start : start + AT_ONCE], catalogue)
        self.diversifiers = await asyncio.to_thread(Diversifiers.of, found)
        self._diverse = made_of

    async def known_of(
        self, investor_id: str, upto: known_facts.Upto, catalogue: Catalogue
    ) -> tuple[known_facts.Known, Mapping[str, Moves]]:
        """What is known of an investor, and how all moved that is or was held: read at once."""

        def work(c: Connection) -> tuple[known_facts.Known, Mapping[str, Moves]]:
            found = known_facts.known_of(c, investor_id, upto)
            held = (fact.fund_code for fact in found.facts if fact.kind == Kind.SHARES.value)
            kept, missing = _sorted_out(self._moves, sorted(set(held)), catalogue)
            return found, {**kept, **self._moves_read(c, missing)} if missing else kept

        return await self.database.read(work)

    async def moves_of(self, codes: Sequence[str], catalogue: Catalogue) -> Mapping[str, Moves]:
        """How funds moved up to their newest price in a catalogue; read once a price."""
        kept, missing = _sorted_out(self._moves, codes, catalogue)
        if missing:
            kept |= await self.database.read(lambda c: self._moves_read(c, missing))
        return kept

    def _moves_read(self, c: Connection, missing: Mapping[str, At]) -> Mapping[str, Moves]:
        """On a thread of the database's: one step that others see whole."""
        found = known_funds.moves_of(c, missing, self.clock()) if missing else {}
        if len(self._moves) > MOVES_KEPT:
            self._moves.clear()
        self._moves |= {code: (at, found[code]) for code, at in missing.items()}
        return found

    async def features_of(
        self, codes: Sequence[str], catalogue: Catalogue
    ) -> Mapping[str, Features]:
        """Features of funds as of their newest price in a catalogue; read once a price."""
        kept, missing = _sorted_out(self._features, codes, catalogue)
        if missing:
            now_us = self.clock()
            found = await self.database.read(
                lambda c: {
                    code: fund_features(known_funds.fund_facts(c, code, *at), now_us)
                    for code, at in missing.items()
                }
            )
            if len(self._features) > FEATURES_KEPT:
                self._features.clear()
            self._features |= {code: (missing[code], each) for code, each in found.items()}
            kept |= found
        return kept

    def form_of(self, code: str, features: Features) -> str:
        """Their canonical form, made once a price."""
        kept = self._forms.get(code)
        if kept is None or kept[0] is not features:
            if len(self._forms) > FEATURES_KEPT:
                self._forms.clear()
            kept = self._forms[code] = (features, in_form(features))
        return kept[1]

    async def read_ahead(self) -> None:
        """Some of the funds that were shown and have new prices: no list waits for those."""
        catalogue = self.catalogue
        if catalogue is self._read_for:
            return
        _, missing = _sorted_out(self._features, list(self._features), catalogue)
        if missing:
            await self.features_of(sorted(missing)[:AT_ONCE], catalogue)
        else:
            self._read_for = catalogue

    async def quotes_of(self, codes: Sequence[str], catalogue: Catalogue) -> Sequence[Quotes]:
        """Prices of funds, in the order of codes; read once a price."""
        funds = [catalogue.funds[catalogue.index[code]] for code in codes]
        keys = [(fund.code, catalogue.made_of(fund.code), fund.is_money) for fund in funds]
        missing = [key for key in keys if key not in self._quotes]
        if missing:
            names = [key[0] for key in missing]
            ours, fed = await self.database.read(
                lambda c: (queries.quotes(c, names), queries.fed_prices(c, names))
            )
            if len(self._quotes) > QUOTES_KEPT:
                self._quotes.clear()
            for key in missing:
                rows = ours.get(key[0], ())[-QUOTED_DAYS:]
                told = fed.get(key[0])
                self._quotes[key] = packed(key[0], rows, pays_income=key[2], fed=told)
        kept = [self._quotes.get(key) for key in keys]
        if None not in kept:
            return [each for each in kept if each is not None]
        # Cleared meanwhile to make room: read what is left of it again.
        return await self.quotes_of(codes, catalogue)

    async def _put_up(self, catalogue: Catalogue, crowd: Crowd) -> None:
        """All at once, when the rankings of both are made."""
        rankers = await asyncio.to_thread(self._rankers_of, catalogue, crowd)
        self.catalogue, self.crowd, self.rankers = catalogue, crowd, rankers

    def _rankers_of(self, catalogue: Catalogue, crowd: Crowd) -> Mapping[str, Ranker]:
        before, orders = self._house, dict[int, Sequence[int]]()
        if before is not None and catalogue.differs_in_prices_alone(before.catalogue):
            is_same = crowd is before.crowd
            orders = {key: each for key, each in before.orders.items() if is_same or key < 0}
        house = CrowdRanker(catalogue, crowd, orders=orders)
        prepare(catalogue)
        house.prepare()
        self._house = house
        return {ranker.version: ranker for ranker in (house, *self.load(catalogue, crowd))}


def _sorted_out(
    kept: Mapping[str, tuple[At, T]], codes: Sequence[str], catalogue: Catalogue
) -> tuple[dict[str, T], dict[str, At]]:
    """What is kept as of each fund's newest prices; and positions of prices still to be read."""
    found: dict[str, T] = {}
    missing: dict[str, At] = {}
    for code in codes:
        if code not in catalogue.index:
            continue
        at, each = catalogue.made_of(code), kept.get(code)
        if each is not None and each[0] == at:
            found[code] = each[1]
        else:
            missing[code] = at
    return found, missing


def crowd_of(
    rows: Sequence[queries.Bought], carts: Mapping[str, frozenset[str]], today: int
) -> Crowd:
    """Popularity per class, and neighbours of at least five joint buyers."""
    popularity: dict[int, dict[str, float]] = {}
    for row in sorted(rows, key=lambda each: (each.code, each.investor_class, each.day)):
        if row.investor_class not in InvestorClass.__members__:
            continue
        band = int(InvestorClass[row.investor_class])
        weight: float = row.buyers * 0.5 ** (max(today - row.day, 0) / HALF_LIFE_DAYS)
        of = popularity.setdefault(band, {})
        of[row.code] = of.get(row.code, 0.0) + weight
    buyers: Counter[str] = Counter()
    joint: Counter[tuple[str, str]] = Counter()
    for codes in carts.values():
        buyers.update(codes)
        joint.update(combinations(sorted(codes), 2))
    return Crowd(popularity, neighbours_of(buyers, joint))
