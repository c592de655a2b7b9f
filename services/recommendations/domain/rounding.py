"""From real weights to ten-thousandths and whole minor units that keep every rule."""

from collections.abc import Sequence

from services.recommendations.domain.constraints import WHOLE, Asset, Rule, broken

# A rounding is off by less than one ten-thousandth a fund: this many steps mend it.
STEPS_MAX = 400


def by_largest_remainder(weights: Sequence[float], whole: int = WHOLE) -> list[int]:
    """Whole parts that sum to `whole`; what is left goes to the largest remainders, then in order.

    Remainders are compared at a millionth of a part, so noise in the last digits decides nothing.
    """
    total = sum(weights)
    exact = [max(weight, 0.0) / total * whole for weight in weights]
    parts = [int(each + 1e-6) for each in exact]
    left = whole - sum(parts)
    order = sorted(range(len(parts)), key=lambda n: (-round(max(exact[n] - parts[n], 0.0), 6), n))
    for place in order[: max(left, 0)]:
        parts[place] += 1
    for place in reversed(order):
        if left >= 0:
            break
        taken = min(parts[place], -left)
        parts[place] -= taken
        left += taken
    return parts


def mended(weights: Sequence[int], rules: Sequence[Rule]) -> list[int] | None:
    """Weights moved by single ten-thousandths until every rule holds; None: that does not do."""
    found = list(weights)
    for _ in range(STEPS_MAX):
        wrong = broken(rules, found)
        if not wrong:
            return found
        move = _best_move(found, wrong, rules)
        if move is None:
            return None
        source, target = move
        found[source] -= 1
        found[target] += 1
    return None


def _best_move(
    weights: list[int], wrong: Sequence[Rule], rules: Sequence[Rule]
) -> tuple[int, int] | None:
    places = range(len(weights))
    best: tuple[int, int, int] | None = None
    for source in places:
        if not weights[source]:
            continue
        for target in places:
            gain = sum(r.coefficients[source] - r.coefficients[target] for r in wrong)
            if gain <= 0 or _harms(weights, source, target, rules):
                continue
            if best is None or gain > best[0]:
                best = gain, source, target
    return None if best is None else (best[1], best[2])


def _harms(weights: list[int], source: int, target: int, rules: Sequence[Rule]) -> bool:
    """Whether a rule that holds would be broken by moving one part."""
    return any(
        (change := r.coefficients[target] - r.coefficients[source]) > 0
        and r.excess(weights) <= 0
        and r.excess(weights) + change > 0
        for r in rules
    )


def amounts_of(assets: Sequence[Asset], weights: Sequence[int], total_minor: int) -> list[int]:
    """Whole minor units that sum to the total; what is left goes to money, else to the largest."""
    amounts = [total_minor * weight // WHOLE for weight in weights]
    used = [n for n, weight in enumerate(weights) if weight]
    target = min(used, key=lambda n: (not assets[n].is_money, -weights[n], n))
    amounts[target] += total_minor - sum(amounts)
    return amounts


def below_lot(assets: Sequence[Asset], amounts: Sequence[int]) -> Sequence[int]:
    """Places of funds that would be bought below their least purchase, the smallest first."""
    places = [n for n, a in enumerate(assets) if 0 < amounts[n] < a.least_minor]
    return sorted(places, key=lambda n: (amounts[n], n))
