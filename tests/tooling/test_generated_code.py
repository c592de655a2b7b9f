"""Generated code is what the contracts say now, with their rules in it."""

import subprocess
import sys
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from hefu.accounts.v1 import accounts_pb2
from hefu.bank.v1 import bank_pb2
from hefu.payments.v1 import payments_pb2
from hefu.settlement.v1 import settlement_pb2
from protos import build

APIS: list[FileDescriptor] = [
    accounts_pb2.DESCRIPTOR,
    bank_pb2.DESCRIPTOR,
    payments_pb2.DESCRIPTOR,
    settlement_pb2.DESCRIPTOR,
]
CONTRACT = """
syntax = "proto3";
package hefu.sample.v1;
import "buf/validate/validate.proto";
import "google/rpc/status.proto";
message Asked {
  string id = 1 [(buf.validate.field).string.uuid = true];
  google.rpc.Status status = 2;
  option (buf.validate.message).cel = {
    id: "asked.status", message: "a status is needed", expression: "has(this.status)"
  };
}
"""
QUESTION = """
import protovalidate, sys
from hefu.sample.v1.sample_pb2 import Asked
rules = [each.proto.rule_id for each in protovalidate.collect_violations(Asked(id="no"))]
print(*sorted(rules))
"""


def write(protos: Path, text: str, name: str = "sample") -> Path:
    folder = protos / "hefu" / name / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.proto").write_text(text)
    return protos


def requests(api: FileDescriptor) -> list[Descriptor]:
    return [
        method.input_type for service in api.services_by_name.values() for method in service.methods
    ]


@pytest.mark.parametrize(
    "request_type",
    [each for api in APIS for each in requests(api)],
    ids=lambda each: each.full_name,
)
def test_every_request_can_be_checked(request_type: Descriptor) -> None:
    # A rule that does not compile would answer its first caller with a crash.
    protovalidate.collect_violations(GetMessageClass(request_type)())


@pytest.mark.parametrize("api", APIS, ids=lambda each: each.name)
def test_every_api_refuses_some_empty_request(api: FileDescriptor) -> None:
    refused = [
        each.name
        for each in requests(api)
        if protovalidate.collect_violations(GetMessageClass(each)())
    ]

    assert refused != []


def test_a_payment_without_terms_names_the_field_and_the_rule() -> None:
    request = json_format.ParseDict({"payment_id": "7"}, payments_pb2.CreatePaymentRequest())

    broken = {
        each.proto.field.elements[0].field_name: each.proto.rule_id
        for each in protovalidate.collect_violations(request)
        if each.proto.field
    }

    assert broken == {"payment_id": "string.uuid", "terms": "required"}


def test_rules_of_fields_and_messages_survive_generation(tmp_path: Path) -> None:
    build.generate(write(tmp_path / "protos", CONTRACT), tmp_path / "gen")

    asked = subprocess.run(
        [sys.executable, "-c", QUESTION],
        env={"PYTHONPATH": str(tmp_path / "gen")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert asked.stdout.split() == ["asked.status", "string.uuid"]


def test_what_no_contract_makes_any_more_is_gone(tmp_path: Path) -> None:
    protos = write(tmp_path / "protos", CONTRACT)
    other = CONTRACT.replace("hefu.sample", "hefu.other")
    build.generate(write(protos, other, "other"), tmp_path / "gen")
    (protos / "hefu/other/v1/other.proto").unlink()

    build.generate(protos, tmp_path / "gen")

    assert (tmp_path / "gen/hefu/sample/v1/sample_pb2.py").exists()
    assert not (tmp_path / "gen/hefu/other").exists()


def test_a_contract_with_an_error_keeps_the_last_good_code(tmp_path: Path) -> None:
    protos = write(tmp_path / "protos", CONTRACT)
    build.generate(protos, tmp_path / "gen")

    with pytest.raises(build.BuildFailed):
        build.generate(write(protos, CONTRACT + "message {"), tmp_path / "gen")

    assert (tmp_path / "gen/hefu/sample/v1/sample_pb2.py").exists()


def test_a_changed_contract_is_generated_anew_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    protos = write(tmp_path, CONTRACT)
    before = build.fingerprint(protos)

    assert build.fingerprint(protos) == before
    assert build.fingerprint(write(protos, CONTRACT + "message Added {}")) != before


def test_the_generated_code_is_of_todays_contracts() -> None:
    assert build.STAMP.read_text() == build.fingerprint(build.PROTOS)
