"""Statements over a real server: numbered, joined end to end, exact, and the same for ever."""

import csv
import io
from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from sqlalchemy import update

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import events_pb2
from hefu.accounts.v1 import statements_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from libs.grpc_errors import reason_of, violations_of
from libs.iso20022 import StatementPage, parse
from services.accounts.codec.statements import StatementCodec
from services.accounts.domain.statements import Issue, Issued, Period, statements
from services.accounts.projections import entry_accounts
from tests.services.accounts.conftest import Served
from tests.services.accounts.desk import TODAY, new_ids

_IDS = new_ids()


def _id() -> str:
    return next(_IDS)


def _day(number: int) -> str:
    return (date.fromisoformat(TODAY) + timedelta(days=number)).isoformat()


async def _open(served: Served, kind: events_pb2.AccountKind.ValueType) -> str:
    account_id = _id()
    opening = accounts.Opening(
        account_id=account_id, owner=f"o:{account_id}", kind=kind, currency_code="CZK"
    )
    await served.operator.OpenAccount(accounts.OpenAccountRequest(opening=opening))
    return account_id


async def _transfer(
    served: Served, payer: str, payee: str, minor: int, purpose: str = "", payment: str = ""
) -> None:
    money = Money(currency_code="CZK", minor_units=minor)
    transfer = accounts.Transfer(
        transfer_id=_id(),
        legs=[
            accounts.Leg(account_id=payer, direction=events_pb2.DIRECTION_DEBIT, amount=money),
            accounts.Leg(account_id=payee, direction=events_pb2.DIRECTION_CREDIT, amount=money),
        ],
        purpose=purpose,
        correlation_id=payment,
    )
    request = accounts.PostTransfersRequest(transfers=[transfer])
    posted = await served.payments.PostTransfers(request)
    assert not posted.results[0].HasField("refusal")


async def _end_day(served: Served, to_date: str) -> None:
    await served.operator.MoveBusinessDate(
        accounts.MoveBusinessDateRequest(request_id=_id(), to_date=to_date)
    )


async def _three_days(served: Served) -> tuple[str, str]:
    """A wallet and a house account; money in, a hold, money out, over three business days."""
    wallet = await _open(served, events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET)
    house = await _open(served, events_pb2.ACCOUNT_KIND_FEE_INCOME)
    await _transfer(served, house, wallet, 100_000, "salary", "0193-payment")
    await _end_day(served, _day(1))
    await _transfer(served, wallet, house, 2_550, "=SUM(A1:A9)")
    await served.payments.PlaceHold(
        accounts.PlaceHoldRequest(
            placement=accounts.HoldPlacement(
                hold_id=_id(),
                account_id=wallet,
                amount=Money(currency_code="CZK", minor_units=700),
                purpose="order, with a comma",
            )
        )
    )
    await _end_day(served, _day(2))
    await _transfer(served, wallet, house, 1)
    await _end_day(served, _day(3))
    return wallet, house


async def _issue(served: Served, account: str, to: int, since: int | None = None) -> pb.Statement:
    answer = await served.statements.IssueStatement(
        pb.IssueStatementRequest(
            account_id=account,
            from_date="" if since is None else _day(since),
            to_date=_day(to),
        )
    )
    return answer.statement


