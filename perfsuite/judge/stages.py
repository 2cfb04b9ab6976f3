"""Which stage of an image has grown: words for a slowdown, and no verdict of their own. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from perfsuite.results.samples import LatencySamples, Measurement
from perfsuite.results.stages import STAGES, StageGrowth, TierStages
from perfsuite.results.structure_reasons import StagesGrew
from perfsuite.results.verdict import Outcome, Verdict

MIN_CHANGE = 0.05
"""Growth of a stage below this is not worth a word."""
MIN_SHARE = 0.15
"""A stage is named if so much of what the image has grown by is its own."""


def explained(
    verdict: Verdict,
    measurement: Measurement,
    recorded: Sequence[tuple[LatencySamples, TierStages]],
) -> Verdict:
    """A verdict of a slower tier with a note on which of its stages have grown.

    Args:
        verdict: on its latency.
        measurement: what was measured.
        recorded: samples and stages of the baseline's runs that have stages; may be empty.
    """
    if verdict.outcome is not Outcome.REGRESSED or measurement.stages is None or not recorded:
        return verdict
    probe_s = statistics.median(statistics.median(each.probe_s) for each, _ in recorded)
    scale = statistics.median(measurement.latency.probe_s) / probe_s
    found = grown(measurement.stages, [stages for _, stages in recorded], scale)
    return replace(verdict, notes=(*verdict.notes, StagesGrew(found))) if found else verdict


def grown(
    now: TierStages, before: Sequence[TierStages], scale: float = 1.0
) -> tuple[StageGrowth, ...]:
    """Stages that account for a slowdown, the largest share first.

    Args:
        now: of this run.
        before: of the recorded runs, at least one.
        scale: what recorded seconds are multiplied by: how much slower the machine itself is.
    """
    usual = {name: scale * statistics.median(e.typical_s(name) for e in before) for name in STAGES}
    added = {name: now.typical_s(name) - usual[name] for name in STAGES}
    grown_s = sum(added.values())
    if grown_s <= 0:
        return ()
    found = [
        StageGrowth(name, added[name] / usual[name], added[name] / grown_s)
        for name in STAGES
        if usual[name] > 0 and added[name] > MIN_CHANGE * usual[name]
    ]
    named = [each for each in found if each.added_share >= MIN_SHARE]
    return tuple(sorted(named, key=lambda each: -each.added_share))
