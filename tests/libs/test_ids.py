"""Ids that follow from names are the same for ever: stores compare them."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from libs.ids import (
    derived_id,
    derived_text,
    id_beside,
    is_uuid7,
    named_id,
    named_in,
    new_id,
    time_ms,
    time_ms_in,
)


@given(name=st.text())
def test_a_name_has_the_id_that_the_standard_gives_it(name: str) -> None:
    assert named_in(uuid.NAMESPACE_URL, name) == uuid.uuid5(uuid.NAMESPACE_URL, name)


@given(purpose=st.text(), ordinal=st.integers(min_value=0), tail=st.binary(min_size=8, max_size=8))
def test_a_derived_id_as_text_is_the_derived_id(purpose: str, ordinal: int, tail: bytes) -> None:
    parent = str(named_id(tail.hex(), at_ms=int.from_bytes(tail[:6], "big")))
    assert derived_text(parent, purpose, ordinal) == str(derived_id(parent, purpose, ordinal))


def test_an_id_beside_another_is_of_its_time_and_known_by_its_content_alone() -> None:
    payment = str(new_id())
    first, second = id_beside(payment, b"a"), id_beside(payment, b"b")
    assert first != second
    assert first == id_beside(payment, b"a")
    assert time_ms(first) == time_ms(second) == time_ms(uuid.UUID(payment))
    assert is_uuid7(str(first))
    assert time_ms_in(payment) == time_ms(first)
