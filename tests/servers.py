"""Real servers for tests: the event store and NATS, with TLS, on ports that survive a restart."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from libs.authority import Identity, establish
from libs.passwords import hash_password

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "cut-in-two"  # noqa: S105 - of servers that live as long as a test
IDENTITIES = ("eventstore", "nats", "accounts", "payments", "settlement")
_START_S = 60
_EXIT_S = 30


class Server:
    """A child process whose output is read by a thread, so that it never blocks on it."""

    def __init__(
        self,
        command: Sequence[str],
        is_ready: Callable[[str], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = tuple(command)
        self._is_ready = is_ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._reading: threading.Thread | None = None
        self.said: list[str] = []

    def start(self) -> None:
        """Start, and wait until it says that it is ready."""
        ready = threading.Event()
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, args=(ready,))
        self._reading.start()
        if not ready.wait(_START_S) or self._process.poll() is not None:
            self.kill()
            raise AssertionError("\n".join(self.said[-20:]))

    def _read(self, ready: threading.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.said.append(line.rstrip())
                if self._is_ready(line):
                    ready.set()
        ready.set()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
        self._process.wait(_EXIT_S)
        assert self._reading is not None
        self._reading.join(_EXIT_S)
        self._process = None


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def identities(run_dir: Path) -> Path:
    """Make certificates for all; the folder that holds one folder each."""
    establish(run_dir, [Identity(name, signs=name == "accounts") for name in IDENTITIES])
    return run_dir / "identities"


class EventStoreServer(Server):
    """`python -m services.eventstore`; `uri` is for any role's client."""

    def __init__(self, folder: Path, identity: Path) -> None:
        self.port = free_port()
        users = folder / "users.json"
        folder.mkdir(parents=True, exist_ok=True)
        users.write_text(
            json.dumps(
                [
                    {
                        "name": "writer",
                        "salt": "salt",
                        "hash": hash_password(PASSWORD, "salt"),
                        "role": "operator",
                    }
                ]
            )
        )
        self.uri = f"kdb://writer:{PASSWORD}@localhost:{self.port}?TlsCaFile={identity / 'ca.pem'}"
        super().__init__(
            [sys.executable, "-m", "services.eventstore"],
            lambda line: '"serving"' in line,
            {
                "HEFU_PORT": str(self.port),
                "HEFU_DATA_DIR": str(folder / "data"),
                "HEFU_TLS_CERT": str(identity / "cert.pem"),
                "HEFU_TLS_KEY": str(identity / "key.pem"),
                "HEFU_USERS_FILE": str(users),
                "HEFU_RESERVE_BYTES": "0",
            },
        )


class NatsServer(Server):
    """`nats-server` with JetStream, TLS and clients known by their certificates."""

    def __init__(self, folder: Path, identity: Path) -> None:
        self.port = free_port()
        self.address = f"tls://localhost:{self.port}"
        self.store_dir = folder / "jetstream"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nats.conf"
        users = "\n".join(
            f'    {{ user: "hefu://service/{name}" }}' for name in IDENTITIES if name != "nats"
        )
        config.write_text(
            f"""
listen: "localhost:{self.port}"
jetstream {{
  store_dir: "{self.store_dir}"
  sync_interval: always
}}
tls {{
  cert_file: "{identity / "cert.pem"}"
  key_file: "{identity / "key.pem"}"
  ca_file: "{identity / "ca.pem"}"
  verify_and_map: true
}}
authorization {{
  users = [
{users}
  ]
}}
"""
        )
        super().__init__(
            [str(Path(sys.executable).with_name("nats-server")), "-c", str(config)],
            lambda line: "Server is ready" in line,
        )

    def lose_disk(self) -> None:
        """Delete all that JetStream keeps, under the running server."""
        shutil.rmtree(self.store_dir, ignore_errors=True)


def new_database(server: str, name: str = "") -> str:
    """A fresh database on a PostgreSQL server; its address."""
    name = name or f"test_{uuid.uuid4().hex}"
    address = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C'"))
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)


def children_of(pid: int | str) -> set[int]:
    """Processes that this one started; none where the system does not list them."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return set()
    return {int(pid) for task in tasks.iterdir() for pid in _read(task / "children").split()}


def _read(path: Path) -> str:
    # A thread may end between the listing and the reading.
    try:
        return path.read_text()
    except OSError:
        return ""
