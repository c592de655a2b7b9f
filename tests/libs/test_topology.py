"""`tilt.yaml` is whole: every service is listed, in an order in which it can be started."""

from pathlib import Path

import pytest

from libs.failure import StartFailed
from libs.launching import launches
from libs.run_folder import Bank, Plan, prepare
from libs.topology import load_topology

ONE = "resources: {cpu: 1m, memory: 1Mi}"


def test_every_service_of_the_repository_is_listed(root: Path) -> None:
    folders = {file.parent.name for file in (root / "services").glob("*/__main__.py")}

    listed = load_topology().services
    assert folders <= {one.module.rpartition(".")[2] for one in listed}


def test_ports_are_the_agreed_ones() -> None:
    assert {one.name: one.port for one in load_topology().services} == {
        "nats": 4222,
        "eventstore": 2113,
        "accounts": 11051,
        "payments": 11052,
        "settlement": 11053,
        "funds": 11055,
        "recommendations": 11057,
        "samplebank": 11101,
        "sampleregistrar": 11201,
    }
    assert load_topology().find("settlement").extra_ports == {"bank_link": 11054}
    assert load_topology().find("funds").extra_ports == {"registrar_link": 11056}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "wrong"),
        (f"services: [{{name: a, port: 1, health: grpc, {ONE}}}]", "module or command"),
        (f"services: [{{name: a, module: m, port: 1, health: ftp, {ONE}}}]", "health"),
        (f"services: [{{name: a, module: m, port: 1, health: grpc, needs: [b], {ONE}}}]", "needs"),
        (f"services: [{{name: a, module: m, port: 1, health: grpc, peers: [b], {ONE}}}]", "calls"),
        (f"services: [{{name: a, module: m, port: 1, health: grpc, speed: 3, {ONE}}}]", "speed"),
    ],
)
def test_a_list_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tilt.yaml"
    file.write_text(text)

    with pytest.raises(StartFailed, match=said):
        load_topology(file)


def test_a_missing_list_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="missing"):
        load_topology(tmp_path / "tilt.yaml")


def test_each_process_is_told_its_ports_peers_and_identity(tmp_path: Path) -> None:
    names = ["nats", "eventstore", "accounts", "payments", "settlement", "settlement/bank_link"]
    listed = [one for one in load_topology().services if not one.per and one.name not in names]
    names += [one.name for one in listed]
    names += [f"{one.name}/{port}" for one in listed for port in one.extra_ports]
    ports = {name: 20_000 + place for place, name in enumerate([*names, "bank-CD"])}
    pages = {name: port + 10_000 for name, port in ports.items()}
    bank = Bank("CD", "localhost:20006", "HEFUCDCZK0001", "CZK", "ordinary", 0)
    plan = Plan(0, ports, pages, (bank,), "seed", "tilt.yaml")
    prepare(tmp_path, load_topology(), plan)

    found = {launch.name: launch for launch in launches(tmp_path, load_topology(), plan)}

    assert list(found)[:5] == ["nats", "eventstore", "accounts", "payments", "settlement"]
    assert list(found)[-1] == "bank-CD"
    funds = found["funds"].environment
    assert funds["HEFU_REGISTRAR_LINK_PORT"] == str(ports["funds/registrar_link"])
    assert funds["HEFU_CLOCK"] == "simulated"
    payments = found["payments"].environment
    assert payments["HEFU_ACCOUNTS"] == "localhost:20002"
    assert payments["HEFU_SETTLEMENT"] == "localhost:20004"
    assert payments["HEFU_EVENT_STORE"].startswith("kdb://payments:")
    assert found["settlement"].environment["HEFU_BANK_LINK_PORT"] == "20005"
    told = found["bank-CD"].environment
    assert (told["HEFU_SERVICE"], told["HEFU_BANK_ID"]) == ("bank-CD", "CD")
    assert (told["HEFU_BANK_LINK"], told["HEFU_BANK_COUNT"]) == ("localhost:20005", "1")
    assert "HEFU_EVENT_STORE" not in told
    assert found["bank-CD"].stage > found["settlement"].stage > found["nats"].stage


def test_no_secret_is_an_argument(tmp_path: Path) -> None:
    ports = {one.name: one.port for one in load_topology().services}
    ports |= {f"{one.name}/{n}": 1 for one in load_topology().services for n in one.extra_ports}
    plan = Plan(0, ports, ports, (), "seed", "tilt.yaml")
    prepare(tmp_path, load_topology(), plan)
    passwords = (tmp_path / "eventstore" / "passwords.json").read_text()

    for launch in launches(tmp_path, load_topology(), plan):
        assert not any(secret in " ".join(launch.argv) for secret in passwords.split('"')[3::4])
