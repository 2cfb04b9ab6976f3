"""The command `gate`: may we upgrade?"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.common import (
    check_markdown,
    ended_like_ctrl_c,
    gate_options,
    history_option,
    keep_in_history,
    publish,
    publish_page_of,
    registered_here,
    say,
    settings_of,
    show,
    typed,
    workload_options,
)
from perfsuite.compiler import check_libraries
from perfsuite.libraries import import_libraries, quietly
from perfsuite.progress import ProgressLine
from perfsuite.storage import scratch_folder

if TYPE_CHECKING:
    from perfsuite.ab.plan import GatePlan
    from perfsuite.ab.session import OpenWorker
    from perfsuite.results.ab import Arm, GateRecord, TierGate

BUDGET_S = 40.0


@click.command()
@click.option("--control", required=True, metavar="SPEC", help="What we have.")
@click.option("--treatment", required=True, metavar="SPEC", help="What we might change to.")
@click.option("--tiers", help="Tiers to compare, e.g. bf16,int8 (all).")
@click.option("--budget", show_default=f"{BUDGET_S:g}", help="Seconds of sampling per tier.")
@click.option("--out", help="Folder for gates/ and envs/ (.perfsuite).")
@history_option
@gate_options
@workload_options
def gate(control: str, treatment: str, markdown: Path | None, **given: Any) -> None:
    """Hold two environments against each other, tier by tier, in one verdict.

    SPEC is a virtual environment's folder, a python executable, '.' for the environment that
    perfsuite runs in, or requirements for pip ("torch==2.14.1", "--pre torch"), for which an
    environment is built once and kept under --out.

    Ends with exit code 0 if everything passed, 1 if anything regressed, 2 on wrong usage, 3 if it
    could not be settled, 4 if it could not run, 130 on Ctrl-C.
    """
    check_markdown(markdown)
    with ended_like_ctrl_c():
        record = _run(control, treatment, given)
    _report(record, markdown)
    raise SystemExit(record.answer.value)


def _run(control: str, treatment: str, given: dict[str, Any]) -> GateRecord:
    root, settings = settings_of(given, {"budget": BUDGET_S})
    from perfsuite.environments.builder import Environments
    from perfsuite.environments.spec import parse_spec

    specs = (parse_spec(control), parse_spec(treatment))
    with quietly():
        import_libraries()
        from perfsuite.ab.plan import prepare_gate
        from perfsuite.ab.session import Session
        from perfsuite.ab.timing import timetable
        from perfsuite.history.entries import entry_of_gate
        from perfsuite.history.keep import check
        from perfsuite.results.ab import record_path
    check(settings.history)
    plan = prepare_gate(settings, control, treatment, root, registered_here())
    plan = replace(plan, record=replace(plan.record, command=typed()))
    environments = Environments(settings.out / "envs", say)
    pythons = [environments.provide(spec) for spec in specs]
    line = ProgressLine(sys.stderr)
    try:
        with open_workers(plan, pythons[0], pythons[1]) as open_worker:
            session = Session(
                plan,
                open_worker,
                line,
                tell=lambda tier: _tell_structure(line, tier),
                timetable=timetable(plan, lambda said: tell(line, said)),
            )
            record = session.run()
    finally:
        line.end()
    say(f"record: {session.path}")
    keep_in_history(entry_of_gate(record), settings.history)
    publish_page_of(record_path(record.gate_id, plan.out))
    return record


def _tell_structure(line: ProgressLine, tier: TierGate) -> None:
    from perfsuite.report.ab import structure_lines

    for said in structure_lines(tier):
        tell(line, said)


def tell(line: ProgressLine, said: str) -> None:
    """Print one line in the place of the progress line."""
    line.end()
    say(said)


@contextmanager
def open_workers(
    plan: GatePlan,
    control: Path,
    treatment: Path,
    programs: Mapping[Arm, tuple[str, ...]] | None = None,
    caches: Mapping[Arm, Path] | None = None,
) -> Iterator[OpenWorker]:
    """A way to start workers, whose scratch and compile caches are gone afterwards.

    Args:
        plan: of the gate.
        control: the control's interpreter.
        treatment: the treatment's.
        programs: what an arm runs instead of the gate's own worker.
        caches: where an arm's compiled code outlives the gate.

    Raises:
        CompilerMissing: a tier is compiled, and an environment's path has a space in it.
    """
    import perfsuite
    from perfsuite.ladder import is_compiled
    from perfsuite.results.ab import Arm
    from perfsuite.workers.client import Launch, WorkerProcess

    pythons = {Arm.CONTROL: control, Arm.TREATMENT: treatment}
    if any(is_compiled(tier) for tier in plan.tiers):
        for python in pythons.values():
            check_libraries(python.parent.parent)
    logs = plan.out / "gates" / plan.record.gate_id
    logs.mkdir(parents=True, exist_ok=True)
    with scratch_folder("perfsuite-gate-", Path(tempfile.gettempdir())) as scratch:
        source = scratch / "source"
        source.mkdir()
        # Alone in a folder: the folder that it lies in may hold this environment's packages too.
        (source / "perfsuite").symlink_to(Path(perfsuite.__file__).resolve().parent)

        def open_worker(name: Arm, tier: str) -> WorkerProcess:
            return WorkerProcess(
                Launch(
                    name=name,
                    python=pythons[name],
                    source=source,
                    log=logs / f"{tier}-{name.value}.log",
                    scratch=scratch,
                    cache=caches[name] if caches else scratch / "cache" / tier / name.value,
                    **({"program": programs[name]} if programs else {}),
                )
            )

        yield open_worker


def _report(record: GateRecord, markdown: Path | None) -> None:
    from perfsuite.report.ab import gate_document

    document = gate_document(record)
    show(document)
    publish(document, markdown)
