"""The development authority: one root; for each identity a certificate, a token, a signing key."""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libs.auth import Caller, host_of, mint, role_of
from libs.failure import StartFailed
from libs.identity import Identity

ROOT_LIFETIME = timedelta(days=730)
LEAF_LIFETIME = timedelta(days=90)
TOKEN_LIFETIME_S = 30 * 24 * 3_600
# What is this close to its end is made again at the next start.
RENEW_BEFORE = timedelta(days=15)
_PRIVATE = 0o600
_CLOCK_SKEW = timedelta(minutes=5)

__all__ = ["Identity", "establish"]

Key: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def establish(run_dir: Path, identities: Sequence[Identity]) -> None:
    """Make what is missing or near its end under `authority/` and `identities/`; keep the rest.

    Raises `StartFailed` where the authority is damaged.
    """
    folder = run_dir / "authority"
    folder.mkdir(parents=True, exist_ok=True)
    root_key, root = _root(folder)
    token_key = _token_key(folder)
    for identity in identities:
        _identity(run_dir / "identities" / identity.name, identity, root_key, root)
        if not identity.is_outside:
            _token(run_dir / "identities" / identity.name, identity, token_key)


def _root(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, cert_file = folder / "ca.key", folder / "ca.pem"
    if key_file.exists() and cert_file.exists():
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            cert = x509.load_pem_x509_certificate(cert_file.read_bytes())
        except ValueError as error:
            raise StartFailed(
                f"the authority in {folder} is damaged: `make clean` starts anew"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StartFailed(f"the authority in {folder} is not ours: `make clean` starts anew")
        if cert.not_valid_after_utc - RENEW_BEFORE > datetime.now(UTC):
            return key, cert
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Hefu development authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _certificate(name, name, key, ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    cert = builder.sign(key, hashes.SHA256())
    _write(key_file, _private_pem(key))
    _write(cert_file, cert.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return key, cert


def _identity(
    folder: Path,
    identity: Identity,
    root_key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    root_pem = root.public_bytes(serialization.Encoding.PEM)
    cert_file, root_file = folder / "cert.pem", folder / "ca.pem"
    is_of_root = root_file.exists() and root_file.read_bytes() == root_pem
    if not (is_of_root and (folder / "key.pem").exists() and _is_fresh(cert_file)):
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _leaf(identity, key, root_key, root)
        _write(folder / "key.pem", _private_pem(key))
        _write(cert_file, cert.public_bytes(serialization.Encoding.PEM), mode=0o644)
        _write(root_file, root_pem, mode=0o644)
    if identity.signs and not (folder / "signing.key").exists():
        signing = Ed25519PrivateKey.generate()
        public = signing.public_key().public_bytes_raw().hex()
        _write(folder / "signing.pub", public.encode(), mode=0o644)
        _write(folder / "signing.key", _private_pem(signing))


def _leaf(
    identity: Identity,
    key: ec.EllipticCurvePrivateKey,
    root_key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate,
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.DNSName(host_of(identity.uri)),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.UniformResourceIdentifier(identity.uri),
        ]
    )
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        _certificate(_name(identity.name), root.subject, key, LEAF_LIFETIME)
        .add_extension(names, critical=False)
        .add_extension(uses, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _is_fresh(cert_file: Path) -> bool:
    if not cert_file.exists():
        return False
    try:
        cert = x509.load_pem_x509_certificate(cert_file.read_bytes())
    except ValueError:
        return False
    return cert.not_valid_after_utc - RENEW_BEFORE > datetime.now(UTC)


def _token_key(folder: Path) -> Path:
    key_file, public_file = folder / "token.key", folder / "token.pub"
    if not (key_file.exists() and public_file.exists()):
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write(public_file, public, mode=0o644)
        _write(key_file, _private_pem(key))
    return key_file


def _token(folder: Path, identity: Identity, token_key: Path) -> None:
    # Made anew at each start: a token is always good for its whole lifetime from there.
    caller = Caller(identity.name, role_of(identity.name))
    _write(folder / "token.jwt", mint(token_key, caller, lifetime_s=TOKEN_LIFETIME_S).encode())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(file: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    # Beside it first: whoever reads meanwhile has the old or the new, never a half.
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    beside.replace(file)
