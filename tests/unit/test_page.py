"""The page of records: what stands on it, and what it makes of damaged and strange files."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfsuite.cli.commands import main
from perfsuite.history.entries import entry_of_session
from perfsuite.history.keep import keep
from perfsuite.page.build import build_page
from perfsuite.page.publish import publish_page
from perfsuite.page.render import render_page, write_page
from perfsuite.results.method import Finding
from perfsuite.results.session import RunRecord, TierResult, save_record
from tests.unit.page_records import bisection, gate, session
from tests.unit.samples import environment, record

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


def records(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("2*.json"))


def text_of(folder: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", render_page(build_page(records(folder)))))


def test_a_session_is_shown_whole(tmp_path: Path) -> None:
    session(tmp_path, slower=1.2)
    page = build_page(records(tmp_path))
    (shown,) = page.shown
    assert page.title == "sdpa is 20% slower; one tier passed."
    assert page.findings == ()
    (work,) = shown.part.workloads  # type: ignore[union-attr]
    assert [rung.label for rung in work.rungs] == ["fp32", "sdpa"]
    assert work.rungs[1].speed_up == pytest.approx(0.2 / (0.15 * 1.2), rel=0.01)
    assert work.rungs[1].published_speed_up == pytest.approx(7.36 / 3.31)
    assert work.chart is not None
    row = work.chart.rows[1]
    assert (row.baseline_runs, row.samples) == (3, 20)
    assert row.area.startswith("M0,100")
    assert row.marks.tolerance is not None
    assert row.marks.detectable is not None
    assert {part.name: part.seconds for part in work.stages[0].parts} == pytest.approx(
        {
            "text encoders": 0.02,
            "first step": 0.04,
            "other steps": 0.06,
            "scheduler": 0.01,
            "VAE decode": 0.05,
            "rest": 0.02,
        }
    )
    assert sum(part.width for part in work.stages[0].parts) == pytest.approx(100)
    assert [gallery.label for gallery in work.galleries] == ["fp32", "sdpa"]
    assert work.galleries[1].worst == 2
    said = text_of(tmp_path)
    for wanted in ("AMD EPYC", "torch 2.13.0", "pytest -m perf tests/perf", "use_mixed_mm", "MDE"):
        assert wanted in said


def test_workloads_stand_apart(tmp_path: Path) -> None:
    made = session(tmp_path)
    tiers = [
        dataclasses.replace(tier, workload=name)
        for name in ("default", "portrait")
        for tier in made.tiers
    ]
    save_record(dataclasses.replace(made, tiers=tuple(tiers)), tmp_path)
    page = build_page(records(tmp_path))
    parts = page.shown[0].part.workloads  # type: ignore[union-attr]
    assert [part.name for part in parts] == ["default", "portrait"]
    assert [(gallery.label, gallery.tier) for gallery in parts[1].galleries] == [
        ("fp32-portrait", "fp32"),
        ("sdpa-portrait", "sdpa"),
    ]
    assert "Workload portrait" in text_of(tmp_path)


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    session(tmp_path)
    gate(tmp_path)
    text = render_page(build_page(records(tmp_path)))
    assert re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*\"", text) == []
    assert re.findall(r"url\(\"?(?!\"?data:)", text) == []
    assert "@import" not in text
    assert "http" not in re.sub(r"data:[^\"]+", "", text)


def test_sheets_that_tiers_share_stand_once(tmp_path: Path) -> None:
    session(tmp_path)
    page = build_page(records(tmp_path))
    assert len(page.pictures) == 5  # the references, and two of each tier


def test_older_sessions_of_the_same_work_are_history(tmp_path: Path) -> None:
    for night in range(1, 6):
        session(tmp_path, night, slower=1.2 if night > 3 else 1.0)
    page = build_page(records(tmp_path))
    assert (len(page.shown), page.history) == (1, 4)
    trend = page.shown[0].trends[1]
    assert [mark.point.run_id[:8] for mark in trend.marks] == [f"2026110{n}" for n in range(1, 6)]
    assert trend.change == pytest.approx(0.2)


def test_a_step_of_the_level_stands_in_the_trend_with_the_versions_that_changed(
    tmp_path: Path,
) -> None:
    for night in range(1, 13):
        packages = {"torch": "2.14.1" if night > 8 else "2.13.0"}
        known = dataclasses.replace(environment(), packages=packages)
        recorded_at = f"2026-11-{night:02d}T03:00:00+00:00"
        known = dataclasses.replace(known, recorded_at=recorded_at)
        session(tmp_path, night, slower=1.2 if night > 8 else 1.0, environment=known)
    page = build_page(records(tmp_path))
    unchanged, changed = page.shown[0].trends
    assert unchanged.changes == ()
    (since,) = changed.changes
    assert since.at.startswith("2026-11-09")
    assert since.change.change == pytest.approx(0.2, abs=0.01)
    assert since.versions == ("torch 2.13.0 → 2.14.1",)
    assert "since 2026-11-09 03:00 UTC" in text_of(tmp_path)


def test_trends_are_completed_from_the_history(tmp_path: Path) -> None:
    place = str(tmp_path / "history.sqlite")
    for night in range(1, 6):
        keep(entry_of_session(session(tmp_path, night)), place)
    page = build_page([records(tmp_path)[-1]], place)
    assert [len(trend.marks) for trend in page.shown[0].trends] == [5, 5]
    assert page.findings == ()
    Path(place).write_bytes(b"no database at all")
    page = build_page([records(tmp_path)[-1]], place)
    assert page.shown[0].trends == ()
    assert "no trends" in page.findings[0].message


def test_sessions_of_other_hardware_or_tiers_are_shown_beside(tmp_path: Path) -> None:
    first = session(tmp_path, 1)
    hardware = dataclasses.replace(first.environment.hardware, label="pool-b")
    session(tmp_path, 2, environment=dataclasses.replace(first.environment, hardware=hardware))
    page = build_page(records(tmp_path))
    assert (len(page.shown), page.history) == (2, 0)


def test_gate_and_bisection_are_shown_beside_a_session(tmp_path: Path) -> None:
    session(tmp_path)
    gate(tmp_path)
    bisection(tmp_path)
    page = build_page(records(tmp_path))
    assert sorted(each.kind for each in page.shown) == ["bisect", "gate", "session"]
    said = text_of(tmp_path)
    for wanted in (
        "torch==2.14.1",
        "start 2",
        "first bad",
        "not tried",
        "last good",
        "perfsuite gate",
    ):
        assert wanted in said


def test_everything_is_escaped(tmp_path: Path) -> None:
    broken = TierResult(HOSTILE, error=HOSTILE, findings=(Finding(HOSTILE, HOSTILE),))
    made = dataclasses.replace(
        record(broken),
        checkpoint=HOSTILE,
        command=HOSTILE,
        run_id=HOSTILE.replace("/", ""),
        environment=dataclasses.replace(record().environment, system=HOSTILE),
    )
    (tmp_path / "2.json").write_bytes(encoded(made))
    text = render_page(build_page(records(tmp_path)))
    assert "<img" not in text
    assert text.count("</script>") == 1
    assert html.escape(HOSTILE, quote=False)[:20] in text


def encoded(made: RunRecord) -> bytes:
    import msgspec

    return msgspec.json.encode(made)


def test_records_of_schema_1_are_read(tmp_path: Path) -> None:
    for each in (Path(__file__).parent / "schema1").glob("*.json"):
        shutil.copy(each, tmp_path / f"2{each.name}")
    page = build_page(records(tmp_path))
    assert page.shown
    render_page(page)


def test_half_a_file_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    session(tmp_path)
    half = tmp_path / "runs" / "20261102T000000Z-half.json"
    half.write_text((tmp_path / "runs" / "latest.json").read_text()[:900])
    empty, other = half.with_name("2empty.json"), half.with_name("2other.json")
    empty.touch()
    other.write_text('{"schema": 2}')
    page = build_page(records(tmp_path))
    assert len(page.shown) == 1
    assert {each.subject for each in page.findings} == {half.name, empty.name, other.name}
    assert "20261102T000000Z-half.json" in text_of(tmp_path)


def test_a_newer_schema_is_shown_as_far_as_it_is_understood(tmp_path: Path) -> None:
    session(tmp_path)
    (path,) = records(tmp_path)
    document = json.loads(path.read_text())
    document["schema"] = 3
    document["tiers"][0]["verdicts"][0]["metric"] = "joules"
    document["tiers"][1]["verdicts"][0]["reasons"] = [{"code": "Moonlight", "phase": "full"}]
    path.write_text(json.dumps(document))
    page = build_page([path])
    assert len(page.shown) == 1
    said = text_of(tmp_path)
    assert "schema 3 is newer than 2" in said
    assert "verdicts of fp32" in said
    assert "Moonlight: phase full" in said
    assert [tier.tier for tier in page.shown[0].part.record.tiers] == ["fp32", "sdpa"]  # type: ignore[union-attr]


def test_missing_pictures_and_a_missing_baseline_are_findings(tmp_path: Path) -> None:
    made = session(tmp_path)
    shutil.rmtree(tmp_path / "baselines")
    (tmp_path / "runs" / made.run_id / "sdpa.webp").unlink()
    (tmp_path / "runs" / made.run_id / "fp32.webp").write_text("no picture")
    page = build_page(records(tmp_path))
    assert [each.subject for each in page.findings] == ["baseline", "fp32", "sdpa"]
    (work,) = page.shown[0].part.workloads  # type: ignore[union-attr]
    assert work.galleries == ()
    assert work.chart is not None
    assert work.chart.rows[0].is_alone


def test_no_file_from_elsewhere_is_taken_for_a_picture(tmp_path: Path) -> None:
    made = session(tmp_path / "a")
    secret = tmp_path / "secret.webp"
    secret.write_bytes(b"RIFFsecret")
    (path,) = records(tmp_path / "a")
    path.write_text(path.read_text().replace(f"{made.run_id}/sdpa.webp", "../../secret.webp"))
    page = build_page([path])
    assert "is not beside the record" in page.findings[0].message


def test_pictures_that_do_not_fit_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(tmp_path)
    monkeypatch.setattr("perfsuite.page.pictures.MOST_BYTES", 50)
    page = build_page(records(tmp_path))
    assert "too large" in page.findings[0].message
    assert page.pictures == ()


def test_a_page_of_nothing_says_so(tmp_path: Path) -> None:
    page = build_page([tmp_path / "missing.json"])
    assert page.title == "Nothing can be shown."
    assert "missing.json" in render_page(page)


def test_what_goes_wrong_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session(tmp_path)
    target = tmp_path / "runs"
    assert "cannot write" in publish_page(records(tmp_path), target)[0]
    monkeypatch.setattr("perfsuite.page.render.write_page", lambda *given: 1 / 0)
    assert publish_page(records(tmp_path), tmp_path / "p") == (
        "no page (ZeroDivisionError: division by zero)",
    )


def test_the_command_takes_files_and_folders_and_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / ".perfsuite"
    runner = CliRunner()
    nothing = runner.invoke(main, ["report"])
    assert nothing.exit_code == 2
    assert "holds no session yet" in nothing.output
    session(out, 1)
    newest = session(out, 2)
    assert runner.invoke(main, ["report", "-o", "new.html"]).exit_code == 0
    assert newest.run_id in Path("new.html").read_text()
    done = runner.invoke(main, ["report", ".perfsuite/runs", "-o", "all.html"])
    assert done.exit_code == 0, done.output
    assert "1 older session is in the trends only" in Path("all.html").read_text()
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    done = runner.invoke(main, ["report", "broken.json"])
    assert done.exit_code == 2
    assert "broken.json" in Path("report.html").read_text()


def test_a_page_loads_no_torch(tmp_path: Path) -> None:
    session(tmp_path)
    code = (
        "import sys; from pathlib import Path; from perfsuite.page.render import write_page\n"
        f"write_page([Path({str(records(tmp_path)[0])!r})], Path({str(tmp_path / 'p.html')!r}))\n"
        "print(*{'torch', 'diffusers', 'pytest'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_written_page_is_utf_8(tmp_path: Path) -> None:
    session(tmp_path)
    write_page(records(tmp_path), tmp_path / "p.html")
    assert "\N{MULTIPLICATION SIGN}" in (tmp_path / "p.html").read_text(encoding="utf-8")
