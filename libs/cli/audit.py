"""`hefu audit`: proves the books from the first page, or one entry to who holds an old head."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import audit_pb2, events_pb2
from libs.cli.auditing import Audit, Report
from libs.cli.connections import EXIT_FAILED, RUN_DIR, Connections, connected, console
from libs.cli.decoding import when
from libs.failure import StartFailed
from libs.journal_proof import Head, Malformed, NotProven, Proof, SignedHead
from libs.signing import KeyUnusable, is_usable, key_id_of, read_public_key
from libs.wire import time_from_wire

app = typer.Typer(
    invoke_without_command=True,
    help="Prove the books from the first page; or one entry to who holds an old signed head.",
)

_SHOWN_MAX = 50
RunDir = Annotated[Path, typer.Option(help="Where the system keeps its files.")]
Key = Annotated[
    str, typer.Option(help="Public key, 64 hex digits or a file of them; else the run's own.")
]
HeadFile = Annotated[
    Path | None, typer.Option("--head", help="A file of signed heads, one JSON object a line.")
]


@app.callback()
def audit(
    context: typer.Context,
    heads: Annotated[
        Path | None, typer.Option(help="Signed heads to hold it against; else the run's own.")
    ] = None,
    key: Key = "",
    journal: Annotated[str, typer.Option(help="The stream of the journal.")] = "journal-0",
    run_dir: RunDir = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Verify every page, sum and signed head, and compare with the writer and the read model."""
    if context.invoked_subcommand is not None:
        return
    public_key = _public_key(key, run_dir)
    signed = _heads_in(heads or _heads_file(run_dir, journal))

    async def work(link: Connections) -> int:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=as_json,
        ) as progress:
            known = await link.accounts.GetTrialBalance(accounts.GetTrialBalanceRequest())
            bar = progress.add_task("pages", total=known.pages)
            found = Audit(
                link.store,
                journal,
                signed,
                public_key,
                lambda pages: progress.update(bar, completed=pages),
            )
            await found.read()
            progress.update(bar, description="writer")
            await found.hold_against_writer(link.accounts)
            progress.update(bar, description="read model")
            await found.hold_against_rows(link.audit)
            found.check.end()
        report = found.report()
        if as_json:
            typer.echo(json.dumps(_plain(report)))
        else:
            _print(report)
        return 0 if report.is_proven else EXIT_FAILED

    connected(run_dir, work)


@app.command()
def head(run_dir: RunDir = RUN_DIR) -> None:
    """Print the newest signed head, one line of JSON: keep it where we cannot change it."""

    async def work(link: Connections) -> None:
        answer = await link.audit.GetJournalHead(audit_pb2.GetJournalHeadRequest())
        typer.echo(_signed(answer.head, answer.public_key).to_line())

    connected(run_dir, work)


