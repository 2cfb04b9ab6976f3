"""The latency self-test's table in two dialects. A renderer returns text, computes nothing."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perfsuite.results.verdict import Outcome
from perfsuite.selftest.latency.campaign import LatencyReport
from perfsuite.selftest.latency.rates import GateRates, Rate, RuleRates, key_of, median_visible

LEGEND = (
    "Share of verdicts that say 'regressed', by extra work planted in the UNet. '0/60 (-6.0%)': "
    "none of 60, and the 95 % interval (Wilson) reaches up to 6.0 %. open: unchanged tiers that "
    "got no answer (inconclusive or invalid) instead of a pass. sees: median of the smallest "
    "slowdown that a verdict could have seen."
)


@dataclass(frozen=True)
class Line:
    """One rule's line of the table.

    Attributes:
        cells: text for each column.
        is_own: whether it is this project's gate.
    """

    cells: tuple[str, ...]
    is_own: bool


def columns(report: LatencyReport) -> tuple[str, ...]:
    """Headings."""
    slower = (f"+{key_of(each)}" for each in report.plan.slowdowns)
    return ("rule", "unchanged", *slower, "open", "sees")


def lines(report: LatencyReport) -> tuple[Line, ...]:
    """The gate at each of its settings, then the other tools."""
    own = [Line(_gate_cells(gate, report), True) for gate in report.gates]
    return (*own, *(Line(_rule_cells(rule, report), False) for rule in report.rules))


def summary(report: LatencyReport) -> str:
    """How much was measured, where, and what a verdict costs."""
    hardware = report.environment.hardware
    torch = report.environment.packages.get("torch", "?")
    return (
        f"{report.trials} processes in {_duration(report.span_s)} on {hardware.model}, "
        f"{report.environment.threads} thread, torch {torch}; tiers "
        f"{', '.join(report.plan.tiers)} of {report.plan.checkpoint}; "
        f"{report.plan.unchanged_s:g} s of sampling per tier ({report.plan.planted_s:g} s with "
        f"work planted), {report.verdict_s:.0f} s of machine time per verdict"
    )


def resampled(report: LatencyReport) -> tuple[str, ...]:
    """One line for each setting: every trial against baselines drawn from all the others."""
    return tuple(
        f"{_gate_name(gate)}, baselines drawn from all other trials: "
        + ", ".join(f"{_planted(name)} {_percent(share)}" for name, share in gate.resampled.items())
        for gate in report.gates
        if gate.resampled
    )


def intervals(report: LatencyReport) -> tuple[str, ...]:
    """One line for each setting: 95 % intervals of its rates."""
    return tuple(
        f"{_gate_name(gate)}, 95 % intervals: "
        + ", ".join(
            f"{_planted(name)} {rate.low:.1%}-{rate.high:.1%} of {rate.total}"
            for name, rate in gate.regressed.items()
        )
        for gate in report.gates
    )


def planted(report: LatencyReport) -> tuple[str, ...]:
    """One line: what the planted work really cost, with its standard error."""
    said = [
        f"+{key_of(each.slowdown)} cost {each.cost * 100:.1f}"
        + ("" if each.error is None else f" +-{each.error * 100:.1f}")
        + f"% ({each.pairs})"
        for each in report.planted
    ]
    head = "planted work, against the same process's unchanged samples (mean, standard error, of)"
    return (f"{head}: {', '.join(said)}",) if said else ()


def render_console(report: LatencyReport, *, width: int = 80, colour: bool = False) -> str:
    """The table for a terminal; its lines fit into 80 columns."""
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, highlight=False, force_terminal=colour, no_color=not colour
    )
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in columns(report):
        table.add_column(name, justify="left" if name == "rule" else "right", no_wrap=True)
    for line in lines(report):
        table.add_row(*line.cells, style="bold" if line.is_own else "")
    console.print(Padding(Text(summary(report)), (0, 0, 1, 0)))
    console.print(table)
    console.print(Padding(Text(LEGEND, style="dim"), (1, 0, 0, 0)))
    for said in (*planted(report), *intervals(report), *resampled(report)):
        console.print(Text(said))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def render_markdown(report: LatencyReport) -> str:
    """The page that the documentation keeps."""
    names = columns(report)
    rows = [f"| {' | '.join(line.cells)} |" for line in lines(report)]
    return "\n".join(
        [
            "# Self-test of the latency gate",
            "",
            f"`perfsuite selftest --full`, begun {report.began_at}: {summary(report)}.",
            "",
            f"| {' | '.join(names)} |",
            f"|{' --- |' + ' ---: |' * (len(names) - 1)}",
            *rows,
            "",
            LEGEND,
            "",
            *(f"- {said}" for said in (*planted(report), *intervals(report), *resampled(report))),
            "",
            *_by_tier(report),
            "## The rules",
            "",
            *(f"- {rule.name}: {rule.source}" for rule in report.rules),
            "",
        ]
    )


def _by_tier(report: LatencyReport) -> list[str]:
    """Counts behind the shares, tier by tier."""
    said = ["## By tier", ""]
    head = ("gate", "tier", "unchanged", *columns(report)[2:-2], "median sees")
    said += [f"| {' | '.join(head)} |", f"|{' --- |' * 2 + ' ---: |' * (len(head) - 2)}"]
    for gate in report.gates:
        for tier in report.plan.tiers:
            verdicts = tuple(each for each in gate.verdicts if each.tier == tier)
            own = replace(gate, verdicts=verdicts)
            rates = (own.rate(s, Outcome.REGRESSED) for s in (0.0, *report.plan.slowdowns))
            counts = (f"{rate.hits}/{rate.total}" for rate in rates)
            seen = _sees(own)
            said.append(f"| {' | '.join((_gate_name(gate), tier, *counts, seen))} |")
    return [*said, ""]


def _planted(key: str) -> str:
    return "unchanged" if key == key_of(0.0) else f"+{key}"


def _gate_name(gate: GateRates) -> str:
    return f"perfsuite {gate.tolerance * 100:g}%, {gate.baseline_runs} runs"


def _gate_cells(gate: GateRates, report: LatencyReport) -> tuple[str, ...]:
    slower = (gate.regressed[key_of(each)] for each in report.plan.slowdowns)
    undecided = gate.rate(0.0, Outcome.INCONCLUSIVE, Outcome.INVALID)
    return (
        _gate_name(gate),
        _counted(gate.regressed[key_of(0.0)]),
        *(_percent(rate.share) for rate in slower),
        _percent(undecided.share),
        _sees(gate),
    )


def _rule_cells(rule: RuleRates, report: LatencyReport) -> tuple[str, ...]:
    slower = (rule.alarms[key_of(each)] for each in report.plan.slowdowns)
    return (
        rule.name,
        _counted(rule.alarms[key_of(0.0)]),
        *(_percent(rate.share) for rate in slower),
        "-",
        "-",
    )


def _sees(gate: GateRates) -> str:
    visible = median_visible(each for each in gate.verdicts if each.slowdown == 0)
    return "-" if visible is None else f"{visible:.1%}"


def _counted(rate: Rate) -> str:
    reach = f"-{rate.high:.1%}" if rate.hits == 0 else f"{rate.low:.1%}-{rate.high:.1%}"
    return f"{rate.hits}/{rate.total} ({reach})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share in (0.0, 1.0) or 0.1 <= share <= 0.99 else f"{share:.1%}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
