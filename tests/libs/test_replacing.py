"""A replaced value is what `dataclasses.replace` makes of it."""

import dataclasses

import pytest

from libs.replacing import replace
from services.funds.domain.holding_lifecycle import Holding
from tests.services.funds.domain.stories import held


def test_it_is_what_the_standard_library_makes() -> None:
    holding = held()
    lot = holding.lots[0]
    assert replace(lot, shares=7, cost=3) == dataclasses.replace(lot, shares=7, cost=3)
    assert replace(holding, bucket=9) == dataclasses.replace(holding, bucket=9)
    assert type(replace(holding)) is Holding
    assert holding.bucket == 0


def test_a_field_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="sharez"):
        replace(held().lots[0], sharez=1)
