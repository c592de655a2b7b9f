"""The authority is made once, renewed when near its end, and its secrets are its owner's."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from libs.auth import Caller, Verifier
from libs.authority import LEAF_LIFETIME, Identity, establish
from libs.failure import StartFailed
from libs.signing import Signer, read_public_key, verify

IDENTITIES = [Identity("payments"), Identity("operator"), Identity("bank-CD", signs=True)]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    establish(tmp_path, IDENTITIES)
    return tmp_path


def _certificate(run_dir: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((run_dir / "identities" / name / "cert.pem").read_bytes())


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_certificate_carries_the_identity(run_dir: Path) -> None:
    names = _names(_certificate(run_dir, "bank-CD"))

    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["hefu://bank/CD"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "cd.bank.hefu.internal"]
    assert [str(found) for found in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_certificate_is_the_roots(run_dir: Path) -> None:
    root = x509.load_pem_x509_certificate((run_dir / "authority" / "ca.pem").read_bytes())

    _certificate(run_dir, "payments").verify_directly_issued_by(root)


def test_a_service_has_a_token_and_a_bank_has_none(run_dir: Path) -> None:
    verifier = Verifier(run_dir / "authority" / "token.pub")
    token = (run_dir / "identities" / "operator" / "token.jwt").read_text()

    assert verifier.verify(token) == Caller("operator", "operator")
    assert not (run_dir / "identities" / "bank-CD" / "token.jwt").exists()


def test_a_signing_key_signs(run_dir: Path) -> None:
    folder = run_dir / "identities" / "bank-CD"
    signature = Signer(folder / "signing.key").sign(b"both halves")

    assert verify(read_public_key(folder / "signing.pub"), signature, b"both halves")
    assert not (run_dir / "identities" / "payments" / "signing.key").exists()


def test_private_files_are_their_owners(run_dir: Path) -> None:
    private = [*run_dir.rglob("*.key"), *run_dir.rglob("key.pem"), *run_dir.rglob("token.jwt")]

    assert private
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_made_again_it_stays_as_it_is(run_dir: Path) -> None:
    def kept() -> dict[Path, bytes]:
        files = (file for file in run_dir.rglob("*") if file.is_file())
        return {file: file.read_bytes() for file in files if file.name != "token.jwt"}

    before = kept()
    establish(run_dir, IDENTITIES)

    assert kept() == before


def test_a_certificate_near_its_end_is_renewed_and_the_signing_key_stays(run_dir: Path) -> None:
    folder = run_dir / "identities" / "bank-CD"
    old = _certificate(run_dir, "bank-CD")
    key = load_pem_private_key((run_dir / "authority" / "ca.key").read_bytes(), None)
    root = x509.load_pem_x509_certificate((run_dir / "authority" / "ca.pem").read_bytes())
    ending = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(root.subject)
        .public_key(old.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - LEAF_LIFETIME)
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, old.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    (folder / "cert.pem").write_bytes(ending.public_bytes(Encoding.PEM))
    signing = (folder / "signing.key").read_bytes()

    establish(run_dir, IDENTITIES)

    assert _certificate(run_dir, "bank-CD").not_valid_after_utc > ending.not_valid_after_utc
    assert (folder / "signing.key").read_bytes() == signing


def test_a_damaged_authority_is_one_line_with_a_way_out(run_dir: Path) -> None:
    (run_dir / "authority" / "ca.key").write_text("nothing")

    with pytest.raises(StartFailed, match=r"damaged.*make clean"):
        establish(run_dir, IDENTITIES)


def test_a_new_root_gives_new_certificates(run_dir: Path) -> None:
    before = _certificate(run_dir, "payments")
    (run_dir / "authority" / "ca.pem").unlink()

    establish(run_dir, IDENTITIES)

    assert _certificate(run_dir, "payments") != before
