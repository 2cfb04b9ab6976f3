"""The command `bisect`: since which version?"""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import (
    check_markdown,
    ended_like_ctrl_c,
    gate_options,
    progress_line,
    publish,
    publish_page_of,
    registered_here,
    say,
    settings_of,
    show,
    workload_options,
)
from perfsuite.cli.gate import BUDGET_S, open_workers, tell
from perfsuite.errors import SettingsError
from perfsuite.libraries import import_libraries, quietly

if TYPE_CHECKING:
    from perfsuite.ab.plan import GatePlan
    from perfsuite.ab.timing import BisectTimetable
    from perfsuite.bisect.session import Candidate, Measure
    from perfsuite.environments.builder import Environments
    from perfsuite.environments.spec import Spec
    from perfsuite.progress import ProgressLine
    from perfsuite.results.ab import GateRecord, TierGate
    from perfsuite.results.bisection import BisectRecord, Question

NOT_CONFIRMED = 3
_SHORT_S = 1.0
"""Sampling per start where latency is not what is asked."""


@click.command()
@click.option("--good", required=True, metavar="SPEC", help="The older version.")
@click.option("--bad", required=True, metavar="SPEC", help="The newer version, which is worse.")
@click.option("--tier", help="Tier to try, e.g. int8.")
@click.option(
    "--metric",
    type=click.Choice(["latency", "quality", "compile", "graph-breaks", "structure"]),
    help="What is worse.",
)
@click.option("--budget", show_default=f"{BUDGET_S:g}", help="Seconds of sampling per version.")
@click.option("--out", help="Folder for bisections/, gates/, envs/ (.perfsuite).")
@gate_options
@workload_options
def bisect(
    good: str, bad: str, tier: str | None, metric: str | None, markdown: Path | None, **given: Any
) -> None:
    """Find the version since when a tier is worse, between a good one and a bad one.

    SPEC is what `perfsuite gate` takes. The first package that is named is bisected; what else
    --bad names, options of pip included, holds for all versions between. Released versions are
    tried, or nightly builds if an end is one ("--pre --index-url URL torch==2.15.0.dev20261101").
    A SPEC may also be the record of a gate (.perfsuite/gates/....json): its treatment is meant, in
    the version that was measured; that of --bad then tells --tier and --metric, too.

    Both ends are confirmed first. A version that does not install or work is left for a neighbour.
    --markdown writes the body of an issue.

    Ends with exit code 0 if the version was found, 2 on wrong usage, 3 if an end is not what it was
    said to be, 4 if it could not run, 130 on Ctrl-C.
    """
    check_markdown(markdown)
    with ended_like_ctrl_c():
        record = _run(good, bad, tier, metric, given)
    from perfsuite.report.bisect import bisection_document

    document = bisection_document(record)
    show(document)
    publish(document, markdown)
    if record.result is None:
        raise SystemExit(NOT_CONFIRMED)


@dataclass(frozen=True)
class _End:
    """One end as it was asked for; `gate` is the record that it was taken from."""

    shown: str
    spec: Spec
    gate: GateRecord | None = None


def _run(
    good: str, bad: str, tier: str | None, metric: str | None, given: dict[str, Any]
) -> BisectRecord:
    root, settings = settings_of({**given, "tiers": tier}, {"budget": BUDGET_S})
    with quietly():
        import_libraries()
        from perfsuite.ab.plan import prepare_gate
        from perfsuite.bisect.session import BisectSession
        from perfsuite.environments.builder import Environments
        from perfsuite.environments.spec import Requirements
        from perfsuite.environments.versions import package_of, released_versions
        from perfsuite.report.bisect import trial_line
        from perfsuite.results.bisection import bisection_path
    ends = (_read_end(good, "--good"), _read_end(bad, "--bad"))
    wanted, question = _asked(ends[1].gate, tier, metric)
    package = package_of(ends[0].spec, ends[1].spec)
    template = next(e.spec for e in reversed(ends) if isinstance(e.spec, Requirements))
    _check_order(ends)
    asked = replace(settings, tiers=(wanted,))
    plan = prepare_gate(asked, good, bad, root, registered_here())
    released = released_versions(package, template.options)
    environments = Environments(settings.out / "envs", say)
    candidates = _candidates(ends, package, environments)
    record = _new_record(plan, wanted, question, package, released, candidates)
    say(f"{package}: {len(record.versions)} versions, both ends included")
    compiled = tempfile.TemporaryDirectory(prefix="perfsuite-bisect-")
    with progress_line() as line, compiled as caches:
        table = _timetable(plan, ends[1].gate, question, len(record.versions), line)
        table.begin()
        session = BisectSession(
            record,
            *candidates,
            template,
            environments.provide,
            _measurer(plan, question, line, Path(caches), table),
            lambda trial: tell(line, trial_line(trial)),
            settings.out,
        )
        done = session.run()
    path = bisection_path(record.bisect_id, settings.out)
    say(f"record: {path}")
    publish_page_of(path)
    return done


def _check_order(ends: tuple[_End, _End]) -> None:
    """In the wrong order two versions are not worth building."""
    from perfsuite.environments.versions import between, pinned_version

    older, newer = (pinned_version(end.spec) for end in ends)
    if older and newer:
        between((), older, newer)


