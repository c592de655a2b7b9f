"""The examples that the client's package brings along, run in their order against our server."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.eventstore.server_process import PASSWORD, ROOT, ServerProcess

# What needs something else: persistent subscriptions and projections are not served, the last ones
# want packages that we do not install. Named by what is in their text.
NOT_SERVED = re.compile(
    r"create_subscription_to|read_subscription_to|update_subscription_to|replay_parked"
    r"|get_subscription_info|list_subscriptions|delete_subscription|projection"
)
NOT_INSTALLED = re.compile(r"fastapi|opentelemetry")
# What such a block would have left for the next one.
FOLLOWS_FROM_THEM = re.compile(r"^assert len\(events\) == 3$", re.MULTILINE)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_every_example_that_can_be_served_works(server: ServerProcess, tmp_path: Path) -> None:
    text = importlib.metadata.distribution("kurrentdbclient").read_text("METADATA") or ""
    blocks = [
        block.replace("localhost:2113", f"localhost:{server.port}").replace(
            "('localhost', 2113)", f"('localhost', {server.port})"
        )
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ]
    assert len(blocks) > 80
    script = tmp_path / "blocks.json"
    script.write_text(json.dumps(blocks))
    uri = (
        f"kdb://operator:{PASSWORD}@localhost:{server.port}"
        f"?TlsCaFile={server.identity.certificate}&DefaultDeadline=10"
    )
    certificates = server.identity.certificate.read_text()
    run = subprocess.run(
        [sys.executable, "-m", "tests.services.eventstore.readme_blocks", str(script)],
        cwd=ROOT,
        env={**os.environ, "KDB_URI": uri, "KDB_ROOT_CERTIFICATES": certificates},
        capture_output=True,
        text=True,
        check=False,
    )
    failures = {int(n): said for n, said in json.loads(run.stdout).items()}
    unexpected = {
        n: said
        for n, said in failures.items()
        if not (
            NOT_SERVED.search(blocks[n])
            or NOT_INSTALLED.search(blocks[n])
            or FOLLOWS_FROM_THEM.search(blocks[n])
        )
    }
    assert unexpected == {}
