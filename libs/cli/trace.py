"""`hefu trace`: the whole timeline of a payment or a fund order, over all services and banks."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from rich.text import Text

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.settlement.v1 import settlement_pb2 as settlement
from libs.cli.connections import RUN_DIR, Connections, connected
from libs.cli.decoding import decoded, name_of, one_line, when
from libs.cli.terminal import console, refuse
from libs.event_store import StoredEvent
from libs.ids import derived_id

_STYLES = {
    "funds": "blue",
    "payments": "cyan",
    "accounts": "green",
    "settlement": "magenta",
    "bank": "yellow",
}
_PAGE = 1000
# Bytes that nobody reads off a timeline; `hefu events show` has them.
_UNREADABLE = frozenset({"header", "root", "bank_root", "body", "signature", "countersignature"})
# Lists that hold many payments: only this payment's items are shown.
_LISTS = ("items", "outcomes", "disputed", "payment_ids", "matches", "lines")


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to the payment; time in microseconds."""

    at_us: int
    where: str
    what: str
    detail: Mapping[str, Any]


def trace(
    payment_id: Annotated[str, typer.Argument(help="The id of a payment, or of a fund order.")],
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the whole timeline of a payment or a fund order: events, entries, bank messages."""
    try:
        id_ = str(UUID(payment_id))
    except ValueError:
        refuse(f"payment_id: {payment_id!r} is not a UUID")

    async def work(link: Connections) -> int:
        moments = [moment async for moment in _moments(link, id_)]
        if not moments:
            console.print(f"[red]there is no payment and no fund order {id_}[/]")
            return 1
        moments.sort(key=lambda moment: moment.at_us)
        if as_json:
            for moment in moments:
                console.print_json(json.dumps(_as_json(moment)), indent=None)
        else:
            _print(id_, moments)
        return 0

    connected(run_dir, work)


async def _moments(link: Connections, id_: str) -> AsyncIterator[Moment]:
    async for moment in _order(link, id_):
        yield moment
    async for event in link.store.read(f"payment-{id_}"):
        yield _of_event("payments", event, id_)
    async for moment in _entries(link, id_):
        yield moment
    streams = [f"bank_transfer-{derived_id(id_, 'pull')}"]
    legs = await link.settlement.ListLegs(settlement.ListLegsRequest(payment_id=id_, page_size=100))
    for settlement_id in dict.fromkeys(leg.settlement_id for leg in legs.legs if leg.settlement_id):
        streams.append(f"settlement-{settlement_id}")
        async for event in link.store.read(f"settlement-{settlement_id}"):
            streams += [f"bank_transfer-{t}" for t in decoded(event).get("transfer_ids", ())]
    for stream in streams:
        async for moment in _stream(link, stream, id_):
            yield moment
    async for moment in _messages(link, id_):
        yield moment


async def _order(link: Connections, id_: str) -> AsyncIterator[Moment]:
    """A fund order's own half, its units, its registrar's day, and the payments of its cash."""
    found = [event async for event in link.store.read(f"fund_order-{id_}")]
    if not found:
        return
    told = [decoded(event) for event in found]
    for event in found:
        yield _of_event("funds", event, id_)
    streams = {*_holdings_of(told[0]), *_days_of(told), f"advance-{derived_id(id_, 'advance')}"}
    payment_ids = {str(each["payment_id"]) for each in told if each.get("payment_id")}
    for stream in sorted(streams):
        async for event in link.store.read(stream):
            content = decoded(event)
            is_of_day = stream.startswith("ta_day-")
            if is_of_day or id_ in _text(event):
                yield _of_event("funds", event, id_)
            if stream.startswith("advance-") and content.get("payment_id"):
                payment_ids.add(str(content["payment_id"]))
    for child_id in (*sorted(payment_ids), *entries_of(id_, told)):
        async for moment in _moments(link, child_id):
            yield moment


def entries_of(id_: str, told: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Orders at another registrar that a switch's proceeds pay for: its other half."""
    redemption = told[0].get("terms", {}).get("redemption", {})
    if redemption.get("target_code"):
        for row_id in sorted({str(each["row_id"]) for each in told if each.get("row_id")}):
            yield str(derived_id(id_, f"enter:{row_id}"))


def _holdings_of(placed: Mapping[str, Any]) -> Iterable[str]:
    """Streams of the holdings that an order touches."""
    terms = placed.get("terms", {})
    for kind in terms.values():
        if isinstance(kind, dict):
            for code in (kind.get("fund_code"), kind.get("target_code")):
                if code:
                    yield f"holding-{terms['investor_id']}-{code}"


def _days_of(told: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Streams of the registrar's days on which it was dealt with."""
    ta_id = ""
    for event in told:
        ta_id = str(event.get("ta_id", ta_id))
        row = event.get("confirmation", event)
        if ta_id and row.get("trade_date"):
            yield f"ta_day-{ta_id}-{row['trade_date']}"


async def _stream(link: Connections, stream: str, id_: str) -> AsyncIterator[Moment]:
    found = [event async for event in link.store.read(stream)]
    # A batch belongs to this payment only if its first event, the intent, names it.
    if stream.startswith("bank_transfer-") and (not found or id_ not in _text(found[0])):
        return
    for event in found:
        content = decoded(event)
        of_others = any(name in content for name in _LISTS) and id_ not in _text(event)
        if not of_others:
            yield _of_event("settlement", event, id_)


async def _entries(link: Connections, id_: str) -> AsyncIterator[Moment]:
    found = await link.accounts.ListEntries(
        accounts.ListEntriesRequest(correlation_id=id_, page_size=_PAGE)
    )
    for placed in found.entries:
        entry = MessageToDict(placed.entry, preserving_proto_field_name=True)
        fact = placed.entry.WhichOneof("fact") or "entry"
        detail = {
            "entry": f"{placed.page_number}/{placed.entry.ordinal}",
            **entry.get(fact, {}),
            **({"obligation": entry["obligation"]} if "obligation" in entry else {}),
        }
        name = "".join(part.capitalize() for part in fact.split("_"))
        yield Moment(placed.written_time.ToMicroseconds(), "accounts", name, detail)


async def _messages(link: Connections, id_: str) -> AsyncIterator[Moment]:
    found = await link.settlement.ListBankMessages(
        settlement.ListBankMessagesRequest(payment_id=id_, page_size=_PAGE)
    )
    for message in found.messages:
        arrow = "→" if message.is_sent else "←"
        detail = {
            "bank": message.bank_id,
            "summary": message.summary,
            "size": f"{message.size_bytes} bytes",
            "message": message.message_id,
            **({"repeat": "counted, changes nothing"} if message.is_repeat else {}),
            **({"set aside": message.quarantine_reason} if message.quarantine_reason else {}),
        }
        at_us = message.record_time.ToMicroseconds()
        yield Moment(at_us, "bank", f"{arrow} {message.message_type}", detail)


def _of_event(where: str, event: StoredEvent, id_: str) -> Moment:
    content = {
        name: _only(name, value, id_)
        for name, value in decoded(event).items()
        if name not in _UNREADABLE
    }
    return Moment(event.recorded_us, where, name_of(event.type), content)


def _only(name: str, value: object, id_: str) -> object:
    if name not in _LISTS or not isinstance(value, list):
        return value
    mine = [each for each in value if each == id_ or id_ in getattr(each, "values", tuple)()]
    return mine or f"{len(value)} in all"


def _text(event: StoredEvent) -> str:
    return event.data.decode("utf-8", "replace")


def _as_json(moment: Moment) -> dict[str, object]:
    return {
        "at_us": moment.at_us,
        "where": moment.where,
        "what": moment.what,
        "detail": moment.detail,
    }


def _print(id_: str, moments: Iterable[Moment]) -> None:
    moments = list(moments)
    kind = "fund order" if any(each.what == "FundOrderPlaced" for each in moments) else "payment"
    table = Table(title=f"{kind} {id_}", title_justify="left", show_lines=False)
    table.add_column("at (UTC)", no_wrap=True)
    table.add_column("+ms", justify="right")
    table.add_column("where", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("detail", overflow="fold")
    first = before = None
    for moment in moments:
        first = first if first is not None else moment.at_us
        since = "" if before is None else f"{(moment.at_us - before) // 1000:,}"
        before = moment.at_us
        where = Text(moment.where, style=_STYLES.get(moment.where, ""))
        table.add_row(when(moment.at_us), since, where, moment.what, one_line(moment.detail))
    console.print(table)
    if first is not None and before is not None:
        console.print(f"{(before - first) / 1_000_000:.3f} s from the first to the last")