@app.command()
def prove(
    entry: Annotated[str, typer.Argument(help="page.ordinal, or a payment's id.")],
    out: Annotated[Path, typer.Option(help="File for the proof.")] = Path("proof.json"),
    head_file: HeadFile = None,
    key: Key = "",
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Write a proof that an entry stands in the journal, for the newest head or an older one."""
    public_key = _public_key(key, run_dir)
    held = _heads_in(head_file)[-1] if head_file else None

    async def work(link: Connections) -> int:
        places = await _places(link, entry)
        if len(places) != 1:
            told = ", ".join(places) if places else "none"
            console.print(f"[red]one entry, please: {entry} names {told}[/]", highlight=False)
            return 2
        page, _, ordinal = places[0].partition(".")
        answer = await link.audit.ProveEntry(
            audit_pb2.ProveEntryRequest(
                page_number=int(page),
                ordinal=int(ordinal or 0),
                pages=held.head.pages if held else 0,
            )
        )
        proof = _proof(answer.proof)
        proof.check(held or _signed(answer.head, public_key), public_key)
        text = proof.to_text()
        out.write_text(text + "\n")
        console.print(
            f"{out}: entry {places[0]}, for a head of {proof.pages} pages, {len(text)} bytes",
            highlight=False,
        )
        return 0

    try:
        connected(run_dir, work)
    except NotProven as error:
        raise StartFailed(f"the rows give no proof ({error}): `hefu audit` says why") from error


@app.command()
def check(
    proof_file: Annotated[Path, typer.Argument(help="A proof, as `hefu audit prove` writes it.")],
    head_file: Annotated[Path, typer.Option("--head", help="The signed head you hold.")],
    key: Key = "",
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Check a proof against a signed head. Needs nothing that runs."""
    public_key = _public_key(key, run_dir)
    try:
        proof = Proof.from_text(_read(proof_file))
    except Malformed as error:
        raise StartFailed(f"{proof_file} is no proof: {error}") from error
    heads = _heads_in(head_file)
    held = next((each for each in heads if each.head.pages == proof.pages), heads[-1])
    try:
        proof.check(held, public_key)
    except NotProven as error:
        console.print(f"[red]NOT PROVEN[/] {error}", highlight=False)
        raise typer.Exit(EXIT_FAILED) from None
    console.print(
        f"[green]PROVEN[/] entry {proof.page_number}.{proof.ordinal} stands in {proof.journal} "
        f"as it was signed on {when(held.head.signed_us)} by key {key_id_of(public_key)}",
        highlight=False,
    )
    try:
        fields = MessageToDict(
            events_pb2.Entry.FromString(proof.entry), preserving_proto_field_name=True
        )
    except DecodeError:
        return  # of a later version than this program: proven, but not for it to read
    console.print_json(json.dumps(fields))


async def _places(link: Connections, entry: str) -> Sequence[str]:
    page, _, ordinal = entry.partition(".")
    if page.isdigit() and (ordinal.isdigit() or not ordinal):
        return [entry]
    answer = await link.accounts.ListEntries(
        accounts.ListEntriesRequest(correlation_id=entry, page_size=_SHOWN_MAX)
    )
    return [f"{placed.page_number}.{placed.entry.ordinal}" for placed in answer.entries]


def _heads_file(run_dir: Path, journal: str) -> Path:
    return run_dir / "data" / "accounts" / "heads" / f"{journal}.jsonl"


def _public_key(key: str, run_dir: Path) -> bytes:
    """The key to trust. Raises `StartFailed`."""
    try:
        found = bytes.fromhex(key)
    except ValueError:
        found = b""
    if key and is_usable(found):
        return found
    file = Path(key) if key else run_dir / "identities" / "accounts" / "signing.pub"
    try:
        return read_public_key(file)
    except KeyUnusable as error:
        raise StartFailed(f"{error}: --key names the key that signs heads") from error


def _heads_in(file: Path) -> list[SignedHead]:
    """Heads, oldest first; a last line that is being written is none yet. Raises `StartFailed`."""
    if not file.exists() and file.name.startswith("journal-"):
        return []
    lines = _read(file).splitlines(keepends=True)
    if len(lines) > 1 and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        return [SignedHead.from_line(line) for line in lines]
    except Malformed as error:
        raise StartFailed(f"{file} holds what is no signed head: {error}") from error


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(f"{file} cannot be read: {error}") from error


def _signed(message: audit_pb2.SignedJournalHead, public_key: bytes) -> SignedHead:
    head = Head(
        message.journal,
        message.pages,
        message.page_hash,
        message.log_root,
        time_from_wire(message.written_time),
        time_from_wire(message.sign_time),
        message.previous_digest,
    )
    return SignedHead(head, public_key, message.signature)


def _proof(message: audit_pb2.EntryProof) -> Proof:
    return Proof(
        message.journal,
        message.page_number,
        message.ordinal,
        message.entry,
        message.page_entries,
        tuple(message.entry_path),
        message.page_hash,
        message.pages,
        tuple(message.page_path),
    )


def _plain(report: Report) -> dict[str, object]:
    return {
        "verdict": _verdict(report),
        "journal": report.journal,
        "pages": report.pages,
        "entries": report.entries,
        "accounts": report.accounts,
        "heads": report.heads,
        "heads_matched": report.heads_matched,
        "signed_pages": report.signed_pages,
        "accounts_compared_with_writer": report.live_compared,
        "accounts_compared_with_read_model": report.rows_compared,
        "read_model_is_what_was_signed": report.rows_are_signed,
        "findings_total": report.findings.count,
        "findings": [
            {
                "what": found.what,
                "page": found.page,
                "ordinal": found.ordinal,
                "text": found.text,
            }
            for found in report.findings.named
        ],
    }


def _verdict(report: Report) -> str:
    return "PROVEN" if report.is_proven else "DIFFERS"


def _print(report: Report) -> None:
    console.print(
        f"{report.journal}: {report.pages:,} pages, {report.entries:,} entries, "
        f"{report.accounts:,} accounts\n"
        f"signed heads: {report.heads_matched:,} of {report.heads:,} match, "
        f"pages up to {report.signed_pages - 1} are signed\n"
        f"balances compared: {report.live_compared:,} with the writer, "
        f"{report.rows_compared:,} with the read model",
        highlight=False,
    )
    if report.is_proven:
        console.print("[green]PROVEN[/] every page, sum and head is as it was written")
        return
    table = Table("what", "entry", "how it differs")
    for found in report.findings.named[:_SHOWN_MAX]:
        table.add_row(found.what, found.place, found.text)
    console.print(table)
    more = report.findings.count - min(len(report.findings.named), _SHOWN_MAX)
    if more:
        console.print(f"and {more:,} more: --json names them", highlight=False)
    if report.rows_are_signed:
        console.print("the read model's copy of the pages is the one that was signed")
    console.print(f"[red]DIFFERS[/] in {report.findings.count:,} places", highlight=False)
    sys.stdout.flush()
