"""The command line: `perfsuite tiers`, `record`, `record-references` and more."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfsuite.cli.bisect import bisect
from perfsuite.cli.common import (
    COULD_NOT_RUN,
    INTERRUPTED,
    NOBODY_READS,
    in_own_words,
    prepare,
    progress_line,
    put,
    say,
    show,
    turn_away,
    workload_options,
)
from perfsuite.cli.exchange import export, import_results
from perfsuite.cli.gate import gate
from perfsuite.cli.history import compare, history, trend
from perfsuite.cli.night import confirm, issue
from perfsuite.cli.prune import prune
from perfsuite.cli.quality import calibrate_quality
from perfsuite.cli.record import record
from perfsuite.cli.report import report
from perfsuite.cli.selftest import selftest
from perfsuite.cli.structure import structure
from perfsuite.conftests import load_conftests
from perfsuite.errors import GateError, PerfsuiteError
from perfsuite.libraries import quietly

if TYPE_CHECKING:
    from perfsuite.session.run import Run
from perfsuite.workload import labelled


class _Commands(click.Group):
    """The door: every command's errors become one line and an exit code.

    2 is wrong usage, 4 could not run, an error of perfsuite's own included, 130 was interrupted.
    1 is a verdict, and never comes from a crash.
    """

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except GateError as error:
            say(f"could not run: {self._own(error, context)}")
            code = COULD_NOT_RUN
        except PerfsuiteError as error:
            raise click.UsageError(self._own(error, context)) from None
        except KeyboardInterrupt:
            say("interrupted; what was measured until then is kept")
            code = INTERRUPTED
        except BrokenPipeError:
            turn_away(sys.stdout)
            turn_away(sys.stderr)
            code = NOBODY_READS
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:
            say(traceback.format_exc() + "could not run: this is an error of perfsuite's own")
            code = COULD_NOT_RUN
        raise SystemExit(code)

    def _own(self, error: PerfsuiteError, context: click.Context) -> str:
        name = context.invoked_subcommand
        return in_own_words(str(error), self.get_command(context, name) if name else None)


@click.group(cls=_Commands)
@click.version_option(package_name="perfsuite")
def main() -> None:
    """Performance-regression tests for SDXL diffusion pipelines; measure with `pytest -m perf`."""


@main.command()
@click.option(
    "--format", "dialect", type=click.Choice(["console", "markdown", "json"]), default="console"
)
def tiers(dialect: str) -> None:
    """Print the ladder: what each tier adds and why; those of the project's conftests too."""
    load_conftests()
    with quietly():
        from perfsuite.ladder import summarise
        from perfsuite.ladder import tiers as registered
    from perfsuite.report.json import render_json
    from perfsuite.report.ladder import ladder_document
    from perfsuite.report.markdown import render_markdown

    document = ladder_document([summarise(tier) for tier in registered()])
    if dialect == "console":
        written = show(document)
    else:
        render = {"markdown": render_markdown, "json": render_json}[dialect]
        written = put(render(document))
    if not written:  # the list is all that this command is for
        raise click.exceptions.Exit(COULD_NOT_RUN)


@main.command("record-references")
@click.argument("checkpoint", required=False)
@click.option("--device", show_default="auto")
@click.option("--baselines", show_default="baselines", help="Folder to write to.")
@workload_options
def record_references(**given: Any) -> None:
    """Make the fp32 reference images and latents of a checkpoint (pocket on a CPU)."""
    first = prepare(given, scores_images=False)
    folders = {run.work.name: _references_folder(run) for run in first.siblings}
    from perfsuite.ladder import reference_tier
    from perfsuite.storage import check_outputs
    from perfsuite.stores.references import MANIFEST

    check_outputs(*(folder / MANIFEST for folder in folders.values()))
    for run in first.siblings:
        with progress_line() as line, run.build(reference_tier()) as fp32, quietly():
            line.begin("references")
            references = run.record_references(fp32, folders[run.work.name], line.update)
        click.echo(f"{len(references.images)} reference images in {references.folder}")


def _references_folder(run: Run) -> Path:
    name = labelled(run.checkpoint.name, run.work.quality_label)
    keyed = Path(run.environment.hardware.images_key, "references", name)
    portable = Path("references", name)
    return run.settings.baselines / (portable if run.checkpoint.portable_references else keyed)


main.add_command(record)
main.add_command(gate)
main.add_command(bisect)
main.add_command(report)
main.add_command(confirm)
main.add_command(issue)
main.add_command(calibrate_quality)
main.add_command(prune)
main.add_command(selftest)
main.add_command(structure)
main.add_command(history)
main.add_command(compare)
main.add_command(trend)
main.add_command(import_results)
main.add_command(export)
