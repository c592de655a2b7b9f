"""A call to the writer: items that came together, and what has become of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Item
from services.accounts.domain.journal import Decision
from services.accounts.domain.recalling import Found, Key

# A decision with its page; of a plain transfer that was posted, the item of the answer.
Decided: TypeAlias = tuple[int, Decision] | str


@dataclass(slots=True)
class Call:
    """`at`: how many of its items are decided."""

    caller: Caller
    items: Sequence[Item]
    done: asyncio.Future[list[Decided]]
    decided: list[Decided] = field(default_factory=list)
    # The last page on which one of its plain transfers was posted.
    page_number: int = -1
    at: int = 0
    # So many of the items may be decided now: what they could meet is in the book ...
    ready: int = 0
    # ... except for these, by their place in the call: the index did not answer.
    behind: dict[int, str] = field(default_factory=dict)
    # What is taken on another shard, though none of it is in this one's index.
    elsewhere: Mapping[Key, Found] = field(default_factory=dict)
