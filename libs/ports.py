"""Ports of this machine: which are free, and some that are."""

import errno
import random
import socket

from libs.failure import StartFailed

# Below the range that outgoing connections take theirs from.
_CHOICE = range(20_000, 32_000)
_TRIES_MAX = 2_000
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of localhost."""
    for family, host in _HOSTS:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            if family == socket.AF_INET6 and not _has_ipv6(error):
                continue
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports that are free now. Raises `StartFailed`."""
    found: list[int] = []
    candidates = random.SystemRandom().sample(_CHOICE, _TRIES_MAX)
    for port in candidates:
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise StartFailed(f"no {count} free ports between {_CHOICE.start} and {_CHOICE.stop}")


def _has_ipv6(error: OSError) -> bool:
    # A machine without IPv6 refuses the family or the address, not the port.
    return error.errno in {errno.EADDRINUSE, errno.EACCES}
