from __future__ import annotations

from dataclasses import replace

import pytest

from perfsuite.report.console import render_console
from perfsuite.report.messages import describe
from perfsuite.report.numbers import ABSENT, format_bytes, format_seconds
from perfsuite.report.session import COLUMNS, notes, rows, session_document
from perfsuite.report.table import Table
from perfsuite.results.images import Change
from perfsuite.results.method import Finding
from perfsuite.results.picture_reasons import (
    ImageFaults,
    Missed,
    ReferencesUnchecked,
    RoundingDiffers,
    ThresholdsMissed,
)
from perfsuite.results.reasons import FirstBaseline, NoBaseline, TooFewRuns
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Basis, Metric, Outcome
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
        verdicts=(
            latency_verdict(measured=latency_s, measured_interval=(latency_s, latency_s)),
            quality_verdict(),
        ),
    )


def cells(drawn: RunRecord, tier: str) -> dict[str, str]:
    names = [each.tier for each in drawn.tiers]
    columns = [column.name for column in COLUMNS]
    return dict(zip(columns, rows(drawn)[names.index(tier)].cells, strict=True))


def drawn_text(drawn: RunRecord, *, width: int = 80, colour: bool = False) -> str:
    return render_console(session_document(drawn), width=width, colour=colour)


def extreme() -> RunRecord:
    wide = latency_verdict(
        Outcome.INCONCLUSIVE,
        TooFewRuns(1, 9),
        measured=12.345,
        measured_interval=(11.0, 13.7),
        change=-0.123,
        change_interval=(-0.227, -0.019),
    )
    wide = replace(wide, minimum_detectable_effect=0.123)
    narrow = replace(wide, measured=0.188, measured_interval=(0.17, 0.205))
    return record(
        result("fp32", 12.345, 7.36).with_verdict(wide),
        result("fused-qkv", 0.188, 2.52).with_verdict(narrow),
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
        "MDE": "8.3%",
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
        (Outcome.RECORDED, Outcome.PASSED, "recorded"),
    ],
)
def test_the_verdict_says_whether_time_or_image_is_at_fault(
    latency: Outcome, quality: Outcome, text: str
) -> None:
    judged = TierResult("a", verdicts=(latency_verdict(latency), quality_verdict(quality)))
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
    unknown = latency_verdict(Outcome.RECORDED, FirstBaseline(), change=None)
    drawn = record(
        TierResult("fp32", verdicts=(unknown,)),
        TierResult("bf16", verdicts=(unknown,), findings=(Finding("qkv", "nothing: to fuse"),)),
        TierResult("sdpa", verdicts=(latency_verdict(),), error="RuntimeError: out of luck"),
    )
    assert notes(drawn) == (
        "fp32, bf16: no baseline for this hardware yet: this run is now its baseline",
        "bf16: nothing: to fuse",
        "sdpa: RuntimeError: out of luck",
    )


def test_notes_say_reasons_notes_and_pictures_of_every_check() -> None:
    images = replace(quality_verdict(), notes=(RoundingDiffers(57.3), ReferencesUnchecked()))
    assert images.images is not None
    black = ImageFaults(("the image is black",), "A fox", 0)
    exactness = quality_verdict(Outcome.REGRESSED, black, metric=Metric.EXACTNESS)
    shown = replace(images.images, pictures=("1/exactness-sdpa-00.png",))
    drawn = record(TierResult("sdpa", verdicts=(replace(exactness, images=shown), images)))
    assert notes(drawn) == (
        "sdpa: fp32 makes its references but for rounding (57.3 dB): another CPU or version",
        "sdpa: fp32 was not held against its own references in this run",
        "sdpa: exactness: the image is black for 'A fox', seed 0",
        "sdpa: picture: 1/exactness-sdpa-00.png",
    )


# --- the terminal


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = drawn_text(extreme(), width=width)
    assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize(("width", "columns"), [(60, 6), (80, 9)])
def test_no_cell_is_cut_at_60_and_80_columns(width: int, columns: int) -> None:
    drawn = extreme()
    text = drawn_text(drawn, width=width)
    assert "…" not in text
    lines = text.splitlines()
    table = Table(COLUMNS, rows(drawn)).fitted(width)
    assert len(table.columns) == columns
    for row in table.rows:
        (line,) = [line for line in lines if line.startswith(f"{row.cells[0]} ")]
        assert line.split() == " ".join(row.cells).split()


def test_the_table_has_heading_rows_notes_and_legend_in_this_order() -> None:
    text = drawn_text(extreme(), width=100)
    parts = (
        "pocket, 64x64, 10 steps",
        "x fp32",
        "\nfused-qkv ",
        "fp32, fused-qkv: one",
        "latency: m",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[" not in drawn_text(extreme())
    assert "\x1b[" in drawn_text(extreme(), colour=True)


def test_an_error_with_brackets_is_printed_as_it_is() -> None:
    stopped = TierResult("fp32", error="ValueError: [bold]no[/bold] shape [1, 3]")
    assert "[bold]no[/bold] shape [1, 3]" in drawn_text(record(stopped))


# --- messages


def test_a_latency_message_shows_baseline_measured_interval_and_tolerance() -> None:
    verdict = latency_verdict(
        Outcome.REGRESSED, measured=0.25, change=0.26, change_interval=(0.2, 0.325)
    )
    assert describe(verdict) == (
        "latency regressed: baseline 198 ms, measured 250 ms, change +26.0% of latency "
        "(95 % interval +20.0% to +32.5%), tolerance 5.0%, minimum detectable effect 8.3%"
    )


def test_a_latency_message_ends_with_its_reason() -> None:
    message = describe(latency_verdict(Outcome.INCONCLUSIVE, TooFewRuns(2, 7)))
    assert message.startswith("latency inconclusive: ")
    assert message.endswith("; 2 baseline runs are too few to settle it: perfsuite record --runs 7")


def test_a_latency_without_a_baseline_says_only_why() -> None:
    verdict = latency_verdict(Outcome.NO_BASELINE, NoBaseline("x"), change=None)
    assert describe(verdict) == (
        "latency no baseline: no baseline for x: perfsuite record --runs 5"
    )


def test_an_image_message_names_the_worst_image_and_the_threshold() -> None:
    assert describe(quality_verdict()) == (
        "images passed\nscores: worst SSIM 0.97000 >= 0.95000 (the tier's row)"
    )
    missed = (Missed("worst_ssim", 0.9, 0.95),)
    found = ThresholdsMissed(Change.DAMAGE.value, missed, "A cat", 7)
    assert describe(quality_verdict(Outcome.REGRESSED, found)) == (
        "images regressed: damage: worst SSIM 0.90000 below 0.95000; worst 'A cat', seed 7\n"
        "scores: worst SSIM 0.97000 >= 0.95000 (the tier's row)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9996, "1 s"), (999.6, "1000 s"), (1234.5, "1234 s")]
)
def test_seconds_are_never_written_with_an_exponent(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_line_says_which_number_was_judged_and_how_much_it_differs_between_runs() -> None:
    verdict = replace(latency_verdict(), basis=Basis.PROBE, run_spread=0.0123)
    results = [TierResult(tier, verdicts=(verdict,)) for tier in ("fp32", "bf16")]
    (line,) = notes(record(*results))
    assert line == ("judged on tier / probe, which differs by 1.2% between runs of the same code")


def test_the_message_names_the_number_that_changed() -> None:
    verdict = replace(latency_verdict(), basis=Basis.RAW)
    assert "change +1.0% of raw latency (95 % interval" in describe(verdict)
