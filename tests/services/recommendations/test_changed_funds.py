"""One fund's change costs one fund's work, and gives the catalogue that is read whole."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from sqlalchemy import Connection, insert, update

from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations import queries
from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.eligibility import Asked, Holdings, judge
from services.recommendations.domain.investor_lifecycle import Investor, Profile
from services.recommendations.rows import fund_money, own
from services.recommendations.rows import funds as rows

TODAY = date(2026, 11, 20)
NOW_US = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = [(TODAY - timedelta(days=n)).isoformat() for n in range(6, 0, -1)]
ANNA = Investor(
    *("anna", (), "wallet"),
    profile=Profile(InvestorClass.C3, (), NOW_US * 2, "2026-1"),
    has_consent=True,
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    database = Database.open("sqlite://")
    with database._writer.connect() as found:  # noqa: SLF001 - on this thread
        fund_money.metadata.create_all(found)
        own.metadata.create_all(found)
        found.execute(insert(rows.sessions), [{"day": day} for day in DAYS])
        for n in range(30):
            published(found, f"{n:06d}", n + 1)
            priced(found, f"{n:06d}", DAYS[n % 6], 100 + n)
        yield found
    database.close()


def published(connection: Connection, code: str, position: int, **more: object) -> None:
    terms = {
        "name": f"Fund {code}",
        "ta_id": f"TA{position % 4}",
        "currency": "CNY",
        "fund_type": "FUND_TYPE_BOND",
        "dealing": {"calendars": ["XSHG"]},
        **more,
    }
    row = {
        "code": code,
        "terms": orjson.dumps(terms).decode(),
        "status": "FUND_STATUS_OPEN",
        "level": 1 + position % 5,
        "nav_scale": 4,
        "published_us": 0,
        "position": position,
        "nav_position": 0,
    }
    connection.execute(insert(rows.funds), [row])


def moved(connection: Connection, code: str, position: int, **values: object) -> None:
    query = update(rows.funds).where(rows.funds.c.code == code)
    connection.execute(query.values(position=position, **values))


def priced(connection: Connection, code: str, day: str, position: int) -> None:
    row = {
        "code": code,
        "nav_date": day,
        "position": position,
        "event_id": f"{code}{position}",
        "nav": 10_000 + position,
        "accumulated_nav": 0,
        "income_per_10k": 0,
        "recorded_us": 0,
    }
    connection.execute(insert(rows.navs), [row])
    moved(connection, code, position, nav_position=position)


def fed(connection: Connection, code: str, position: int) -> None:
    """A batch of a feed with a price of one fund."""
    for table, key in ((own.priced, {"instrument": code}), (own.marks, {"kind": "PricesTaken"})):
        column, value = next(iter(key.items()))
        connection.execute(table.delete().where(table.c[column] == value))
        connection.execute(insert(table), [{**key, "position": position}])


def read(connection: Connection, before: queries.Read | None = None) -> queries.Read:
    return queries.catalogue(connection, NOW_US, follows_market=False, before=before)


def judged(catalogue: Catalogue) -> object:
    found = judge(catalogue, ANNA, Holdings({"000001": 5}), Asked(), NOW_US)
    return {code: catalogue.codes_of(funds) for code, funds in found.refused.items()}


def test_what_is_read_after_any_change_is_what_is_read_whole(connection: Connection) -> None:
    rng = random.Random(7)  # noqa: S311 - repeatable, not secret
    known = read(connection)
    for position in range(1_000, 1_060):
        code = f"{rng.randrange(30):06d}"
        match rng.randrange(7):
            case 0:
                moved(connection, code, position, status="FUND_STATUS_CLOSED")
            case 1:
                moved(connection, code, position, level=rng.randint(1, 5))
            case 2:
                published(connection, f"9{position:05d}", position)
            case 3:
                told = {"instrument": code, "manager": "M", "theme": "t", "family": "F"}
                more = {"inception_date": "2015-01-05", "yearly_fee_millionths": position}
                rows_of = own.fund_facts.delete().where(own.fund_facts.c.instrument == code)
                connection.execute(rows_of)
                connection.execute(insert(own.fund_facts), [{**told, **more, "position": position}])
                mark = {"kind": "FactsTaken", "position": position}
                connection.execute(own.marks.delete().where(own.marks.c.kind == "FactsTaken"))
                connection.execute(insert(own.marks), [mark])
            case 4:
                fed(connection, code, position)
            case _:
                priced(connection, code, rng.choice(DAYS), position)
        known = read(connection, known)
        whole = read(connection)

        assert list(known.catalogue.funds) == list(whole.catalogue.funds)
        assert judged(known.catalogue) == judged(whole.catalogue)
        assert (known.marks, known.sessions) == (whole.marks, whole.sessions)
        assert known.catalogue.fed == whole.catalogue.fed
        assert known.catalogue.fed_at == whole.catalogue.fed_at == known.marks.prices


def test_a_feed_that_comes_while_the_catalogue_is_read_counts_the_next_time(
    connection: Connection,
) -> None:
    fed(connection, "000003", 2_000)
    known = read(connection)
    connection.execute(update(own.priced).values(position=2_500))
    fed(connection, "000004", 2_600)
    connection.execute(update(own.priced).values(position=2_700))

    after = read(connection, known)

    assert known.catalogue.made_of("000003") == (103, 2_000)
    # Stored at 2700, and heard up to 2600: the batch between is not lost.
    assert after.catalogue.fed == {"000003": 2_600, "000004": 2_600}
    assert after.catalogue.differs_in_prices_alone(known.catalogue)


def test_a_new_session_of_the_market_makes_all_others_a_session_older(
    connection: Connection,
) -> None:
    known = read(connection)
    connection.execute(insert(rows.sessions), [{"day": TODAY.isoformat()}])
    priced(connection, "000003", TODAY.isoformat(), 1_000)

    after = read(connection, known)

    assert list(after.catalogue.funds) == list(read(connection).catalogue.funds)
    assert after.catalogue.funds[3].sessions_behind == 0
    assert after.catalogue.funds[5].sessions_behind == 1


def test_a_price_of_one_fund_reads_one_fund_and_makes_no_set_anew(connection: Connection) -> None:
    known = read(connection)
    judged(known.catalogue)
    priced(connection, "000003", DAYS[3], 1_000)

    after = read(connection, known)

    assert after.catalogue.funds[3].nav == 11_000
    assert after.catalogue.differs_in_prices_alone(known.catalogue)
    both = zip(known.catalogue.funds, after.catalogue.funds, strict=True)
    assert [old.code for old, new in both if old is not new] == ["000003"]
    assert known.catalogue.funds[3].nav == 10_103, "who began with it keeps it"


def test_a_fund_that_closes_is_refused_from_then_on(connection: Connection) -> None:
    known = read(connection)
    assert "000003" in known.catalogue.codes_of(known.catalogue.everything)
    moved(connection, "000003", 1_000, status="FUND_STATUS_CLOSED")

    after = read(connection, known)

    assert not after.catalogue.differs_in_prices_alone(known.catalogue)
    assert "000003" in dict(judged(after.catalogue))["FUND_NOT_OPEN"]  # type: ignore[call-overload]
