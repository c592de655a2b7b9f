"""The clock as a value: only the edge asks it, everything else is told."""

import time
from collections.abc import Callable
from typing import TypeAlias

# Microseconds since 1970.
Clock: TypeAlias = Callable[[], int]


def system_clock() -> int:
    """Wall time in microseconds since 1970."""
    return time.time_ns() // 1_000
