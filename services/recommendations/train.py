"""`python -m services.recommendations.train`: trains a ranking into an artifact, or evaluates all.

Runs as a process of its own, without any service: the command line calls it.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

from services.recommendations.ranking import artifact, evaluation
from services.recommendations.ranking.besides import TEST_DAYS
from services.recommendations.ranking.heard import from_database
from services.recommendations.ranking.interactions import (
    Interactions,
    InteractionsInvalid,
    day_of,
    iso_of,
    read_interactions,
)
from services.recommendations.ranking.market import Market
from services.recommendations.ranking.parts import THEME, WEIGHTS, Trained
from services.recommendations.ranking.population import world_of
from services.recommendations.ranking.training import train
from services.recommendations.ranking.tuning import theme_weight

SEED: Final = 2026
EXIT_REFUSED: Final = 2
# Two weeks apart, as the reference has it.
DAYS_APART: Final = 14
_LIBRARIES: Final = ("implicit", "lightgbm", "numpy", "scipy")


class CannotTrain(Exception):
    """What stands in the way, in one line."""


def told(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def sources(asked: argparse.Namespace) -> tuple[Interactions, Market | None, str]:
    """Purchases, prices where there are any, and where both came from, in words."""
    if asked.interactions is not None:
        found = read_interactions(asked.interactions)
        return found, None, f"file {asked.interactions.name}"
    if asked.database:
        interactions, market = from_database(asked.database)
        return interactions, market, "what the running service heard"
    world = world_of(asked.investors, asked.simulated, asked.funds, SEED, asked.themed)
    return world.interactions, world.market, "a simulated population over real prices"


def card_of(
    asked: argparse.Namespace, trained: Trained, known: Interactions, origin: str, seconds: float
) -> Mapping[str, Any]:
    """What a reader of the artifact should know before it serves."""
    return {
        "version": asked.version,
        "purpose": "ranks eligible funds for one investor; never decides what is eligible",
        "trained_on": origin,
        "first_day": iso_of(int(known.day[0])) if len(known) else "",
        "known_before": iso_of(trained.as_of_day),
        "purchases": len(known.between(-(10**6), trained.as_of_day)),
        "investors": len(known.investors),
        "funds": len(known.codes),
        "weights": dict(trained.weights),
        "has_price_model": bool(trained.price_text),
        "seed": SEED,
        "seconds": round(seconds, 1),
        "libraries": {name: installed(name) for name in _LIBRARIES},
        "limits": [
            "investors are solved from their holdings: one who holds nothing gets popularity alone",
            "a fund that was not bought before the day has no score",
            "what an investor's themes weigh was tried on the last half year; 0: they help nobody",
            "the price model's word is dropped 45 days after the day",
            "learnt from purchases: it repeats what people buy, not what pays",
        ],
    }


def run_training(asked: argparse.Namespace) -> None:
    """Train and save; refused where the version is there, or nothing is to be learnt from."""
    begun = time.monotonic()
    interactions, market, origin = sources(asked)
    if not len(interactions):
        raise CannotTrain("there are no purchases to learn from")
    as_of = day_of(asked.as_of) if asked.as_of else int(interactions.day[-1]) + 1
    known = interactions.between(-(10**6), as_of)
    if not len(known):
        raise CannotTrain(f"there are no purchases before {iso_of(as_of)}")
    weights = {**WEIGHTS, THEME: theme_weight(interactions, as_of, SEED, told)}
    trained = train(interactions, market, as_of, SEED, weights, told)
    card = card_of(asked, trained, interactions, origin, time.monotonic() - begun)
    try:
        digest = artifact.save(asked.artifacts, asked.version, trained, card)
    except (FileExistsError, ValueError) as error:
        raise CannotTrain(str(error)) from error
    told(f"{asked.version}: {asked.artifacts / asked.version}, hash {digest}")
    sys.stdout.write(json.dumps({**card, "artifact_hash": digest}) + "\n")


def run_evaluation(asked: argparse.Namespace) -> None:
    """All rankings on a simulated population; the table goes to `--out`."""
    world = world_of(asked.investors, asked.simulated, asked.funds, SEED, asked.themed)
    last = int(world.market.days[-1]) - TEST_DAYS
    dates = [last - DAYS_APART * n for n in range(asked.dates)][::-1]
    found = evaluation.evaluate(
        world.interactions,
        world.market,
        world.levels,
        dates,
        groups=world.groups,
        askers=asked.askers,
        told=told,
    )
    found["verdicts"] = evaluation.verdicts(found)
    found["population"] = {
        "investors": asked.investors,
        "purchases": len(world.interactions),
        "funds": asked.funds,
        "themed": asked.themed,
        "note": "simulated buyers over real prices: mechanics, not people",
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "rankers.json").write_text(json.dumps(found, indent=1))
    if found["violations"]:
        raise CannotTrain(f"{found['violations']} unsuitable items were shown: this must not be")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactions", type=Path, help="CSV of purchases")
    parser.add_argument("--database", default="", help="the service's rows, an SQLAlchemy URL")
    parser.add_argument("--simulated", type=int, default=100_000, help="purchases drawn")
    parser.add_argument("--investors", type=int, default=20_000)
    parser.add_argument("--funds", type=int, default=200)
    parser.add_argument("--themed", type=float, default=0.0, help="how much buyers keep to themes")
    parser.add_argument("--as-of", default="", help="ISO date; known is what came before it")
    parser.add_argument("--version", default="blend@1")
    parser.add_argument("--artifacts", type=Path, default=Path("build/advice/artifacts"))
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--dates", type=int, default=9)
    parser.add_argument("--askers", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("build/advice"))
    asked = parser.parse_args()
    try:
        run_evaluation(asked) if asked.evaluate else run_training(asked)
    except (CannotTrain, InteractionsInvalid, ValueError) as error:
        told(f"hefu: {error}")
        raise SystemExit(EXIT_REFUSED) from None


if __name__ == "__main__":
    main()
