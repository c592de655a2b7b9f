"""Plans: a bank keeps its place, whoever joins."""

import pytest

from libs.failure import StartFailed
from libs.planning import BankSpec, RegistrarSpec, make_plan
from libs.topology import load_topology


def test_banks_stand_in_the_order_of_their_ids() -> None:
    plan = make_plan(load_topology(), (), [BankSpec("MN"), BankSpec("CD", "EUR")], "clean")

    assert [(bank.bank_id, bank.ordinal, bank.address) for bank in plan.banks] == [
        ("CD", 0, "localhost:11101"),
        ("MN", 1, "localhost:11102"),
    ]
    assert [bank.account_number for bank in plan.banks] == ["HEFUCDEUR0001", "HEFUMNCZK0001"]


def test_a_bank_that_joins_leaves_the_others_where_they_are() -> None:
    first = make_plan(load_topology(), (), [BankSpec("MN"), BankSpec("CD")])
    later = make_plan(load_topology(), first.banks, [BankSpec("AB"), BankSpec("MN")], "hostile")

    assert [bank.bank_id for bank in later.banks] == ["CD", "MN", "AB"]
    assert [bank.address for bank in later.banks[:2]] == [bank.address for bank in first.banks]
    assert {bank.manners for bank in later.banks} == {"hostile"}


def test_an_offset_moves_every_port() -> None:
    plan = make_plan(load_topology(), (), [BankSpec("CD")], port_offset=1_000)

    assert plan.addresses["accounts"] == "localhost:12051"
    assert plan.addresses["settlement/bank_link"] == "localhost:12054"
    assert plan.addresses["bank-CD"] == "localhost:12101"
    assert plan.metrics_ports["accounts"] == 22_051


def test_free_ports_are_all_different() -> None:
    plan = make_plan(load_topology(), (), [BankSpec("CD")], port_offset=None)
    ports = [*plan.ports.values(), *plan.metrics_ports.values()]

    assert len(set(ports)) == len(ports)


def test_an_offset_with_no_room_above_leaves_pages_out() -> None:
    plan = make_plan(load_topology(), (), [BankSpec("CD")], port_offset=45_000)

    assert plan.metrics_ports.keys() == {"nats", "eventstore"}


def test_an_offset_that_is_too_large_is_one_line() -> None:
    with pytest.raises(StartFailed, match=r"too large: at most [0-9]+"):
        make_plan(load_topology(), (), [BankSpec("CD")], port_offset=60_000)


def test_registrars_have_places_and_an_account_at_a_bank() -> None:
    specs = [RegistrarSpec("NOTA", "CD", account_number="TA1"), RegistrarSpec("HFTA", "CD")]

    plan = make_plan(load_topology(), (), [BankSpec("CD")], registrars=specs)
    later = make_plan(
        load_topology(),
        plan.banks,
        [],
        known_registrars=plan.registrars,
        registrars=[RegistrarSpec("AATA", "CD")],
    )

    assert [(each.process, each.address, each.account_number) for each in plan.registrars] == [
        ("registrar-HFTA", "localhost:11201", "TAHFTACZK0001"),
        ("registrar-NOTA", "localhost:11202", "TA1"),
    ]
    assert later.registrars[:2] == plan.registrars
    assert later.registrars[2].address == "localhost:11203"
    assert "registrar-NOTA" in plan.outside
