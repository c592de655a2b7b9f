"""The supervisor's own log lines: JSON as everybody's, without what makes a start slow."""

import json
import sys
from datetime import UTC, datetime


def log_line(event: str, **fields: object) -> None:
    """One event and its fields as a JSON line on standard output."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": event, **fields, "time": at, "level": "warning", "service": "supervisor"}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
