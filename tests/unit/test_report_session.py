from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.judge import Basis, Outcome
from perfsuite.report import COLUMNS, notes, render_console, rows
from perfsuite.report.messages import describe_latency, describe_quality
from perfsuite.report.numbers import ABSENT, format_bytes, format_seconds
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord, TierResult
from tests.unit.samples import (
    latency_samples,
    latency_verdict,
    measurement,
    quality_verdict,
    record,
)


def result(tier: str, latency_s: float = 0.2, published_s: float | None = None) -> TierResult:
    return TierResult(
        tier,
        published_s=published_s,
        measurement=measurement(tier, latency_samples((latency_s,) * 3)),
        latency=latency_verdict(measured_s=latency_s, measured_interval_s=(latency_s, latency_s)),
        quality=quality_verdict(),
    )


def cells(drawn: RunRecord, tier: str) -> dict[str, str]:
    names = [each.tier for each in drawn.tiers]
    return dict(zip(COLUMNS, rows(drawn)[names.index(tier)].cells, strict=True))


def extreme() -> RunRecord:
    wide = latency_verdict(
        Outcome.INCONCLUSIVE,
        "one baseline run is too few to settle it: perfsuite record --runs 9",
        measured_s=12.345,
        measured_interval_s=(11.0, 13.7),
        change=-0.123,
        change_interval=(-0.227, -0.019),
    )
    wide = replace(wide, minimum_detectable_effect=0.123)
    narrow = replace(wide, measured_s=0.188, measured_interval_s=(0.17, 0.205))
    return record(
        replace(result("fp32", 12.345, 7.36), latency=wide),
        replace(result("fused-qkv", 0.188, 2.52), latency=narrow),
    )


# --- cells


def test_a_row_says_what_was_measured() -> None:
    drawn = record(result("fp32", 0.4, 7.36), result("bf16", 0.2, 4.63))
    assert cells(drawn, "bf16") == {
        "tier": "bf16",
        "latency": "200 ms ±0.0%",
        "x fp32": "2.00",
        "publ.": "1.59",
        "change": "+1.0 ±4.0%",
        "sees": "8.3%",
        "SSIM": "0.9700",
        "peak": "3.0 GiB",
        "verdict": "passed",
    }


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    drawn = record(TierResult("fp32"))
    row = cells(drawn, "fp32")
    assert row.pop("tier") == "fp32"
    assert set(row.values()) == {ABSENT}


def test_a_peak_that_could_not_be_measured_is_a_dash() -> None:
    blind = TierResult("fp32", measurement=measurement(peak_bytes=None))
    assert cells(record(blind), "fp32")["peak"] == ABSENT
    assert cells(record(result("fp32")), "fp32")["peak"] == "3.0 GiB"


def test_without_fp32_there_is_no_speed_up() -> None:
    row = cells(record(result("bf16", 0.2, 4.63)), "bf16")
    assert (row["x fp32"], row["publ."]) == (ABSENT, ABSENT)


@pytest.mark.parametrize(
    ("latency", "quality", "text"),
    [
        (Outcome.PASSED, Outcome.PASSED, "passed"),
        (Outcome.REGRESSED, Outcome.PASSED, "regressed"),
        (Outcome.PASSED, Outcome.REGRESSED, "image worse"),
        (Outcome.REGRESSED, Outcome.REGRESSED, "slower, worse"),
        (Outcome.NO_BASELINE, Outcome.PASSED, "no baseline"),
    ],
)
def test_the_verdict_says_whether_time_or_image_is_at_fault(
    latency: Outcome, quality: Outcome, text: str
) -> None:
    judged = TierResult("a", latency=latency_verdict(latency), quality=quality_verdict(quality))
    assert cells(record(judged), "a")["verdict"] == text
    stopped = replace(judged, error="OutOfMemoryError: none left")
    assert cells(record(stopped), "a")["verdict"] == "error"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12.3 ms"), (0.1884, "188 ms"), (1.0, "1 s"), (7.361, "7.36 s"), (123.4, "123 s")],
)
def test_seconds_have_three_digits_in_the_unit_that_suits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 MiB"), (999 << 20, "999 MiB"), (1 << 30, "1.0 GiB"), (80 << 30, "80.0 GiB")],
)
def test_bytes_are_mebibytes_or_gibibytes(count: int, text: str) -> None:
    assert format_bytes(count) == text