def _candidates(
    ends: tuple[_End, _End], package: str, environments: Environments
) -> tuple[Candidate, Candidate]:
    """Both ends with their interpreters and the versions that these hold."""
    from perfsuite.bisect.session import Candidate
    from perfsuite.environments.versions import installed_version

    good, bad = (
        Candidate(installed_version(python, package), end.shown, python)
        for end, python in [(each, environments.provide(each.spec)) for each in ends]
    )
    return good, bad


def _new_record(
    plan: GatePlan,
    tier: str,
    question: Question,
    package: str,
    released: tuple[str, ...],
    ends: tuple[Candidate, Candidate],
) -> BisectRecord:
    from perfsuite.environments.versions import between
    from perfsuite.results.bisection import BisectRecord
    from perfsuite.results.migrate import SCHEMA
    from perfsuite.session.preflight import new_run_id

    good, bad = ends
    return BisectRecord(
        SCHEMA,
        new_run_id(),
        plan.record.environment,
        plan.record.checkpoint,
        tier,
        question,
        package,
        good.shown,
        bad.shown,
        between(released, good.version, bad.version),
    )


def _timetable(
    plan: GatePlan,
    gate: GateRecord | None,
    question: Question,
    versions: int,
    line: ProgressLine,
) -> BisectTimetable:
    """How long the bisection takes, by the gate that found the regression if there is one."""
    from perfsuite.ab.timing import BisectTimetable, pace_of_gate, timetable

    trial = timetable(_asking(plan, question), lambda said: tell(line, said), cold_arms=0)
    for tier in gate.tiers if gate else ():
        pace = pace_of_gate(tier)
        if tier.tier in trial.tiers and pace is not None:
            trial.paces = trial.paces.knowing(tier.tier, pace)
    return BisectTimetable(trial, versions)


def _asking(plan: GatePlan, question: Question) -> GatePlan:
    """The plan of one trial: what answers the question, and no more."""
    work = replace(
        plan.work,
        makes_images=question.is_of_images,
        finds_compiled=not question.is_of_compilation,
    )
    if question.starts is not None:
        work = replace(work, budget_s=_SHORT_S)
    return replace(plan, work=work)


def _measurer(
    plan: GatePlan, question: Question, line: ProgressLine, kept: Path, table: BisectTimetable
) -> Measure:
    """Runs a gate over the plan's one tier with whichever arms it is given.

    Compiled code is kept for each environment, unless compiling is what is asked about: the good
    end is compiled once and not for every version again.
    """
    from perfsuite.ab.session import Session
    from perfsuite.results.ab import Arm, ArmFacts
    from perfsuite.session.preflight import new_run_id

    starts = question.starts
    enough = None if starts is None else (lambda tier: len(tier.usable) >= starts)
    plan = _asking(plan, question)

    def cache(candidate: Candidate) -> Path:
        return kept / hashlib.sha256(str(candidate.python).encode()).hexdigest()[:12]

    def measure(
        control: Candidate, treatment: Candidate, tolerance: float | None
    ) -> tuple[TierGate, str]:
        policy = replace(plan.record.policy, multiplicity=1)
        if tolerance is not None:
            policy = replace(policy, tolerance=tolerance)
        record = replace(
            plan.record,
            gate_id=new_run_id(),
            control=ArmFacts(control.shown),
            treatment=ArmFacts(treatment.shown),
            policy=policy,
        )
        own = replace(plan, record=record)
        caches = {Arm.CONTROL: cache(control), Arm.TREATMENT: cache(treatment)}
        with open_workers(
            own,
            control.python,
            treatment.python,
            caches=caches if plan.work.finds_compiled else None,
        ) as open_worker:
            gate = Session(own, open_worker, line, enough=enough).run()
        if gate.interrupted:
            raise KeyboardInterrupt
        table.learn(gate.tiers[0])
        return gate.tiers[0], gate.gate_id

    return measure


def _read_end(text: str, option: str) -> _End:
    """An end as a SPEC, or as the treatment of a gate's record."""
    from perfsuite.environments.spec import Requirements, parse_spec
    from perfsuite.environments.versions import at_version, package_of, recorded_version
    from perfsuite.results.ab import load_gate

    path = Path(text).expanduser()
    if path.suffix != ".json" or not path.is_file():
        return _End(text, parse_spec(text))
    gate = load_gate(path)
    spec = parse_spec(gate.treatment.spec)
    if not isinstance(spec, Requirements):
        return _End(gate.treatment.spec, spec, gate)
    name = package_of(spec, spec)
    version = recorded_version(gate.treatment.packages or {}, name)
    if version is None:
        raise SettingsError(
            f"{option} {text} does not tell which version of {name} was measured",
            hint=f'name it: {option} "{name}==VERSION"',
        )
    pinned = at_version(spec, version)
    return _End(shlex.join((*pinned.options, *pinned.packages)), pinned, gate)


def _asked(gate: GateRecord | None, tier: str | None, metric: str | None) -> tuple[str, Question]:
    """Tier and metric, from the options or from the first regression of the bad end's record."""
    from perfsuite.bisect.session import regression_of
    from perfsuite.results.bisection import Question

    if gate is not None and (tier is None or metric is None):
        found = regression_of(gate, tier)
        if found is None:
            raise SettingsError(
                "the gate of --bad found no regression that can be bisected",
                hint="name --tier and --metric",
            )
        return found[0], Question(metric) if metric else found[1]
    if tier is None or metric is None:
        raise SettingsError("--tier and --metric are missing", hint="name both")
    return tier, Question(metric)
