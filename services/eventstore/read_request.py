"""A read request, checked: what to read, from where, which way, how much, and for whom."""

from dataclasses import dataclass
from typing import Final

from services.eventstore import requests
from services.eventstore.errors import invalid
from services.eventstore.filters import Filter, make_filter
from services.eventstore.pages import Presentation
from services.eventstore.protocol import streams

_Options = streams.ReadReq.Options
_SIGNED_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Read:
    """`stream` None means the whole log; `start` None the start, or the end if `is_from_end`.

    `count` None makes it a subscription.
    """

    stream: str | None
    start: int | None
    is_from_end: bool
    is_backwards: bool
    count: int | None
    wanted: Filter | None
    presentation: Presentation


def parse(request: streams.ReadReq) -> Read:
    """Check a request; INVALID_ARGUMENT names what is wrong."""
    options = request.options
    stream, start, is_from_end = _place(options)
    is_backwards = options.read_direction == _Options.Backwards
    count = _count(options)
    if count is None and is_backwards:
        raise invalid("read_direction", "a subscription goes forwards")
    uuid_option = options.uuid_option.WhichOneof("content")
    if uuid_option is None:
        raise invalid("uuid_option", "is missing")
    return Read(
        stream,
        start,
        is_from_end,
        is_backwards,
        count,
        _filter(options),
        Presentation(uuid_option == "structured", options.resolve_links),
    )


def _place(options: _Options) -> tuple[str | None, int | None, bool]:
    match options.WhichOneof("stream_option"):
        case "stream":
            name = requests.stream_name(options.stream.stream_identifier)
            return name, *_start(
                options.stream.WhichOneof("revision_option"), options.stream.revision
            )
        case "all":
            return None, *_start(
                options.all.WhichOneof("all_option"), options.all.position.commit_position
            )
        case _:
            raise invalid("stream_option", "is missing")


def _start(choice: str | None, value: int) -> tuple[int | None, bool]:
    if choice is None:
        raise invalid("stream_option", "does not say where to start")
    is_exact = choice in {"revision", "position"}
    return (min(value, _SIGNED_MAX) if is_exact else None), choice == "end"


def _count(options: _Options) -> int | None:
    match options.WhichOneof("count_option"):
        case "count":
            return min(options.count, _SIGNED_MAX)
        case "subscription":
            return None
        case _:
            raise invalid("count_option", "is missing")


def _filter(options: _Options) -> Filter | None:
    match options.WhichOneof("filter_option"):
        case "no_filter":
            return None
        case "filter":
            pass
        case _:
            raise invalid("filter_option", "is missing")
    if options.WhichOneof("stream_option") != "all":
        raise invalid("filter", "is for reading $all only")
    wanted = options.filter
    match wanted.WhichOneof("window"):
        case "max":
            window = wanted.max
            if window == 0:
                raise invalid("filter.max", "is 0")
        case "count":
            window = 1
        case _:
            raise invalid("filter.window", "is missing")
    match wanted.WhichOneof("filter"):
        case "stream_identifier":
            expression = wanted.stream_identifier
        case "event_type":
            expression = wanted.event_type
        case _:
            raise invalid("filter", "has no expression")
    try:
        return make_filter(
            is_by_stream=wanted.HasField("stream_identifier"),
            prefixes=tuple(expression.prefix),
            regex=expression.regex,
            checkpoint_every=window * max(1, wanted.checkpointIntervalMultiplier),
        )
    except ValueError as error:
        raise invalid("filter", str(error)) from None
