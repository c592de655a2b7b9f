"""Makes .venv from the lock with nothing but python3, and says in one line what is missing."""

import re
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
# --no-input and no version check: set-up asks nothing and says nothing that is not its business.
PIP = [str(PYTHON), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]

CLEAR = "\r\033[K" if sys.stdout.isatty() else ""


class CannotSetUp(Exception):
    """The machine lacks something; the message says what, and how to get it."""


def set_up() -> None:
    """Bring .venv to exactly what the lock says, with the project on its path."""
    if sys.version_info < OLDEST:
        found = ".".join(str(number) for number in sys.version_info[:2])
        raise CannotSetUp(
            f"python3 is {found}, and 3.11 or newer is needed (PYTHON= names another)"
        )
    if not PYTHON.exists():
        _make_environment()
    _install_locked()
    project = [*PIP, "-q", "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    if subprocess.run(project, check=False).returncode != 0:
        raise CannotSetUp("pip could not install the project itself; its lines above say why")
    (VENV / ".ready").touch()


def _make_environment() -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 - absence is what we ask about
        import venv  # noqa: PLC0415 - the same
    except ImportError as missing:
        raise CannotSetUp("python3 has no venv; install it: apt install python3-venv") from missing
    _say("setup: making .venv\n")
    venv.EnvBuilder(with_pip=True, symlinks=True).create(VENV)


def _install_locked() -> None:
    """Install every pin by its hash, wheels only, counting as pip goes."""
    total = len(re.findall(r"^[a-z0-9].*==", LOCK.read_text(), flags=re.MULTILINE))
    command = [*PIP, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)]
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip:
        for line in pip.stdout or ():
            if line.startswith(("Collecting", "Processing", "Requirement already satisfied")):
                # The lock also names what other systems need, so the count may end below it.
                seen += 1
                _progress(f"{min(seen, total)} of {total} packages found")
            elif line.startswith("Installing collected"):
                _progress("installing")
    if pip.returncode != 0:
        raise CannotSetUp("pip could not install the locked packages; its lines above say why")
    _say(f"{CLEAR}setup: .venv holds what the lock names\n")


def _progress(words: str) -> None:
    # A log file gets the last line only; a person gets one line that counts.
    if sys.stdout.isatty():
        _say(f"{CLEAR}setup: {words}")


def _say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        set_up()
    except CannotSetUp as reason:
        sys.exit(f"setup: {reason}")