async def _export(
    served: Served, account: str, form: pb.StatementFormat.ValueType, number: int = 1
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    request = pb.ExportStatementRequest(account_id=account, number=number, format=form)
    async for piece in served.statements.ExportStatement(request):
        files[piece.file_name] = files.get(piece.file_name, b"") + piece.data
    return files


async def _refusal(call: object) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return reason_of(caught.value), tuple(v.field for v in violations_of(caught.value))


async def test_statements_follow_each_other_without_gaps(served: Served) -> None:
    wallet, _ = await _three_days(served)

    issued = [await _issue(served, wallet, day) for day in range(3)]

    assert [each.number for each in issued] == [1, 2, 3]
    assert [each.from_date for each in issued] == [_day(0), _day(1), _day(2)]
    assert [(e.opening_minor, e.closing_minor) for e in issued] == [
        (0, 100_000),
        (100_000, 97_450),
        (97_450, 97_449),
    ]
    assert [each.lines for each in issued] == [2, 2, 1]
    for before, after in pairwise(issued):
        assert after.opening_minor == before.closing_minor
        assert after.opening_seq == before.closing_seq


async def test_a_statement_is_issued_once(served: Served) -> None:
    wallet, _ = await _three_days(served)
    request = pb.IssueStatementRequest(account_id=wallet, from_date=_day(0), to_date=_day(1))

    first = await served.statements.IssueStatement(request)
    served.clock.us += 5_000_000
    again = await served.statements.IssueStatement(request)
    listed = await served.statements.ListStatements(pb.ListStatementsRequest(account_id=wallet))

    assert not first.is_replayed
    assert again.is_replayed
    assert again.statement == first.statement
    assert list(listed.statements) == [first.statement]


async def test_a_period_must_follow_and_be_over(served: Served) -> None:
    wallet, _ = await _three_days(served)
    issue = served.statements.IssueStatement
    await _issue(served, wallet, 0)

    def asked(since: str, to: str, account: str = wallet) -> pb.IssueStatementRequest:
        return pb.IssueStatementRequest(account_id=account, from_date=since, to_date=to)

    assert await _refusal(issue(asked(_day(0), _day(1)))) == ("STATEMENT_GAP", ("from_date",))
    assert await _refusal(issue(asked(_day(2), _day(2)))) == ("STATEMENT_GAP", ("from_date",))
    assert await _refusal(issue(asked("", _day(3)))) == ("PERIOD_NOT_ENDED", ("to_date",))
    assert await _refusal(issue(asked(_day(2), _day(1)))) == ("DATE_MALFORMED", ("from_date",))
    assert await _refusal(issue(asked("", "2026-02-30"))) == ("DATE_MALFORMED", ("to_date",))
    assert await _refusal(issue(asked("", _day(1), _id()))) == (
        "ACCOUNT_NOT_FOUND",
        ("account_id",),
    )


async def test_the_csv_is_exact_and_its_hash_is_the_statements(served: Served) -> None:
    wallet, _ = await _three_days(served)
    issued = await _issue(served, wallet, 1, since=0)

    (name, data), *others = (await _export(served, wallet, pb.STATEMENT_FORMAT_CSV)).items()
    rows = list(csv.DictReader(io.StringIO(data.decode())))

    assert not others
    assert name == f"statement-{wallet}-1.csv"
    assert sha256(data).digest() == issued.content_hash
    assert [(r["record"], r["amount"], r["balance"], r["held"]) for r in rows] == [
        ("OPENING", "", "0.00", ""),
        ("ENTRY", "0.00", "0.00", "0.00"),
        ("ENTRY", "1000.00", "1000.00", "0.00"),
        ("ENTRY", "-25.50", "974.50", "0.00"),
        ("ENTRY", "0.00", "974.50", "7.00"),
        ("CLOSING", "", "974.50", ""),
    ]
    assert [row["fact"] for row in rows[1:-1]] == [
        "AccountOpened",
        "TransferPosted",
        "TransferPosted",
        "HoldPlaced",
    ]
    # A spreadsheet takes no text of a caller's for a formula.
    assert [row["purpose"] for row in rows[1:-1]] == [
        "",
        "salary",
        "'=SUM(A1:A9)",
        "order, with a comma",
    ]
    places = [tuple(map(int, row["entry"].split("."))) for row in rows[1:-1]]
    assert places == sorted(places)


async def test_a_bank_reads_the_camt053(served: Served) -> None:
    wallet, house = await _three_days(served)
    await _issue(served, wallet, 1, since=0)
    await _issue(served, house, 2, since=0)

    (data,) = (await _export(served, wallet, pb.STATEMENT_FORMAT_CAMT053)).values()
    (theirs,) = (await _export(served, house, pb.STATEMENT_FORMAT_CAMT053)).values()
    page, other = parse("camt.053.001.08", data), parse("camt.053.001.08", theirs)

    assert isinstance(page, StatementPage)
    assert isinstance(other, StatementPage)
    assert (page.number, page.page, page.is_last) == (1, 1, True)
    assert (page.opening.minor, page.closing.minor) == (0, 97_450)
    assert page.account_number == wallet.replace("-", "").upper()
    assert [(e.favour, e.amount.minor, e.booking_date) for e in page.entries] == [
        ("C", 100_000, _day(0)),
        ("D", 2_550, _day(1)),
    ]
    assert page.entries[0].end_to_end_id == "0193payment"
    assert page.summary.credits_minor - page.summary.debits_minor == 97_450
    # Money that left the house's account is in debit: the statement says so with its sign.
    assert other.closing.minor == -97_449


async def test_a_camt053_that_was_not_issued_is_a_copy(served: Served) -> None:
    wallet, _ = await _three_days(served)
    await _issue(served, wallet, 0)
    period = pb.StatementPeriod(from_date=_day(1), to_date=_day(3))
    request = pb.ExportStatementRequest(
        account_id=wallet, period=period, format=pb.STATEMENT_FORMAT_CAMT053
    )

    pieces = [piece async for piece in served.statements.ExportStatement(request)]
    page = parse("camt.053.001.08", b"".join(piece.data for piece in pieces))

    assert isinstance(page, StatementPage)
    assert (page.number, page.copy_indicator) == (2, "COPY")
    assert page.closing.minor == 97_449


async def test_what_a_statement_would_say_has_no_number(served: Served) -> None:
    wallet, _ = await _three_days(served)
    period = pb.StatementPeriod(from_date=_day(1), to_date=_day(3))
    request = pb.GetStatementRequest(account_id=wallet, period=period)

    drafted = (await served.statements.GetStatement(request)).statement
    await _transfer(served, wallet, await _open(served, events_pb2.ACCOUNT_KIND_MERCHANT), 49)
    later = (await served.statements.GetStatement(request)).statement

    assert (drafted.number, drafted.opening_minor, drafted.closing_minor) == (0, 100_000, 97_449)
    assert not drafted.HasField("issue_time")
    assert later.closing_minor == 97_400
    assert later.content_hash != drafted.content_hash


async def test_lines_come_page_by_page_and_add_up(served: Served) -> None:
    wallet, house = await _three_days(served)
    for _ in range(7):
        await _transfer(served, wallet, house, 10)
    period = pb.StatementPeriod(from_date=_day(0), to_date=_day(3))
    head = (
        await served.statements.GetStatement(
            pb.GetStatementRequest(account_id=wallet, period=period)
        )
    ).statement
    lines: list[pb.StatementLine] = []
    token = ""
    while not lines or token:
        answer = await served.statements.ListStatementLines(
            pb.ListStatementLinesRequest(
                account_id=wallet, period=period, page_size=3, page_token=token
            )
        )
        lines += answer.lines
        token = answer.next_page_token
        # What is posted meanwhile comes behind.
        await _transfer(served, wallet, house, 5)

    balance = head.opening_minor
    assert len(lines) >= head.lines
    assert [line.account_seq for line in lines] == list(range(1, len(lines) + 1))
    for line in lines:
        balance += line.amount_minor
        assert line.posted_minor == balance


async def test_an_issued_statement_stays_whatever_is_posted_or_restarted(served: Served) -> None:
    wallet, house = await _three_days(served)
    issued = await _issue(served, wallet, 1, since=0)
    before = await _export(served, wallet, pb.STATEMENT_FORMAT_CSV)

    for _ in range(3):
        await _transfer(served, wallet, house, 10)
    stored = [event async for event in served.store.read(f"account_statement-{wallet}")]
    found = await served.statements.GetStatement(
        pb.GetStatementRequest(account_id=wallet, number=1)
    )

    assert found.statement == issued
    assert await _export(served, wallet, pb.STATEMENT_FORMAT_CSV) == before
    assert [StatementCodec().decode(e.type, e.data).number for e in stored] == [1]


async def test_rows_that_changed_are_not_told_as_what_was_issued(served: Served) -> None:
    wallet, _ = await _three_days(served)
    await _issue(served, wallet, 1, since=0)
    await served.database.write(
        lambda c: c.execute(
            update(entry_accounts)
            .where(entry_accounts.c.account_id == wallet, entry_accounts.c.account_seq == 2)
            .values(moved_minor=99_999)
        )
    )

    told = await _refusal(
        served.statements.GetStatement(pb.GetStatementRequest(account_id=wallet, number=1))
    )

    assert told == ("STATEMENT_DIFFERS", ())


async def test_a_balance_names_its_basis_and_position(served: Served) -> None:
    wallet, _ = await _three_days(served)
    last = served.writer.position

    async def asked(**of: object) -> pb.GetBalanceAsOfResponse:
        request = pb.GetBalanceAsOfRequest(account_id=wallet, **of)  # type: ignore[arg-type]
        return await served.statements.GetBalanceAsOf(request)

    exact = await asked(at_position=last)
    first = await asked(at_position=0)
    dated = await asked(value_date=_day(0))
    early = await asked(value_date=_day(2), known_position=3)
    now = pb.GetBalanceAsOfRequest(account_id=wallet)
    now.at_time.FromMicroseconds(served.clock.us)
    timed = await served.statements.GetBalanceAsOf(now)

    assert (exact.basis, exact.as_of_position) == (pb.BALANCE_BASIS_POSITION, last)
    assert (exact.posted_minor, exact.held_minor, exact.available_minor) == (97_449, 700, 96_749)
    assert (first.posted_minor, first.account_seq) == (0, 1)
    assert (dated.basis, dated.posted_minor) == (pb.BALANCE_BASIS_VALUE_DATE, 100_000)
    assert dated.as_of_position == last
    assert (early.posted_minor, early.as_of_position) == (100_000, 3)
    assert (timed.basis, timed.posted_minor) == (pb.BALANCE_BASIS_TIME, 97_449)


async def test_questions_that_make_no_sense_are_refused(served: Served) -> None:
    wallet, _ = await _three_days(served)
    ask = served.statements.GetBalanceAsOf
    get = served.statements.GetStatement
    request = pb.GetBalanceAsOfRequest

    assert await _refusal(ask(request(account_id=_id(), at_position=0))) == (
        "ACCOUNT_NOT_FOUND",
        ("account_id",),
    )
    assert await _refusal(ask(request(account_id=wallet, value_date="2026-13-01"))) == (
        "DATE_MALFORMED",
        ("value_date",),
    )
    assert await _refusal(ask(request(account_id=wallet, at_position=1, known_position=1))) == (
        "FIELD_NOT_ALLOWED",
        ("known_position",),
    )
    assert await _refusal(get(pb.GetStatementRequest(account_id=wallet, number=1))) == (
        "STATEMENT_NOT_FOUND",
        ("number",),
    )
    assert await _refusal(
        served.statements.ListStatements(
            pb.ListStatementsRequest(account_id=wallet, page_token="x")  # noqa: S106 - a page's
        )
    ) == ("PAGE_TOKEN_INVALID", ("page_token",))


def _issued(number: int, since: int, to: int, opening: int = 0, closing: int = 0) -> Issued:
    period = Period(_day(since), _day(to))
    return Issued("a", number, period, opening, closing, number, number + 1, b"", 0, 0)


def test_an_issued_statement_reads_as_it_was_first_written(root: Path) -> None:
    stored = root / "tests" / "golden" / "accounts" / "statement_issued_v1.json"
    period = Period("2026-09-21", "2026-09-30")
    issued = Issued(
        "a", 2, period, -5, 9_007_199_254_740_993, 1, 7, bytes(range(32)), 42, 1_500_000
    )
    codec = StatementCodec()

    assert codec.encode(issued) == ("hefu.accounts.v1.AccountStatementIssued", stored.read_bytes())
    assert codec.decode("hefu.accounts.v1.AccountStatementIssued", stored.read_bytes()) == issued
    with pytest.raises(AssertionError):
        codec.decode("hefu.accounts.v1.AccountStatementTorn", stored.read_bytes())


def test_history_that_cannot_be_stops_us() -> None:
    first = statements.evolve((), _issued(1, 0, 1, 0, 5))

    for wrong in (_issued(3, 2, 2, 5, 5), _issued(2, 3, 3, 5, 5), _issued(2, 2, 2, 4, 5)):
        with pytest.raises(AssertionError):
            statements.evolve(first, wrong)
    assert statements.decide(Issue(_issued(1, 0, 1)), first) == []
