"""Contracts follow buf's STANDARD rules, and none that was given is broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protos import build

PAYMENTS = "hefu/payments/v1/payments.proto"


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """Copy the contracts to where they may be changed."""
    shutil.copytree(build.PROTOS / "hefu", tmp_path / "protos" / "hefu")
    return tmp_path / "protos"


def change(protos: Path, old: str, new: str) -> None:
    text = (protos / PAYMENTS).read_text()
    assert old in text
    (protos / PAYMENTS).write_text(text.replace(old, new, 1))


def buf(protos: Path, verb: str, *words: str) -> tuple[int, str]:
    image = protos.parent / "image.binpb"
    build.write_image(protos, image)
    program = Path(sys.executable).with_name("buf")
    law = ["--config", str(build.PROTOS / "buf.yaml"), "--path", "hefu"]
    done = subprocess.run(
        [program, verb, image, *words, *law], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def broken(protos: Path) -> tuple[int, str]:
    return buf(protos, "breaking", "--against", str(build.PROTOS / "baseline.binpb"))


def test_the_contracts_keep_the_law(protos: Path) -> None:
    assert buf(protos, "lint") == (0, "")
    assert broken(protos) == (0, "")


def test_a_field_that_changes_its_number_is_refused(protos: Path) -> None:
    change(protos, "string payment_id = 1", "string payment_id = 91")

    status, told = broken(protos)

    assert status == 100
    assert 'Previously present field "1" with name "payment_id"' in told


def test_a_call_that_is_taken_away_is_refused(protos: Path) -> None:
    change(protos, "rpc CancelPayment(CancelPaymentRequest) returns (CancelPaymentResponse);", "")

    status, told = broken(protos)

    assert status == 100
    assert 'Previously present RPC "CancelPayment"' in told


def test_a_new_field_is_no_break(protos: Path) -> None:
    change(
        protos, "message CreatePaymentRequest {", "message CreatePaymentRequest { bool new = 77;"
    )

    assert broken(protos) == (0, "")


def test_a_name_against_the_rules_is_refused(protos: Path) -> None:
    change(
        protos, "message CreatePaymentRequest {", "message CreatePaymentRequest { bool Bad = 77;"
    )

    status, told = buf(protos, "lint")

    assert status == 100
    assert "lower_snake_case" in told
