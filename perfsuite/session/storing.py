"""What becomes of a measurement beside its verdict: a baseline, where that was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfsuite.results.method import Finding
from perfsuite.results.reasons import (
    BaselineLost,
    BaselineRecorded,
    FirstBaseline,
    NoBaseline,
    TierNotInBaseline,
)
from perfsuite.results.samples import Measurement
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.stores.baselines import RecordedRun
from perfsuite.stores.first_baselines import FirstBaselines, subject_of

if TYPE_CHECKING:
    from perfsuite.session.run import Run

UNKNOWN_BASELINE = Finding(
    "baseline",
    "the baseline does not tell weights and configurations, so they were not compared; "
    "perfsuite record makes one that does",
)


def store_run(session: Run, measurement: Measurement, verdict: Verdict) -> Verdict:
    """Make this run a baseline, or one more run of one, where that was asked for."""
    method = session.methods.get(measurement.tier)
    latency, stages = measurement.unspoilt, measurement.stages
    run = RecordedRun(session.record.run_id, session.environment, latency, method, stages)
    settings = session.settings
    if settings.update is not None:
        add = settings.update == "add"
        path = session.store.save_run(settings.baselines, measurement, run, add=add)
        reasons = (BaselineRecorded(session.store.named(path), add),)
        return replace(verdict, outcome=Outcome.RECORDED, reasons=reasons)
    if not any(isinstance(each, NoBaseline) for each in verdict.reasons):
        return verdict
    if session.store.path(settings.baselines).is_file():
        return replace(verdict, reasons=(TierNotInBaseline(measurement.tier),))
    return _record_first(session, measurement, run, verdict)


def _record_first(
    session: Run, measurement: Measurement, run: RecordedRun, verdict: Verdict
) -> Verdict:
    """Make this run this machine's first baseline of a tier, where that was asked for."""
    settings = session.settings
    listed = FirstBaselines.under(settings.out)
    subject = subject_of(session.record, session.store.label, measurement.tier)
    if settings.missing == "once":
        earlier = listed.find(subject)
        if earlier is not None:
            lost = BaselineLost(session.store.hardware_key, earlier.hardware_key, earlier.run_id)
            return replace(verdict, reasons=(lost,))
    elif settings.missing != "record":
        return verdict
    session.store.save_run(settings.out / "baselines", measurement, run, add=False)
    listed.note(subject, session.store.hardware_key, run.run_id)
    return replace(verdict, outcome=Outcome.RECORDED, reasons=(FirstBaseline(),))
