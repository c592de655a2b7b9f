"""`python -m services.recommendations.evaluate`: strategies on history, as JSON and a picture.

Runs as a process of its own, without any service: the command line calls it.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from libs.pictures import draw_evaluation
from services.recommendations.evaluation.portfolios import PUBLISHED, everything
from services.recommendations.evaluation.walk_forward import Rules

NOTES = (
    (
        "The twenty stocks are those that survived to 2022: every row is better than a buyer of "
        "1990 could have known, and only differences between rows mean anything."
    ),
    (
        "Published rows are one fit on the first 67 % without costs; ours walk forward month by "
        "month and pay fees, so they are not expected to agree."
    ),
)


def run(rules: Rules, out: Path) -> dict[str, Any]:
    """Evaluate, and save what came of it beside each other."""

    def told(name: str) -> None:
        sys.stderr.write(f"walking {name}\n")

    found: dict[str, Any] = {
        "rules": asdict(rules),
        "portfolios": everything(rules, told),
        "published": PUBLISHED,
        "notes": NOTES,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(found, indent=1))
    draw_evaluation(found["portfolios"], out / "evaluation.png")
    return found


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/advice"))
    parser.add_argument("--fit", type=int, default=756, help="sessions fitted on")
    parser.add_argument("--hold", type=int, default=21, help="sessions held")
    told = parser.parse_args()
    run(Rules(fit=told.fit, hold=told.hold), told.out)


if __name__ == "__main__":
    main()
