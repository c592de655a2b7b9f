"""The best score first; those that are equal to nine decimals in the order of codes."""

import random

from services.recommendations.domain.ranking import _in_order


def rounded(scored: list[tuple[float, str]]) -> list[str]:
    """As it is said: every score rounded."""
    return [code for score, code in sorted(scored, key=lambda each: (-round(each[0], 9), each[1]))]


def test_scores_that_are_nearly_equal_are_ordered_by_code() -> None:
    rng = random.Random(7)  # noqa: S311 - repeatable, not secret
    for _ in range(300):
        near = [rng.choice((0.0, 1e-10, 4e-10, 6e-10, 1e-9, 2e-9, 1e-8, 0.3)) for _ in range(30)]
        scored = [
            (round(rng.random(), 1) + rng.choice((-1, 1)) * each, f"{n:06d}")
            for n, each in enumerate(near)
        ]
        rng.shuffle(scored)

        assert [code for code, _ in _in_order(scored)] == rounded(scored)


def test_each_keeps_its_own_score() -> None:
    scored = [(0.25, "b"), (0.5, "c"), (0.5 + 1e-12, "a"), (-0.1, "d")]

    assert _in_order(scored) == [("a", 0.5 + 1e-12), ("c", 0.5), ("b", 0.25), ("d", -0.1)]