# --- notes


def test_a_note_that_holds_for_several_tiers_is_said_once() -> None:
    reason = "no baseline for this hardware yet"
    unknown = latency_verdict(Outcome.NO_BASELINE, reason, change=None)
    drawn = record(
        TierResult("fp32", latency=unknown),
        TierResult("bf16", latency=unknown, findings=(Finding("qkv", "nothing: to fuse"),)),
        TierResult("sdpa", latency=latency_verdict(), error="RuntimeError: out of luck"),
    )
    assert notes(drawn) == (
        f"fp32, bf16: {reason}",
        "bf16: nothing: to fuse",
        "sdpa: RuntimeError: out of luck",
    )


# --- the terminal


def test_no_line_is_wider_than_the_terminal() -> None:
    text = render_console(extreme(), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80


def test_no_cell_is_cut_at_80_columns() -> None:
    drawn = extreme()
    text = render_console(drawn, width=80)
    assert "…" not in text
    lines = text.splitlines()
    for row in rows(drawn):
        (line,) = [line for line in lines if line.startswith(f"{row.cells[0]} ")]
        assert line.split() == " ".join(row.cells).split()


def test_the_table_has_heading_rows_notes_and_legend_in_this_order() -> None:
    text = render_console(extreme(), width=100)
    parts = ("pocket, 64x64, 10 steps", "x fp32", "\nfused-qkv ", "fp32, fused-qkv: one", "SSIM: w")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[" not in render_console(extreme())
    assert "\x1b[" in render_console(extreme(), colour=True)


def test_an_error_with_brackets_is_printed_as_it_is() -> None:
    stopped = TierResult("fp32", error="ValueError: [bold]no[/bold] shape [1, 3]")
    assert "[bold]no[/bold] shape [1, 3]" in render_console(record(stopped))


# --- messages


def test_a_latency_message_shows_baseline_measured_interval_and_tolerance() -> None:
    verdict = latency_verdict(
        Outcome.REGRESSED, measured_s=0.25, change=0.26, change_interval=(0.2, 0.325)
    )
    assert describe_latency(verdict) == (
        "latency regressed: baseline 198 ms, measured 250 ms, change +26.0% of latency "
        "(95 % interval +20.0% to +32.5%), tolerance 5.0%, smallest slowdown this gate can see 8.3%"
    )


def test_a_latency_message_ends_with_its_reason() -> None:
    message = describe_latency(latency_verdict(Outcome.INCONCLUSIVE, "too few runs"))
    assert message.startswith("latency inconclusive: ")
    assert message.endswith("; too few runs")


def test_a_latency_without_a_baseline_says_only_why() -> None:
    verdict = latency_verdict(Outcome.NO_BASELINE, "no baseline for x", change=None)
    assert describe_latency(verdict) == "no baseline for x"


def test_an_image_message_names_the_worst_image_and_the_threshold() -> None:
    assert describe_quality(quality_verdict()) == (
        "images passed: worst SSIM 0.97000 >= 0.95000 (the tier's row)"
    )
    worse = quality_verdict(Outcome.REGRESSED, "SSIM 0.90 is below 0.95 for 'A cat', seed 7")
    assert describe_quality(worse) == (
        "images regressed: SSIM 0.90 is below 0.95 for 'A cat', seed 7\n"
        "scores: worst SSIM 0.97000 >= 0.95000 (the tier's row)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9996, "1 s"), (999.6, "1000 s"), (1234.5, "1234 s")]
)
def test_seconds_are_never_written_with_an_exponent(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_line_says_which_number_was_judged_and_how_much_it_differs_between_runs() -> None:
    verdict = replace(latency_verdict(), basis=Basis.PROBE, run_spread=0.0123)
    results = [TierResult(tier, latency=verdict) for tier in ("fp32", "bf16")]
    (line,) = notes(record(*results))
    assert line == ("judged on tier / probe, which differs by 1.2% between runs of the same code")


def test_the_message_names_the_number_that_changed() -> None:
    verdict = replace(latency_verdict(), basis=Basis.RAW)
    assert "change +1.0% of raw latency (95 % interval" in describe_latency(verdict)
