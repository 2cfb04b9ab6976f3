"""The report of the latency gate's self-test."""

from __future__ import annotations

from dataclasses import replace

from perfsuite.report.table import Column, Document, Heading, Lines, Row, Table
from perfsuite.results.verdict import Outcome
from perfsuite.selftest.experiment import Rate
from perfsuite.selftest.latency.campaign import LatencyReport
from perfsuite.selftest.latency.rates import GateRates, RuleRates, key_of, median_visible

LEGEND = (
    "Share of verdicts that say 'regressed', by extra work planted in the UNet. '0/60 (-6.0%)': "
    "none of 60, and the 95 % interval (Wilson) reaches up to 6.0 %. open: unchanged tiers that "
    "got no answer (inconclusive or invalid) instead of a pass. MDE: median of the "
    "minimum detectable effect."
)


def columns(report: LatencyReport) -> tuple[Column, ...]:
    """Headings."""
    slower = (Column(f"+{key_of(each)}") for each in report.plan.slowdowns)
    return (
        Column("rule", is_text=True),
        Column("unchanged"),
        *slower,
        Column("open", sheds=2),
        Column("MDE", sheds=1),
    )


def lines(report: LatencyReport) -> tuple[Row, ...]:
    """The gate at each of its settings, then the other tools."""
    own = [Row(_gate_cells(gate, report), stands_out=True) for gate in report.gates]
    return (*own, *(Row(_rule_cells(rule, report)) for rule in report.rules))


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


def latency_selftest_document(report: LatencyReport) -> Document:
    """Rates of the gate and of other tools' rules, with the counts behind them."""
    sources = tuple(f"{rule.name}: {rule.source}" for rule in report.rules)
    return Document(
        (
            Heading("Self-test of the latency gate"),
            Lines((f"begun {report.began_at}: {summary(report)}",)),
            Table(columns(report), lines(report)),
            Lines((LEGEND,), dim=True),
            Lines((*planted(report), *intervals(report), *resampled(report))),
            Heading("By tier", 2),
            _by_tier(report),
            Heading("The rules", 2),
            Lines(sources),
        )
    )


def _by_tier(report: LatencyReport) -> Table:
    """Counts behind the shares, tier by tier."""
    slower = tuple(Column(f"+{key_of(each)}") for each in report.plan.slowdowns)
    names = (Column("gate", is_text=True), Column("tier", is_text=True), Column("unchanged"))
    rows = [
        Row(_tier_cells(gate, tier, report)) for gate in report.gates for tier in report.plan.tiers
    ]
    return Table((*names, *slower, Column("median MDE", sheds=1)), tuple(rows))


def _tier_cells(gate: GateRates, tier: str, report: LatencyReport) -> tuple[str, ...]:
    verdicts = tuple(each for each in gate.verdicts if each.tier == tier)
    own = replace(gate, verdicts=verdicts)
    rates = (own.rate(s, Outcome.REGRESSED) for s in (0.0, *report.plan.slowdowns))
    counts = (f"{rate.hits}/{rate.total}" for rate in rates)
    return (_gate_name(gate), tier, *counts, _sees(own))


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
