"""One colour for each tier and each outcome, on light and on dark paper, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfsuite.results.verdict import Outcome


@dataclass(frozen=True)
class Colour:
    """A colour that is told apart on both papers; 3:1 against them at least."""

    light: str
    dark: str


GOOD = Colour("#18794e", "#3dd68c")
BAD = Colour("#ce2c31", "#ff9592")
DOUBTFUL = Colour("#915930", "#ffca16")
SPOILT = Colour("#8145b5", "#d19dff")
QUIET = Colour("#60646c", "#b0b4ba")
OUTCOMES = {
    Outcome.NOT_SUPPORTED: QUIET,
    Outcome.PASSED: GOOD,
    Outcome.RECORDED: GOOD,
    Outcome.IMPROVED: GOOD,
    Outcome.NOT_MEASURED: DOUBTFUL,
    Outcome.NOT_CALIBRATED: DOUBTFUL,
    Outcome.NO_BASELINE: DOUBTFUL,
    Outcome.INCONCLUSIVE: DOUBTFUL,
    Outcome.INVALID: SPOILT,
    Outcome.REGRESSED: BAD,
}
_LADDER = {
    "fp32": Colour("#60646c", "#b0b4ba"),
    "bf16": Colour("#3e63dd", "#9eb1ff"),
    "sdpa": Colour("#00807a", "#0bd8b6"),
    "compile": Colour("#c14a00", "#ffa057"),
    "fused-qkv": Colour("#8145b5", "#d19dff"),
    "int8": Colour("#c2298a", "#ff8dcc"),
}
"""The six tiers, in the ladder's order."""
_OTHERS = (
    Colour("#00749e", "#75c7f0"),
    Colour("#5c7c2f", "#bde56c"),
    Colour("#815e46", "#dbb594"),
    Colour("#953ea3", "#e796f3"),
)


def tier_colours(tiers: Sequence[str]) -> dict[str, Colour]:
    """Colours by tier; a tier that is not of the six takes the next free one, then they repeat."""
    others = [name for name in dict.fromkeys(tiers) if name not in _LADDER]
    own = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)}
    return {name: _LADDER.get(name) or own[name] for name in dict.fromkeys(tiers)}
