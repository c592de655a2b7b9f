"""`hefu statement`: an account's statements; what one of any period says; as a table or a file."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hefu.accounts.v1 import statements_pb2 as pb
from libs.cli.connections import RUN_DIR, Connections, connected
from libs.cli.terminal import console
from libs.failure import StartFailed
from libs.money import major

_LINES_PER_PAGE = 1_000


class Format(StrEnum):
    """What it comes out as."""

    TABLE = "table"
    CSV = "csv"
    CAMT053 = "camt053"


_FORMATS = {
    Format.CSV: pb.STATEMENT_FORMAT_CSV,
    Format.CAMT053: pb.STATEMENT_FORMAT_CAMT053,
}


def statement(
    account: Annotated[str, typer.Argument(help="The account's id.")],
    from_date: Annotated[
        str, typer.Option("--from", metavar="YYYY-MM-DD", help="First business date.")
    ] = "",
    to_date: Annotated[
        str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last business date.")
    ] = "",
    number: Annotated[int, typer.Option(min=0, help="An issued statement, by its number.")] = 0,
    form: Annotated[Format, typer.Option("--format", help="What it comes out as.")] = Format.TABLE,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write files to; else they are printed.")
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    issue: Annotated[
        bool, typer.Option("--issue", help="Issue the next one, up to --to: it gets a number.")
    ] = False,
) -> None:
    """Show an account's statement of a period, issue the next, or list those issued."""
    which = pb.GetStatementRequest(account_id=account)
    if number:
        which.number = number
    elif from_date and to_date and not issue:
        which.period.CopyFrom(pb.StatementPeriod(from_date=from_date, to_date=to_date))
    elif bool(from_date) != bool(to_date) and not issue:
        raise typer.BadParameter("a period needs --from and --to")
    if issue and (number or not to_date):
        raise typer.BadParameter("--issue needs --to, the last business date of the next one")

    async def work(link: Connections) -> None:
        if issue:
            request = pb.IssueStatementRequest(
                account_id=account, from_date=from_date, to_date=to_date
            )
            which.number = (await link.statements.IssueStatement(request)).statement.number
        if which.WhichOneof("which") is None:
            await _list(link, account)
        elif form is Format.TABLE:
            await _print(link, which)
        else:
            _hand_over(await _files(link, which, _FORMATS[form]), out)

    connected(run_dir, work)


async def _list(link: Connections, account: str) -> None:
    table = Table("number", "from", "to", "opening", "closing", "lines", "hash")
    request = pb.ListStatementsRequest(account_id=account)
    while True:
        answer = await link.statements.ListStatements(request)
        for each in answer.statements:
            table.add_row(
                str(each.number),
                each.from_date,
                each.to_date,
                major(each.opening_minor, each.currency_code),
                major(each.closing_minor, each.currency_code),
                str(each.lines),
                each.content_hash.hex()[:16],
            )
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    console.print(table)


async def _print(link: Connections, which: pb.GetStatementRequest) -> None:
    head = (await link.statements.GetStatement(which)).statement
    currency = head.currency_code
    name = f"statement {head.number}" if head.number else "not issued"
    console.print(
        f"[bold]{head.account_id}[/]  {head.owner}  {currency}  {name}\n"
        f"{head.from_date} to {head.to_date}, as of page {head.made_position}",
        highlight=False,
    )
    table = Table("entry", "date", "value date", "what", "purpose", "amount", "balance", "held")
    for column in table.columns[-3:]:
        column.justify = "right"
    table.add_row("", head.from_date, "", "opening", "", "", major(head.opening_minor, currency))
    request = pb.ListStatementLinesRequest(account_id=head.account_id, page_size=_LINES_PER_PAGE)
    if which.number:
        request.number = which.number
    else:
        request.period.CopyFrom(which.period)
    while True:
        answer = await link.statements.ListStatementLines(request)
        for line in answer.lines:
            table.add_row(
                f"{line.page_number}.{line.ordinal}",
                line.business_date,
                line.value_date,
                line.fact,
                line.purpose,
                major(line.amount_minor, currency) if line.amount_minor else "",
                major(line.posted_minor, currency),
                major(line.held_minor, currency) if line.held_minor else "",
            )
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    table.add_row("", head.to_date, "", "closing", "", "", major(head.closing_minor, currency))
    console.print(table)
    console.print(f"hash {head.content_hash.hex()}", highlight=False)


async def _files(
    link: Connections, which: pb.GetStatementRequest, form: pb.StatementFormat.ValueType
) -> Mapping[str, bytes]:
    request = pb.ExportStatementRequest(account_id=which.account_id, format=form)
    if which.number:
        request.number = which.number
    else:
        request.period.CopyFrom(which.period)
    files: dict[str, bytearray] = {}
    async for piece in link.statements.ExportStatement(request):
        files.setdefault(piece.file_name, bytearray()).extend(piece.data)
    return {name: bytes(data) for name, data in files.items()}


def _hand_over(files: Mapping[str, bytes], out: Path | None) -> None:
    """Into a folder, or to whoever reads our output. Raises `StartFailed`."""
    if out is None:
        if len(files) > 1:
            raise StartFailed(f"the statement is {len(files)} messages: --out FOLDER writes them")
        for data in files.values():
            sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (out / name).write_bytes(data)
        console.print(str(out / name), highlight=False)
