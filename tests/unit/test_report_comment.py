"""A session as a comment: worst first, folded, within what GitHub takes, and harmless."""

from __future__ import annotations

import dataclasses

from perfsuite.report.comment import session_comment
from perfsuite.report.headline import session_headline, session_outcome
from perfsuite.report.markdown import MOST_BYTES, render_markdown
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Outcome
from tests.unit.samples import latency_verdict, measurement, quality_verdict, record


def done(*tiers: TierResult) -> RunRecord:
    return dataclasses.replace(record(*tiers), complete=True, command="pytest -m perf")


def tier(name: str, outcome: Outcome = Outcome.PASSED, **changes: object) -> TierResult:
    verdicts = (latency_verdict(outcome, change=0.081), quality_verdict())
    made = TierResult(name, measurement=measurement(name), verdicts=verdicts)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_the_worst_tier_stands_first_and_the_rest_is_folded() -> None:
    said = render_markdown(
        session_comment(done(tier("fp32"), tier("bf16", Outcome.REGRESSED), tier("sdpa")))
    )
    assert said.startswith("### ❌ bf16 is 8.1% slower; 2 tiers passed.")
    rows = [line.split(" | ")[0] for line in said.splitlines() if line.startswith("| ")]
    assert rows[:5] == ["| tier", "| :--", "| bf16", "| fp32", "| sdpa"]
    for folded in ("Images", "Where and with what", "Measure it again"):
        assert f"<summary>{folded}</summary>" in said
    assert "```\npytest -m perf\n```" in said


def test_headlines() -> None:
    said = {
        "All 2 tiers passed.": done(tier("fp32"), tier("sdpa")),
        "Latency of fp32 is inconclusive, images passed; one tier passed.": done(
            tier("fp32", Outcome.INCONCLUSIVE), tier("sdpa")
        ),
        "fp32 did not run to the end; one tier passed.": done(
            tier("fp32", error="boom"), tier("sdpa")
        ),
        "fp32 improved.": done(tier("fp32", Outcome.IMPROVED)),
        "fp32 is 8.1% slower and makes worse images.": done(
            tier(
                "fp32",
                verdicts=(
                    latency_verdict(Outcome.REGRESSED, change=0.081),
                    quality_verdict(Outcome.REGRESSED),
                ),
            )
        ),
        "Nothing was measured.": done(),
        "Nothing was judged.": done(TierResult("fp32")),
    }
    assert {session_headline(each): each for each in said.values()} == said
    cut = session_headline(record(tier("fp32")))
    assert cut.endswith("The session was cut short.")
    assert session_outcome(done(tier("fp32", error="boom"))) is Outcome.REGRESSED


def test_it_fits_whatever_a_session_has_to_say() -> None:
    findings = tuple(Finding("x", f"{n} " + "é" * 300) for n in range(2000))
    many = tuple(tier(f"tier{n}", findings=findings[n * 20 : n * 20 + 20]) for n in range(100))
    said = render_markdown(session_comment(done(*many)), limit=MOST_BYTES)
    assert len(said.encode()) <= MOST_BYTES
    assert "… and " in said
    assert said.count("<details>") == said.count("</details>") > 2
    long = done(tier("fp32", error="x" * 10**6))
    assert len(render_markdown(session_comment(long), limit=MOST_BYTES).encode()) <= MOST_BYTES


def test_nobody_is_called_and_no_markup_gets_through() -> None:
    hostile = "@octocat <img src=x> | ``` \n# heading"
    broken = dataclasses.replace(done(tier("fp32", error=hostile)), command="echo '```'\n# x")
    said = render_markdown(session_comment(broken))
    assert "@octocat" not in said
    assert "<img" not in said
    assert "\n# heading" not in said
    assert "````\necho" in said
