"""`hefu audit`: proves the books from the first page, or one entry to who holds an old head."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from rich.table import Table

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import audit_pb2, events_pb2
from libs.cli.auditing import Audit, Verdict
from libs.cli.auditing_live import LiveAudit
from libs.cli.connections import RUN_DIR, Connections, connected
from libs.cli.decoding import when
from libs.cli.terminal import EXIT_FAILED, console, sharing
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
    run_dir: RunDir = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Verify every page, sum and signed head, and compare with the writer and the read model."""
    if context.invoked_subcommand is not None:
        return
    public_key = _public_key(key, run_dir)

    def signed_for(journal: str) -> list[SignedHead]:
        held = _heads_in(heads or _heads_file(run_dir, journal))
        return [each for each in held if each.head.journal == journal]

    async def work(link: Connections) -> int:
        with sharing(transient=True, quiet=as_json) as progress:
            audits: list[Audit] = []
            for journal, pages in await _journals(link):
                bar = progress.add_task(journal, total=pages)
                audits.append(
                    Audit(
                        link.store,
                        journal,
                        signed_for(journal),
                        public_key,
                        lambda done, bar=bar: progress.update(bar, completed=done),  # type: ignore[misc]
                    )
                )
                await audits[-1].read()
            live = LiveAudit(audits)
            await live.hold_against_writers(link.accounts)
            await live.hold_against_rows(link.audit)
            for each in audits:
                each.check.end()
        verdict = live.verdict()
        if as_json:
            typer.echo(json.dumps(_plain(verdict)))
        else:
            _print(verdict)
        return 0 if verdict.is_proven else EXIT_FAILED

    connected(run_dir, work)


@app.command()
def head(
    shard: Annotated[int, typer.Option(min=0, help="Of which journal.")] = 0,
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Print the newest signed head, one line of JSON: keep it where we cannot change it."""

    async def work(link: Connections) -> None:
        answer = await link.audit.GetJournalHead(audit_pb2.GetJournalHeadRequest(shard=shard))
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


async def _journals(link: Connections) -> list[tuple[str, int]]:
    """The journals in the store, and how many pages each has."""
    found: list[tuple[str, int]] = []
    while True:
        journal = f"journal-{len(found)}"
        last = await link.store.read_last(journal)
        if last is None and found:
            return found
        found.append((journal, 0 if last is None else last.revision + 1))


async def _places(link: Connections, entry: str) -> Sequence[str]:
    page, _, ordinal = entry.partition(".")
    if page.isdigit() and (ordinal.isdigit() or not ordinal):
        return [entry]
    answer = await link.accounts.ListEntries(
        accounts.ListEntriesRequest(correlation_id=entry, page_size=_SHOWN_MAX)
    )
    return [f"{each.page_number}.{each.entry.ordinal}" for each in answer.entries]


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


def _plain(verdict: Verdict) -> dict[str, object]:
    return {
        "verdict": "PROVEN" if verdict.is_proven else "DIFFERS",
        "pages": sum(each.pages for each in verdict.reports),
        "entries": sum(each.entries for each in verdict.reports),
        "accounts": sum(each.accounts for each in verdict.reports),
        "journals": [asdict(each) for each in verdict.reports],
        "accounts_compared_with_writer": verdict.with_writer,
        "accounts_compared_with_read_model": verdict.with_rows,
        "accounts_moving": verdict.moving,
        "findings_total": verdict.findings.count,
        "findings": [asdict(found) for found in verdict.findings.named],
    }


def _print(verdict: Verdict) -> None:
    for each in verdict.reports:
        console.print(
            f"{each.journal}: {each.pages:,} pages, {each.entries:,} entries, "
            f"{each.accounts:,} accounts; {each.heads_matched:,} of {each.heads:,} signed heads "
            f"match, {each.signed_pages:,} pages are signed",
            highlight=False,
        )
    moving = f", {verdict.moving:,} never stood still" if verdict.moving else ""
    console.print(
        f"balances compared: {verdict.with_writer:,} with the writer{moving}, "
        f"{verdict.with_rows:,} with the read model",
        highlight=False,
    )
    if verdict.is_proven:
        console.print("[green]PROVEN[/] every page, sum and head is as it was written")
        return
    findings = verdict.findings
    table = Table("what", "journal", "entry", "how it differs")
    for found in findings.named[:_SHOWN_MAX]:
        table.add_row(found.what, found.journal, found.place, found.text)
    console.print(table)
    more = findings.count - min(len(findings.named), _SHOWN_MAX)
    if more:
        console.print(f"and {more:,} more: --json names them", highlight=False)
    for each in verdict.reports:
        if each.rows_are_signed:
            text = f"{each.journal}: the read model's copy of the pages is the one that was signed"
            console.print(text, highlight=False)
    console.print(f"[red]DIFFERS[/] in {findings.count:,} places", highlight=False)
