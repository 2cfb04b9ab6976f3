"""Counting a tier within a session: when it is counted, and what the counts are held against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.images.generate import run as make_image
from perfsuite.judge.structure import judge_structure
from perfsuite.ladder import BuiltTier
from perfsuite.measure.counters import count_tier
from perfsuite.progress import Progress, silent
from perfsuite.results.counters import TierCounters
from perfsuite.results.reasons import BaselineRecorded, Incomparable
from perfsuite.results.structure_reasons import NoCounts
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.settings import Settings
from perfsuite.storage import named_from
from perfsuite.stores.structure import CountedTier, CountedWith, StructureStore

if TYPE_CHECKING:
    from perfsuite.session.run import Run

_FEWEST_IMAGES = 2
"""The first compiles; the second shows whether that was enough."""


def count(built: BuiltTier, progress: Progress = silent) -> TierCounters:
    """Count a tier; a compiled one makes two images first, unless it has made some already."""
    if built.compile_log is not None and not built.compile_log.graphs:
        workload = replace(built.latency, steps=min(2, built.latency.steps))
        shot = next(workload.shots())
        for done in range(_FEWEST_IMAGES):
            progress("image before counting", done, _FEWEST_IMAGES)
            make_image(built.pipeline, workload, shot)
    progress("counting", 0, 1)
    return count_tier(built)


def judge_counts(session: Run, tier: str, counted: TierCounters) -> Verdict:
    """Hold a tier's counts against recorded ones, and record them where that was asked for."""
    settings, method = session.settings, session.methods.get(tier)
    store, here = StructureStore.beside(session.store), CountedWith.here(session.environment)
    known = None if settings.update else store.find(tier, method, here)
    if isinstance(known, Incomparable):
        verdict = judge_structure(tier, counted, None)
        if verdict.outcome is Outcome.NO_BASELINE:
            verdict = replace(verdict, reasons=(known,))
    else:
        verdict = judge_structure(tier, counted, known)
    folder = _folder(settings)
    if verdict.outcome is not Outcome.NO_BASELINE or folder is None:
        return verdict
    path = store.save(folder, tier, CountedTier(counted, method), here)
    told = tuple(each for each in verdict.reasons if not isinstance(each, NoCounts))
    return replace(
        verdict,
        outcome=Outcome.RECORDED,
        reasons=(BaselineRecorded(named_from(folder, path), added=False), *told),
    )


def _folder(settings: Settings) -> Path | None:
    """Where counts without a baseline are recorded; None if nowhere.

    Counts belong to versions of libraries, so that there are first ones after every upgrade.
    """
    if settings.update is not None:
        return settings.baselines
    return settings.out / "baselines" if settings.missing in ("record", "once") else None
