"""Tokens: good ones name their caller, others are refused; certificates name peers by their URI."""

import base64
import hmac
import json
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from libs.auth import (
    LEEWAY_S,
    TOKEN_LENGTH_MAX,
    Caller,
    Unauthenticated,
    Verifier,
    caller_of_peer,
    current_caller,
    host_of,
    mint,
    set_caller,
)
from libs.authority import Identity, establish

NOW_S = 1_800_000_000
CLAIMS = {"sub": "payments", "role": "service", "aud": "hefu", "iat": NOW_S, "exp": NOW_S + 600}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    establish(tmp_path, [Identity("payments")])
    return tmp_path / "authority"


@pytest.fixture
def verifier(authority: Path) -> Verifier:
    return Verifier(authority / "token.pub")


def _signed(authority: Path, claims: object, algorithm: str = "Ed25519") -> str:
    key = OKPKey.import_key((authority / "token.key").read_text())
    assert isinstance(claims, dict)
    return jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_names_its_caller(authority: Path, verifier: Verifier) -> None:
    token = mint(authority / "token.key", Caller("app", "wallet"), lifetime_s=600, now_s=NOW_S)

    assert verifier.verify(token, NOW_S) == Caller("app", "wallet")


def test_a_token_that_was_checked_still_expires(authority: Path, verifier: Verifier) -> None:
    token = mint(authority / "token.key", Caller("app", "wallet"), lifetime_s=600, now_s=NOW_S)
    verifier.verify(token, NOW_S)

    assert verifier.verify(token, NOW_S + 600 + LEEWAY_S) == Caller("app", "wallet")
    with pytest.raises(Unauthenticated):
        verifier.verify(token, NOW_S + 600 + LEEWAY_S + 2)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW_S - LEEWAY_S - 2},
        {"exp": None},
        {"exp": "tomorrow"},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"role": "bank"},
        {"role": "root"},
        {"role": None},
        {"iat": NOW_S + LEEWAY_S + 60},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(
    authority: Path, verifier: Verifier, changed: dict[str, object]
) -> None:
    claims = {k: v for k, v in {**CLAIMS, **changed}.items() if v is not None}

    with pytest.raises(Unauthenticated):
        verifier.verify(_signed(authority, claims), NOW_S)


def test_a_token_of_another_authority_is_refused(tmp_path: Path, verifier: Verifier) -> None:
    establish(tmp_path / "other", [])
    token = _signed(tmp_path / "other" / "authority", CLAIMS)

    with pytest.raises(Unauthenticated):
        verifier.verify(token, NOW_S)


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    authority: Path, verifier: Verifier
) -> None:
    parts = (json.dumps({"alg": "HS256"}), json.dumps(CLAIMS))
    signed = ".".join(_base64(part.encode()) for part in parts)
    secret = (authority / "token.pub").read_bytes()
    token = f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"

    with pytest.raises(Unauthenticated):
        verifier.verify(token, NOW_S)


def test_a_token_without_a_signature_is_refused(authority: Path, verifier: Verifier) -> None:
    _, body, _ = _signed(authority, CLAIMS).split(".")
    head = _base64(json.dumps({"alg": "none"}).encode())

    with pytest.raises(Unauthenticated):
        verifier.verify(f"{head}.{body}.", NOW_S)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "\ud800", "x" * (TOKEN_LENGTH_MAX + 1)])
def test_what_is_no_token_is_refused(verifier: Verifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier.verify(token, NOW_S)


def test_a_changed_token_is_refused(authority: Path, verifier: Verifier) -> None:
    head, body, signature = _signed(authority, CLAIMS).split(".")
    claims = json.dumps({**CLAIMS, "role": "operator"}).encode()
    other = _base64(claims)
    assert other != body

    with pytest.raises(Unauthenticated):
        verifier.verify(f"{head}.{other}.{signature}", NOW_S)


def test_a_bank_has_no_tokens(authority: Path) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        mint(authority / "token.key", Caller("CD", "bank"), lifetime_s=600)


@pytest.mark.parametrize(
    ("names", "caller"),
    [
        (("localhost", "127.0.0.1", "hefu://bank/CD"), Caller("CD", "bank")),
        (("hefu://service/settlement",), Caller("settlement", "service")),
        (("hefu://service/operator",), Caller("operator", "operator")),
        (("hefu://service/wallet",), Caller("wallet", "wallet")),
    ],
)
def test_a_certificate_names_its_peer(names: tuple[str, ...], caller: Caller) -> None:
    assert caller_of_peer(names) == caller


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("localhost",),
        ("hefu://bank/",),
        ("hefu://service/",),
        ("hefu://other/CD",),
        ("hefu://bank/CD", "hefu://bank/EF"),
        ("https://bank/CD",),
    ],
)
def test_a_certificate_that_names_nobody_or_two_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(Unauthenticated):
        caller_of_peer(names)


def test_an_identity_has_a_host_name_too() -> None:
    assert host_of("hefu://bank/CD") == "cd.bank.hefu.internal"


async def test_the_caller_is_that_of_the_work_in_hand() -> None:
    set_caller(Caller("app", "wallet"))

    assert current_caller() == Caller("app", "wallet")
