"""Rates of false alarms and detections of trends on simulated series: the table of docs/history.md.

    python -m tests.unit.history_rates [SERIES OF EACH KIND]

The noise is that between runs of the same code, log of tier / probe: 1.3 % on a quiet machine, 3 %
on a busy one, as was measured. Seeds are fixed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from perfsuite.judge.changes import Found, find_changes
from perfsuite.judge.trend import RELATIVE_FLOOR

Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Numbers]
NIGHTS = 56


def quiet(rng: np.random.Generator, nights: int) -> Numbers:
    return rng.normal(0, 0.013, nights)


def heavy(rng: np.random.Generator, nights: int) -> Numbers:
    return rng.standard_t(4, nights) * 0.013 / math.sqrt(2)


def wandering(rng: np.random.Generator, nights: int) -> Numbers:
    steps, found = rng.normal(0, 0.013 * math.sqrt(1 - 0.3**2), nights), np.zeros(nights)
    found[0] = rng.normal(0, 0.013)
    for night in range(1, nights):
        found[night] = 0.3 * found[night - 1] + steps[night]
    return found


def spiky(rng: np.random.Generator, nights: int) -> Numbers:
    spikes = (rng.random(nights) < 0.05) * rng.uniform(0.05, 0.3, nights)
    return quiet(rng, nights) + spikes


def busy(rng: np.random.Generator, nights: int) -> Numbers:
    return rng.normal(0, 0.03, nights)


KINDS: dict[str, Draw] = {
    "quiet machine, 1.3 %": quiet,
    "the same with heavy tails (Student's t, 4)": heavy,
    "a night like the one before (correlation 0.3)": wandering,
    "every 20th night 5 to 30 % slower": spiky,
    "busy machine, 3 %": busy,
}


def drift(nights: int) -> Numbers:
    return math.log(1.01) * np.arange(nights) / 7


def step(size: float, last: int) -> Callable[[int], Numbers]:
    def planted(nights: int) -> Numbers:
        return np.where(np.arange(nights) >= nights - last, math.log1p(size), 0.0)

    return planted


def spike(nights: int) -> Numbers:
    return np.where(np.arange(nights) == nights // 2, 0.3, 0.0)


def nothing(nights: int) -> Numbers:
    return np.zeros(nights)


def share(
    draw: Draw,
    planted: Callable[[int], Numbers],
    count: int,
    nights: int = NIGHTS,
    counts: Callable[[Found], bool] = lambda found: bool(found.pieces),
) -> float:
    """Share of series in which a change is spoken of."""
    rng = np.random.default_rng(2026)
    hits = 0
    for _ in range(count):
        numbers = draw(rng, nights) + planted(nights)
        hits += counts(find_changes(numbers, np.arange(nights), RELATIVE_FLOOR))
    return hits / count


COLUMNS: tuple[tuple[str, Callable[[int], Numbers], int], ...] = (
    ("unchanged, 56 nights", nothing, NIGHTS),
    ("unchanged, 365", nothing, 365),
    ("one spike of 30 %", spike, NIGHTS),
    ("drift 1 % a week", drift, NIGHTS),
    ("step 5 %, last 2", step(0.05, 2), NIGHTS),
    ("step 10 %, last 2", step(0.1, 2), NIGHTS),
    ("step 5 %, last 4", step(0.05, 4), NIGHTS),
    ("step 3 %, last 14", step(0.03, 14), NIGHTS),
    ("step 5 %, last 14", step(0.05, 14), NIGHTS),
)


def main(count: int) -> None:
    print(f"| noise | {' | '.join(name for name, _, _ in COLUMNS)} |")
    print(f"| :-- |{' --: |' * len(COLUMNS)}")
    for name, draw in KINDS.items():
        shares = [share(draw, planted, count, nights) for _, planted, nights in COLUMNS]
        print(f"| {name} | {' | '.join(f'{each:.1%}' for each in shares)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
