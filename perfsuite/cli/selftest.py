"""`perfsuite selftest`: proof that the gates can fail, on the machine where they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import (
    ended_like_ctrl_c,
    history_option,
    keep_in_history,
    prepare,
    progress_line,
    settings_of,
    show,
)
from perfsuite.cli.gate import BUDGET_S, open_workers
from perfsuite.errors import ReferenceImageError, SettingsError
from perfsuite.libraries import import_libraries, quietly
from perfsuite.settings import find_root, resolve_settings

if TYPE_CHECKING:
    from perfsuite.progress import ProgressLine
    from perfsuite.report.table import Document
    from perfsuite.selftest.quality.trial import Report
    from perfsuite.session.run import Run

GATE_REPEATS = 40
"""Gates for each slowdown."""
REQUIRED_SHARE = 0.95
"""Share of planted faults that has to be caught."""


@click.command()
@click.option("--quick", "kind", flag_value="quick", help="The latency gate, under four minutes.")
@click.option("--full", "kind", flag_value="full", help="The latency gate, over an hour.")
@click.option("--gate", "kind", flag_value="gate", help="The upgrade gate, for hours.")
@click.option("--quality", "kind", flag_value="quality", help="The quality gate: planted faults.")
@click.option("--checkpoint", show_default="pocket")
@click.option("--tiers", help="Tiers to try, e.g. fp32,int8.")
@click.option("--only", multiple=True, help="With --quality: a fault's name or part of it.")
@click.option("--repeats", type=click.IntRange(1, 1000), help="With --quality or --gate.")
@click.option("--after", default=0, type=click.IntRange(0), help="Repeats made before: new seeds.")
@click.option("--device", show_default="auto")
@click.option("--baselines", show_default="baselines")
@click.option("--out", show_default=".perfsuite", help="Folder for selftest/.")
@history_option
def selftest(
    kind: str | None, only: tuple[str, ...], repeats: int | None, after: int, **given: Any
) -> None:
    """Prove that a gate can fail, and that it does not without a reason.

    --quick and --full: measures fresh processes of unchanged code and of code with extra work
    planted in the UNet, judges them, and prints how often the gate and other tools' rules call them
    slower. Stopped, it goes on where it was. Writes selftest/latency.json and latency.md under
    --out. Ends with exit code 1 if unchanged code was called slower.

    --gate: holds this environment against itself with 0, 3 and 5 % of extra work planted in one
    arm's UNet, --repeats (40) times each (5 % half as often), at a tolerance of 1.5 %. Goes on
    where it was, too. Writes selftest/gate.json and gate.md. Ends with exit code 1 if equal arms
    were called unequal.

    --quality: plants known faults and sees whether images give them away. Writes
    selftest/quality.json and quality.md. Ends with exit code 1 if less than 95 % of the faults are
    caught, or if something healthy is called a fault. With --repeats no fault is planted: every
    tier makes the quality workload that often with seeds that no threshold has seen, and has to
    pass each time.
    """
    if kind is None:
        raise click.UsageError(
            "name what to test: perfsuite selftest --quick, --full, --gate or --quality"
        )
    if kind != "quality":
        if only or after:
            raise click.UsageError("--only and --after go with --quality")
        if kind == "gate":
            _try_gate(given, repeats or GATE_REPEATS)
            return
        if repeats is not None:
            raise click.UsageError("--repeats goes with --quality or --gate")
        _try_latency(kind, given)
        return
    if after and repeats is None:
        raise click.UsageError("--after goes with --repeats")
    run = prepare(given)
    if run.references is None:
        raise ReferenceImageError(
            f"checkpoint '{run.checkpoint.name}' has no reference images yet",
            hint=run.asked.command("record-references"),
        )
    if repeats is not None:
        _repeat(run, repeats, after)
        return
    with progress_line() as line, quietly():
        report = _try_all(run, only, line)
    from perfsuite.selftest.experiment import Rate
    from perfsuite.selftest.history import Shown, entry_of_selftest
    from perfsuite.selftest.quality.report import quality_document

    _keep("quality", report, quality_document(report), run.settings.out / "selftest")
    healthy = len(report.harmless) + len(report.healthy)
    shown = (
        Shown("images", Rate.of(len(report.alarms), healthy), 0.0),
        Shown("images", Rate.of(report.caught, len(report.faults)), None),
    )
    entry = entry_of_selftest("quality", report, run.environment, report.checkpoint, shown)
    keep_in_history(entry, run.settings.history)
    enough = report.caught >= REQUIRED_SHARE * len(report.faults)
    if not enough or report.alarms:
        raise SystemExit(1)


def _try_latency(kind: str, given: dict[str, Any]) -> None:
    """Measure the trials that are not there yet, judge all, print and keep the table."""
    from perfsuite.selftest.latency.trials import FULL, QUICK

    plan = FULL if kind == "full" else QUICK
    own = {"checkpoint": plan.checkpoint, "tiers": plan.tiers}
    settings = resolve_settings(given, find_root(Path.cwd()), own, flag="--")
    plan = replace(
        plan,
        checkpoint=settings.checkpoint or plan.checkpoint,
        tiers=settings.tiers or plan.tiers,
        device=settings.device,
        threads=settings.threads,
    )
    folder = settings.out / "selftest"
    # A trial that cannot be measured at all is found out before the first process.
    prepare(given | {"tiers": ",".join(plan.tiers)}, scores_images=False).finish(complete=False)
    from perfsuite.selftest.history import entry_of_selftest, rates_of_latency
    from perfsuite.selftest.latency.campaign import report_on, run_trials
    from perfsuite.selftest.latency.report import latency_selftest_document

    with progress_line() as line:
        line.begin("selftest")
        trials = run_trials(plan, folder / "latency", line.update)
    report = report_on(trials, plan)
    _keep("latency", report, latency_selftest_document(report), folder)
    shown = rates_of_latency(report)
    entry = entry_of_selftest("latency", report, report.environment, plan.checkpoint, shown)
    keep_in_history(entry, settings.history)
    if report.false_alarms:
        raise SystemExit(1)


def _try_gate(given: dict[str, Any], repeats: int) -> None:
    """Make the trials that are not there yet, judge all, print and keep the table."""
    with quietly():
        import_libraries()
        from perfsuite.ab.plan import prepare_gate
        from perfsuite.selftest.ab.campaign import make_trial
        from perfsuite.selftest.ab.report import gate_selftest_document
        from perfsuite.selftest.ab.trials import (
            TIERS,
            GateTrialPlan,
            experiment,
            report_on,
            trials_for,
        )
        from perfsuite.selftest.history import Shown, entry_of_selftest

    own = {"checkpoint": "pocket", "tiers": TIERS, "budget": BUDGET_S}
    root, settings = settings_of(given, own)
    plan = prepare_gate(settings, ".", ".", root)
    folder = settings.out / "selftest" / "gate"
    trials = experiment(folder, GateTrialPlan.of(plan))
    with ended_like_ctrl_c(), progress_line() as line:
        done = trials.carry_out(
            trials_for(repeats),
            lambda number: make_trial(plan, number, open_workers, line),
            line.update,
        )
    report = report_on(done, [tier.name for tier in plan.tiers])
    _keep("gate", report, gate_selftest_document(report), folder.parent)
    named = f"tolerance {report.tolerance:.1%}"
    shown = [Shown(named, row.regressed, row.slowdown) for row in report.rows]
    checkpoint = plan.record.checkpoint
    entry = entry_of_selftest("gate", report, report.environment, checkpoint, shown)
    keep_in_history(entry, settings.history)
    if report.false_alarms:
        raise SystemExit(1)


def _repeat(run: Run, repeats: int, after: int) -> None:
    from perfsuite.selftest.quality.repeats import Repeat, repeat_tiers, summary
    from perfsuite.storage import write_json

    done: list[Repeat] = []
    name = f"repeats-after-{after}.json" if after else "repeats.json"
    path = run.settings.out / "selftest" / name
    with progress_line() as line, quietly():
        for each in repeat_tiers(run, repeats, line.begin, line.update, after=after):
            done.append(each)
            write_json(path, done)
    for said in summary(tuple(done)):
        click.echo(said)
    click.echo(f"written: {path}")
    if not all(each.passed for each in done):
        raise SystemExit(1)


def _try_all(run: Run, only: tuple[str, ...], line: ProgressLine) -> Report:
    """Try everything; what is known is kept in selftest/quality.json after each trial."""
    from perfsuite.selftest.quality.faults import FAULTS, HARMLESS
    from perfsuite.selftest.quality.methods import supported, try_methods
    from perfsuite.selftest.quality.trial import Bench, Report, try_faults, try_tiers
    from perfsuite.session.images import ImageGate
    from perfsuite.storage import write_json

    assert run.references is not None

    def is_chosen(name: str) -> bool:
        return not only or any(part in name for part in only)

    chosen = [fault for fault in FAULTS if is_chosen(fault.name)]
    of_methods = [fault for fault in supported(run) if is_chosen(fault.name)]
    if not (chosen or of_methods):
        raise SettingsError(f"no fault is named like {', '.join(only)}", hint="leave out --only")
    folder = run.settings.out / "selftest"
    gate = ImageGate(run.references, run.calibration, folder, run.environment, folder.parent)
    report = Report(run.checkpoint.name, run.record.identity)
    for trial in () if only else try_tiers(run, gate, line.begin, line.update):
        report = replace(report, healthy=(*report.healthy, trial))
        write_json(folder / "quality.json", report)
    for trial in try_methods(run, folder, of_methods, line.begin, line.update):
        report = report.with_trial(trial)
        write_json(folder / "quality.json", report)
    if not chosen:
        return report
    with Bench(run, run.references) as bench:
        for trial in try_faults(bench, chosen, line.begin, line.update):
            report = replace(report, faults=(*report.faults, trial))
            write_json(folder / "quality.json", report)
        for trial in () if only else try_faults(bench, HARMLESS, line.begin, line.update):
            report = replace(report, harmless=(*report.harmless, trial))
            write_json(folder / "quality.json", report)
    return report


def _keep(name: str, report: object, document: Document, folder: Path) -> None:
    """Print a report, and keep it as data and as a page."""
    from perfsuite.report.markdown import render_markdown
    from perfsuite.storage import write_json, write_whole

    show(document)
    write_json(folder / f"{name}.json", report)
    write_whole(folder / f"{name}.md", render_markdown(document, depth=1).encode())
    click.echo(f"written: {folder / name}.json and {name}.md")
