"""Who calls: tokens made and checked (JWT, Ed25519), and peers named by their certificate."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIENCE = "hefu"
# The second approves what the first proposes.
OPERATORS = ("operator", "checker")
ROLES = frozenset({"wallet", "operator", "service", "bank", "registrar"})
ALGORITHMS = ["Ed25519"]
LEEWAY_S = 60
TOKEN_CACHE_MAX = 10_000
TOKEN_LENGTH_MAX = 4_096
_TOKEN_ROLES = ROLES - {"bank", "registrar"}
_SERVICE_URI = "hefu://service/"
_BANK_URI = "hefu://bank/"
_REGISTRAR_URI = "hefu://registrar/"


@dataclass(frozen=True, slots=True)
class Caller:
    """A name and its role: wallet, operator, service, bank or registrar."""

    name: str
    role: str


class Unauthenticated(Exception):
    """The caller could not be named. The text says why, and nothing of the token."""


_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Who called the RPC in hand. Raises `LookupError` outside of one."""
    return _caller.get()


def set_caller(caller: Caller) -> None:
    """Name the caller for what runs in this context from now on."""
    _caller.set(caller)


def mint(key_file: Path, caller: Caller, *, lifetime_s: int, now_s: float | None = None) -> str:
    """A token for a caller, signed with the authority's token key (PEM)."""
    if caller.role not in _TOKEN_ROLES:
        raise ValueError(f"{caller.role!r} has no tokens")
    issued_s = int(time.time() if now_s is None else now_s)
    claims = {
        "sub": caller.name,
        "role": caller.role,
        "aud": AUDIENCE,
        "iat": issued_s,
        "exp": issued_s + lifetime_s,
    }
    from joserfc import jwt  # noqa: PLC0415 - late: who knows peers by certificate needs no tokens
    from joserfc.jwk import OKPKey  # noqa: PLC0415 - as above

    key = OKPKey.import_key(key_file.read_text())
    return jwt.encode({"alg": "Ed25519"}, claims, key, algorithms=ALGORITHMS)


class Verifier:
    """Checks tokens by the public token key. What was checked is remembered until it expires."""

    def __init__(self, token_pub: Path) -> None:
        from joserfc.jwk import OKPKey  # noqa: PLC0415 - as above

        self._key = OKPKey.import_key(token_pub.read_text())
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def verify(self, token: str, now_s: float | None = None) -> Caller:
        """The caller a token names. Raises `Unauthenticated`."""
        at_s = time.time() if now_s is None else now_s
        known = self._known.get(token)
        if known is not None:
            if at_s <= known[1] + LEEWAY_S:
                return known[0]
            del self._known[token]
        if len(token) > TOKEN_LENGTH_MAX:
            raise Unauthenticated("token too long")
        caller, expires_s = self._check(token, int(at_s))
        self._known[token] = caller, expires_s
        if len(self._known) > TOKEN_CACHE_MAX:
            self._known.popitem(last=False)
        return caller

    def _check(self, token: str, now_s: int) -> tuple[Caller, float]:
        from joserfc import jwt  # noqa: PLC0415 - as above
        from joserfc.errors import JoseError  # noqa: PLC0415 - as above

        registry = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=LEEWAY_S,
            exp={"essential": True},
            iat={"essential": True},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            role={"essential": True, "values": sorted(_TOKEN_ROLES)},
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthenticated(f"token refused: {type(error).__name__}") from error
        return _caller_of(claims)


def _caller_of(claims: Mapping[str, Any]) -> tuple[Caller, float]:
    name, role, expires = claims["sub"], claims["role"], claims["exp"]
    if (
        not (isinstance(name, str) and isinstance(role, str) and isinstance(expires, int))
        or not name
    ):
        raise Unauthenticated("token refused: malformed claims")
    return Caller(name, role), float(expires)


def caller_of_peer(names: tuple[str, ...]) -> Caller:
    """The caller a client certificate names by the one `hefu://` URI among its alternative names.

    Raises `Unauthenticated`.
    """
    uris = [name for name in names if name.startswith("hefu://")]
    if len(uris) != 1:
        raise Unauthenticated("the certificate must carry exactly one hefu:// URI")
    uri = uris[0]
    if uri.startswith(_BANK_URI) and uri != _BANK_URI:
        return Caller(uri.removeprefix(_BANK_URI), "bank")
    if uri.startswith(_REGISTRAR_URI) and uri != _REGISTRAR_URI:
        return Caller(uri.removeprefix(_REGISTRAR_URI), "registrar")
    if uri.startswith(_SERVICE_URI) and uri != _SERVICE_URI:
        name = uri.removeprefix(_SERVICE_URI)
        return Caller(name, role_of(name))
    raise Unauthenticated("the certificate's URI names no bank, registrar or service")


def host_of(uri: str) -> str:
    """The host name of an identity, beside its URI in its certificate: `cd.bank.hefu.internal`.

    A gRPC client can demand a host name of a server, and no URI.
    """
    kind, _, name = uri.removeprefix("hefu://").partition("/")
    return f"{name}.{kind}.hefu.internal".lower()


def role_of(name: str) -> str:
    """The role of an identity of ours: of operators and the wallet their own, else a service's."""
    if name in OPERATORS:
        return "operator"
    return name if name == "wallet" else "service"
