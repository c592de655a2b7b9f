import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from libs.signing import (
    KeyUnusable,
    Signer,
    decline_payload,
    difference_payload,
    final_payload,
    key_id_of,
    message_payload,
    read_public_key,
    verify,
)

# The curve's group order: adding it to a signature's second half gives another valid-looking one.
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    file = tmp_path / "signing.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Signer(file)


def test_what_is_signed_verifies_and_nothing_else_does(signer: Signer) -> None:
    signature = signer.sign(b"half")
    assert verify(signer.public_key, signature, b"half")
    assert not verify(signer.public_key, signature, b"other half")
    assert not verify(bytes(reversed(signer.public_key)), signature, b"half")
    assert not verify(signer.public_key, signature[:-1], b"half")
    assert not verify(b"", signature, b"half")


def test_a_signature_has_one_form_only(signer: Signer) -> None:
    signature = signer.sign(b"half")
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert not verify(signer.public_key, signature[:32] + scalar.to_bytes(32, "little"), b"half")


@pytest.mark.parametrize(
    "weak",
    [
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    ],
)
def test_a_key_of_small_order_verifies_nothing(weak: bytes) -> None:
    # Under such a key this all-zero answer fits any message unless the key itself is refused.
    for start in (bytes(32), b"\x01" + bytes(31)):
        assert not verify(weak, start + bytes(32), b"half")


def test_the_name_of_a_key_is_its_hash(signer: Signer) -> None:
    assert signer.key_id == hashlib.sha256(signer.public_key).hexdigest()[:16]
    assert signer.key_id == key_id_of(signer.public_key)


def test_a_file_that_holds_no_such_key_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    text = tmp_path / "text.key"
    text.write_text("no key")
    for file in (other, text, tmp_path / "absent.key"):
        with pytest.raises(KeyUnusable):
            Signer(file)


def test_a_public_key_is_read_from_its_hex_digits(tmp_path: Path, signer: Signer) -> None:
    file = tmp_path / "signing.pub"
    file.write_text(signer.public_key.hex() + "\n")
    assert read_public_key(file) == signer.public_key
    for text in ("00" * 32, "zz", signer.public_key.hex()[:-2]):
        file.write_text(text)
        with pytest.raises(KeyUnusable):
            read_public_key(file)


def test_each_payload_says_what_it_is_for() -> None:
    digest, root = bytes(32), bytes([1]) * 32
    assert message_payload("pain.001.001.09", b"x") == (
        b"HEFU-MESSAGE-1\x00pain.001.001.09\x00" + hashlib.sha256(b"x").digest()
    )
    assert difference_payload(digest, root) == b"HEFU-DIFFER-1\x00" + digest + root
    assert decline_payload(digest) == b"HEFU-DECLINE-1\x00" + digest
    assert final_payload("H", digest) == b"HEFU-FINAL-1\x00H" + digest
