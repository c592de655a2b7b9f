"""Ids that follow from names are the same for ever: stores compare them."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from libs.ids import named_in


@given(name=st.text())
def test_a_name_has_the_id_that_the_standard_gives_it(name: str) -> None:
    assert named_in(uuid.NAMESPACE_URL, name) == uuid.uuid5(uuid.NAMESPACE_URL, name)
