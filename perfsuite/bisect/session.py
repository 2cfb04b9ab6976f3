"""Bisection with real environments: both ends are confirmed, then versions between are tried.

Every version is held against the good end, so that all trials answer the same question; at last
the first bad one is held against the last good one, for the figure that a report needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from perfsuite.bisect.search import bisect
from perfsuite.environments.spec import Requirements, Spec
from perfsuite.environments.versions import at_version
from perfsuite.errors import EnvironmentBroken, GateError
from perfsuite.report.messages import say_all
from perfsuite.results.ab import GateRecord, TierGate
from perfsuite.results.bisection import (
    Answer,
    Bisected,
    BisectRecord,
    Question,
    Trial,
    bisection_path,
)
from perfsuite.results.verdict import Metric, Outcome, gravest
from perfsuite.storage import write_json


@dataclass(frozen=True)
class Candidate:
    """An environment with one version in it.

    Attributes:
        version: of the package that is bisected.
        shown: the SPEC, for records.
        python: its interpreter.
    """

    version: str
    shown: str
    python: Path


class Measure(Protocol):
    """Runs one gate over one tier."""

    def __call__(
        self, control: Candidate, treatment: Candidate, tolerance: float | None
    ) -> tuple[TierGate, str]:
        """What the gate found, and its identity; tolerance None is the one that was asked for.

        Raises:
            GateError: it could not run.
            KeyboardInterrupt: it was stopped.
        """


@dataclass
class BisectSession:
    """A bisection under way.

    Attributes:
        record: what has come out so far; written after every trial.
        good: the good end.
        bad: the bad end.
        template: SPEC whose first package is set to each version between.
        provide: makes an environment.
        measure: runs a gate.
        tell: told of every trial.
        out: folder of records.
    """

    record: BisectRecord
    good: Candidate
    bad: Candidate
    template: Requirements
    provide: Callable[[Spec], Path]
    measure: Measure
    tell: Callable[[Trial], None]
    out: Path
    _known: dict[str, Candidate] = field(default_factory=dict)

    def run(self) -> BisectRecord:
        """Confirm the ends, halve what is between, and hold the two that are found side by side.

        Ctrl-C leaves what is known in the record.

        Raises:
            GateError: an end could not be measured.
        """
        self._known = {self.good.version: self.good, self.bad.version: self.bad}
        try:
            self._search()
        except KeyboardInterrupt:
            self._keep(replace(self.record, stopped="interrupted"))
            raise
        except GateError as error:
            self._keep(replace(self.record, stopped=str(error)))
            raise
        return self.record

    def _search(self) -> None:
        good = self._judge(self.good, self.good, None, of_end=True)
        if good.answer is not Answer.GOOD:
            self._stop(f"the good end does not pass against itself ({_why(good)})")
            return
        bad = self._judge(self.good, self.bad, None, of_end=True)
        if bad.answer is not Answer.BAD:
            self._stop(f"the bad end is not worse than the good one ({_why(bad)})")
            return
        tolerance = halfway(bad)

        def test(version: str) -> Answer:
            return self._try(version, tolerance, fails=bad.fails).answer

        found = bisect(self.record.versions, test)
        self._keep(replace(self.record, result=found))
        final = self._final(found, tolerance)
        self._keep(replace(self.record, final=final))

    def _try(self, version: str, tolerance: float | None, *, fails: bool) -> Trial:
        """One version between the ends; what stops it is a trial without an answer."""
        spec = at_version(self.template, version)
        try:
            candidate = Candidate(version, " ".join(spec.packages), self.provide(spec))
        except EnvironmentBroken as error:
            trial = Trial(version, self.good.version, Answer.UNKNOWN, f"skipped: {error.problem}")
            return self._note(trial)
        self._known[version] = candidate
        try:
            trial = self._judge(self.good, candidate, tolerance, of_end=False)
        except GateError as error:
            trial = Trial(version, self.good.version, Answer.UNKNOWN, f"skipped: {error.problem}")
            return self._note(trial)
        if trial.fails and not fails:
            # Broken in another way than the bad end, which does work: says nothing of that.
            trial = replace(trial, answer=Answer.UNKNOWN, note=f"skipped: {trial.note}")
            self._replace_last(trial)
        return trial

    def _final(self, found: Bisected, tolerance: float | None) -> Trial:
        """The first bad version against the last good one, unless that was the good end."""
        if found.last_good == self.good.version:
            known = (each for each in self.record.trials if each.version == found.first_bad)
            return next(known)
        good, bad = self._known[found.last_good], self._known[found.first_bad]
        return self._judge(good, bad, tolerance, of_end=False)

    def _judge(
        self, control: Candidate, treatment: Candidate, tolerance: float | None, *, of_end: bool
    ) -> Trial:
        tier, gate_id = self.measure(control, treatment, tolerance)
        trial = replace(
            read_trial(tier, self.record.question, treatment.version, control.version),
            gate_id=gate_id,
        )
        if of_end and tier.failure is not None and not tier.failure.is_regression:
            raise GateError(tier.failure.message, hint="fix it and start again")
        return self._note(trial)

    def _note(self, trial: Trial) -> Trial:
        self._keep(replace(self.record, trials=(*self.record.trials, trial)))
        self.tell(trial)
        return trial

    def _replace_last(self, trial: Trial) -> None:
        self._keep(replace(self.record, trials=(*self.record.trials[:-1], trial)))

    def _stop(self, reason: str) -> None:
        self._keep(replace(self.record, stopped=reason))

    def _keep(self, record: BisectRecord) -> None:
        self.record = record
        write_json(bisection_path(record.bisect_id, self.out), record)


def read_trial(tier: TierGate, question: Question, version: str, against: str) -> Trial:
    """What a gate says to the question."""
    if tier.failure is not None:
        fails = tier.failure.is_regression
        answer = Answer.BAD if fails else Answer.UNKNOWN
        return Trial(version, against, answer, tier.failure.message, fails=fails)
    asked = [each for each in tier.verdicts if each.metric in question.metrics]
    worst = gravest(each.outcome for each in asked)
    verdict = next((each for each in asked if each.outcome is worst), None)
    answers = {
        Outcome.REGRESSED: Answer.BAD,
        Outcome.PASSED: Answer.GOOD,
        Outcome.IMPROVED: Answer.GOOD,
    }
    answer = answers.get(worst, Answer.UNKNOWN) if worst else Answer.UNKNOWN
    if question is Question.STRUCTURE and answer is Answer.GOOD and verdict and verdict.reasons:
        answer = Answer.BAD  # between versions a gate lets a difference pass; here it is looked for
    note = "" if verdict else f"{tier.tier} has no {question.value} to judge"
    return Trial(version, against, answer, note, verdict)


def regression_of(gate: GateRecord, tier: str | None) -> tuple[str, Question] | None:
    """Tier and question of a gate's first regression, on a tier if one is named."""
    for each in gate.tiers:
        if tier is not None and each.tier != tier:
            continue
        if each.failure is not None and each.failure.is_regression:
            return each.tier, Question.GRAPH_BREAKS  # the one that takes the shortest time to ask
        worse = {v.metric for v in each.verdicts if v.outcome is Outcome.REGRESSED}
        for question in Question:
            if worse.intersection(question.metrics):
                return each.tier, question
    return None


def halfway(bad: Trial) -> float | None:
    """Tolerance for the versions between: half of the bad end's change, on the log scale.

    A version is then as good as the good end or as bad as the bad one, whichever it is nearer to,
    and both are equally far from the threshold.

    Returns:
        None if the change has no size: counters, images, or a version that fails.
    """
    verdict = bad.verdict
    if verdict is None or verdict.metric is not Metric.LATENCY or verdict.change is None:
        return None
    return math.expm1(math.log1p(verdict.change) / 2)


def _why(trial: Trial) -> str:
    if trial.verdict is None:
        return trial.note
    said = trial.note or say_all(trial.verdict.reasons)
    outcome = trial.verdict.outcome.value
    return f"{outcome}: {said}" if said else outcome
