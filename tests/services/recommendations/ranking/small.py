"""A world small enough to train on in a second: few funds, four years."""

from functools import cache

from services.recommendations.ranking.population import World, world_of

SEED = 7


@cache
def small_world() -> World:
    return world_of(investors=400, purchases=6_000, funds=30, seed=SEED)


def last_day() -> int:
    return int(small_world().interactions.day[-1]) + 1
