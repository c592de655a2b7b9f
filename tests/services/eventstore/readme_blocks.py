"""Runs blocks of Python in one namespace, in order; prints which failed, by number, as JSON."""

import json
import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Optional
from uuid import UUID

BLOCK_S = 20
ADDRESS = re.compile(r'"(?:kdb|esdb|kurrentdb)(?:\+discover)?://[^"]*"')


def _give_up(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def main() -> None:
    blocks: list[str] = json.loads(Path(sys.argv[1]).read_text())
    # The examples take some names for granted.
    names: dict[str, Any] = {"UUID": UUID, "Optional": Optional, "__name__": "readme"}
    signal.signal(signal.SIGALRM, _give_up)
    failures: dict[int, str] = {}
    for number, block in enumerate(blocks):
        # The first ones show addresses of servers that are not there.
        source = ADDRESS.sub(repr(os.environ["KDB_URI"]), block) if number < 3 else block
        signal.alarm(BLOCK_S)
        try:
            exec(compile(source, f"block {number}", "exec"), names)  # noqa: S102 - that is the task
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            failures[number] = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
    sys.stdout.write(json.dumps(failures))
    sys.stdout.flush()
    # Clients that the examples leave open would keep the process waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
