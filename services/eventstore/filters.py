"""Which events a reader of the whole log wants, by stream name or event type."""

import re
from dataclasses import dataclass
from typing import Final

PATTERN_LENGTH_MAX: Final = 2_000
_INDEX_PREFIX = "$idx-"
_REPEATED_REPEAT = re.compile(r"[*+}][^()]*\)+[*+{]")


@dataclass(frozen=True, slots=True)
class Filter:
    """Prefixes or a regular expression on one of the two names, and how often to report progress.

    `checkpoint_every` counts considered events; 0 means never.
    """

    is_by_stream: bool
    prefixes: tuple[str, ...]
    pattern: re.Pattern[str] | None
    checkpoint_every: int

    def wants(self, name: str) -> bool:
        """Judge a stream name or an event type."""
        if self.pattern is None:
            return name.startswith(self.prefixes)
        return self.pattern.search(name) is not None


def make_filter(
    *, is_by_stream: bool, prefixes: tuple[str, ...], regex: str, checkpoint_every: int
) -> Filter:
    """Build a filter; ValueError says what is wrong with it."""
    if any(prefix.startswith(_INDEX_PREFIX) for prefix in prefixes):
        raise ValueError("reading by secondary index is not supported")
    if bool(prefixes) == bool(regex):
        raise ValueError("a filter has either prefixes or a regular expression")
    if len(regex) > PATTERN_LENGTH_MAX:
        message = f"the regular expression is longer than {PATTERN_LENGTH_MAX} characters"
        raise ValueError(message)
    pattern = _compile(regex) if regex else None
    return Filter(is_by_stream, prefixes, pattern, checkpoint_every)


def _compile(regex: str) -> re.Pattern[str]:
    # A repeat of a repeat can take for ever on one name, and nothing can interrupt it.
    if _REPEATED_REPEAT.search(regex):
        raise ValueError("the regular expression repeats a group that repeats")
    try:
        return re.compile(regex)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"the regular expression does not compile: {error}"
        raise ValueError(message) from None
