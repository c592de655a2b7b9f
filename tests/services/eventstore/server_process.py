"""A real event store process with TLS, users and a folder of its own."""

import datetime as dt
import ipaddress
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kurrentdbclient import AsyncKurrentDBClient

from libs.passwords import hash_password

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "cut-in-two"  # noqa: S105 - of a server that lives as long as a test
_EXIT_S = 30


class Identity:
    """A certificate for localhost and a users file, made once for all servers of a run."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.users = folder / "users.json"
        self._write_certificate()
        self.users.write_text(
            json.dumps(
                [
                    {
                        "name": role,
                        "salt": f"salt of {role}",
                        "hash": hash_password(PASSWORD, f"salt of {role}"),
                        "role": role,
                    }
                    for role in ("reader", "writer", "operator")
                ]
            )
        )

    def _write_certificate(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


class ServerProcess:
    """`python -m services.eventstore` on a free port; `port` is known once it serves."""

    def __init__(self, identity: Identity, data_dir: Path, **more: str) -> None:
        self.identity = identity
        self.data_dir = data_dir
        self.port = 0
        environment = {
            **os.environ,
            "HEFU_PORT": "0",
            "HEFU_DATA_DIR": str(data_dir),
            "HEFU_TLS_CERT": str(identity.certificate),
            "HEFU_TLS_KEY": str(identity.key),
            "HEFU_USERS_FILE": str(identity.users),
            "HEFU_RESERVE_BYTES": "0",
            **more,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.eventstore"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def serve(self) -> "ServerProcess":
        """Wait until it serves, or fail with what it said."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said["event"] == "serving":
                self.port = said["port"]
                return self
        raise AssertionError(self.refusal())

    def refusal(self) -> str:
        """Wait for a start that fails; what it said last."""
        _, errors = self._process.communicate(timeout=_EXIT_S)
        return errors.strip().splitlines()[-1] if errors.strip() else ""

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> int:
        """Wait until it ends by itself."""
        self._process.communicate(timeout=_EXIT_S)
        return self._process.returncode

    def last_words(self) -> tuple[str, int]:
        """Wait until it ends by itself; all that it said since it serves, and its exit code."""
        assert self._process.stdout is not None
        # The reader of lines may have read ahead, and `communicate` passes over what it holds.
        said = self._process.stdout.read()
        return said, self.wait()

    def stop_unheard(self) -> int:
        """Ask it to end when nobody reads what it says any more; its exit code."""
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_EXIT_S)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.kill()
        self.wait()

    def client(self, role: str = "operator") -> AsyncKurrentDBClient:
        """A client of the real library, over TLS."""
        return AsyncKurrentDBClient(
            f"kdb://{role}:{PASSWORD}@localhost:{self.port}"
            f"?TlsCaFile={self.identity.certificate}&DefaultDeadline=20"
        )
