"""Other tools' formats: written so that their readers read them, and read as they write them."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfsuite.errors import HistoryError, PerfsuiteError
from perfsuite.exchange.formats import OF_ONE_RUN
from perfsuite.exchange.otava import otava_csv
from perfsuite.exchange.prometheus import prometheus_text
from perfsuite.exchange.pytest_benchmark import pytest_benchmark_json
from perfsuite.exchange.reading import files_below, read_entry
from perfsuite.history.entries import entry_of_gate, entry_of_session
from perfsuite.results.ab import load_gate
from perfsuite.results.history import Entry, Kind, Point, Series, Unit
from perfsuite.results.session import TierResult, save_record
from tests.unit.history_entries import entry_on, session_on
from tests.unit.samples import latency_samples, latency_verdict, measurement, quality_verdict
from tests.unit.test_results_migrate import OLD

SAMPLES = (0.2, 0.4, 0.3, 0.25, 0.35, 0.3)


def session() -> Entry:
    tiers = tuple(
        TierResult(
            tier,
            measurement=measurement(tier, latency_samples(SAMPLES)),
            verdicts=(latency_verdict(), quality_verdict()),
        )
        for tier in ("fp32", "int8")
    )
    return entry_of_session(replace(session_on(1), tiers=tiers))


def test_pytest_benchmarks_own_compare_reads_a_session(tmp_path: Path) -> None:
    path = tmp_path / "0001_run.json"
    path.write_text(pytest_benchmark_json(session()))
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--csv=out.csv"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert "test_latency[int8]" in done.stdout
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [float(row["median"]) for row in rows] == [statistics.median(SAMPLES)] * 2
    assert {row["param:perf_tier"] for row in rows} == {"fp32", "int8"}


def test_what_pytest_benchmark_has_read_from_us_is_imported_as_its_own(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(pytest_benchmark_json(session()))
    entry = read_entry(path)
    assert entry.run.kind is Kind.IMPORTED
    assert entry.run.at == session().run.at
    assert [reading.key.tier for reading in entry.readings] == [
        "perfsuite::test_latency[fp32]",
        "perfsuite::test_latency[int8]",
    ]
    reading = entry.readings[0]
    assert reading.value == statistics.median(SAMPLES)
    assert reading.interval is not None
    assert read_entry(path).run.run_id == entry.run.run_id, "twice is once"


def test_a_run_of_pytest_benchmark_itself_is_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_sum(benchmark):\n    benchmark(sum, range(100))\n")
    pytester.runpytest_subprocess(
        "--benchmark-json=b.json", "--benchmark-max-time=0.01", "--benchmark-warmup=off"
    ).assert_outcomes(passed=1)
    entry = read_entry(pytester.path / "b.json")
    (reading,) = entry.readings
    stats = json.loads((pytester.path / "b.json").read_text())["benchmarks"][0]["stats"]
    assert reading.value == pytest.approx(stats["median"])
    assert reading.key.tier.endswith("::test_sum")
    assert entry.run.hardware
    assert datetime.fromisoformat(entry.run.at).utcoffset() is not None


def asv_results(tmp_path: Path, **changes: Any) -> Path:
    """Files as asv 0.6 writes them: one parameter, one benchmark that failed, one of memory."""
    machine = tmp_path / "results" / "node-7"
    machine.mkdir(parents=True)
    (machine / "machine.json").write_text(json.dumps({"machine": "node-7", "version": 1}))
    benchmarks = {
        "suite.time_step": {"unit": "seconds", "type": "time"},
        "suite.peakmem_step": {"unit": "bytes", "type": "peakmemory"},
        "version": 2,
    }
    (machine.parent / "benchmarks.json").write_text(json.dumps(benchmarks))
    columns = ["result", "params", "version", "started_at", "duration"]
    columns += ["stats_ci_99_a", "stats_ci_99_b"]
    document = {
        "commit_hash": "0123456789abcdef",
        "env_name": "virtualenv-py3.11",
        "date": 1767236400000,
        "params": {"machine": "node-7", "arch": "x86_64", "cpu": "AMD EPYC", "os": "Linux 6.1"},
        "python": "3.11",
        "requirements": {"torch": "2.13.0"},
        "env_vars": {},
        "result_columns": columns,
        "results": {
            "suite.time_step": [
                [0.5, None],
                [["'small'", "'large'"]],
                "v1",
                1767236400000,
                2.0,
                [0.45, None],
                [0.55, None],
            ],
            "suite.peakmem_step": [[1048576.0], [], "v2"],
            "suite.time_broken": [None, [], "v3"],
        },
        "durations": {},
        "version": 2,
    }
    path = machine / "01234567-virtualenv-py3.11.json"
    path.write_text(json.dumps(document | changes))
    return path


def test_asvs_results_are_imported_with_their_units_and_without_what_failed(
    tmp_path: Path,
) -> None:
    asv_results(tmp_path)
    (path,) = files_below(tmp_path / "results")
    entry = read_entry(path)
    step, memory = entry.readings
    assert (step.key.tier, step.value) == ("suite.time_step['small']", 0.5)
    assert step.interval == pytest.approx((0.462, 0.538), abs=0.001)
    assert memory.value == 1048576
    assert (step.key.quantity.unit, memory.key.quantity.unit) == (Unit.SECONDS, Unit.BYTES)
    assert (entry.run.host, entry.run.versions["torch"]) == ("node-7", "2.13.0")
    assert entry.run.at == "2026-01-01T03:00:00+00:00"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot read"),
        ("[1, 2]", "nothing that can be imported"),
        ('{"benchmarks": 3}', "no JSON of pytest-benchmark"),
        ('{"benchmarks": [{}], "machine_info": {}, "datetime": "now"}', "no JSON of pytest-bench"),
        ('{"commit_hash": 1, "results": {}, "env_name": ""}', "no result of asv"),
        ('{"run_id": "x"}', "is not valid"),
        ('{"schema": 99, "run_id": "x"}', "has schema 99"),
    ],
)
def test_what_cannot_be_imported_is_named_with_its_file(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(PerfsuiteError, match=said) as raised:
        read_entry(path)
    assert "some.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_results_of_an_asv_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="version 3, 2 is known"):
        read_entry(asv_results(tmp_path, version=3))


def test_perfsuites_own_records_are_imported_too(tmp_path: Path) -> None:
    record = session_on(4)
    save_record(record, tmp_path)
    (path,) = files_below(tmp_path / "runs")
    assert path.name == f"{record.run_id}.json", "latest.json is the same again"
    assert read_entry(path) == entry_on(4)
    assert read_entry(OLD / "gate.json").run.kind is Kind.GATE


def test_prometheus_own_parser_reads_a_run() -> None:
    entry = session()
    entry = replace(entry, run=replace(entry.run, host='a "quoted" \\ host\nname'))
    families = {
        family.name: family for family in text_string_to_metric_families(prometheus_text(entry))
    }
    latency = {
        sample.labels["tier"]: sample for sample in families["perfsuite_latency_seconds"].samples
    }
    assert latency["int8"].value == statistics.median(SAMPLES)
    assert latency["int8"].labels["host"] == 'a "quoted" \\ host\nname'
    assert all(sample.timestamp is None for sample in latency.values())
    assert "perfsuite_peak_memory_bytes" in families
    (began,) = families["perfsuite_run_started_seconds"].samples
    assert began.value == datetime.fromisoformat(entry.run.at).timestamp()


def test_github_action_benchmark_gets_what_is_better_when_smaller() -> None:
    rows = json.loads(OF_ONE_RUN["github-action-benchmark"](session()))
    assert {"name", "unit", "value"} <= rows[0].keys()
    names = [row["name"] for row in rows]
    assert "int8 latency" in names
    assert not any("images" in name for name in names), "more SSIM is better"


def test_pytorchs_benchmark_database_gets_all_samples() -> None:
    rows = json.loads(OF_ONE_RUN["pytorch-oss"](session()))
    latency = next(row for row in rows if row["metric"]["name"] == "latency (s)")
    assert latency["metric"]["benchmark_values"] == list(SAMPLES)
    assert latency["benchmark"]["name"] == "perfsuite"
    assert latency["model"]["name"] == "pocket"
    assert latency["dependencies"]["torch"] == {"version": "2.13.0+cpu"}
    assert "python" not in latency["dependencies"]
    values = [row["metric"]["benchmark_values"] for row in rows]
    assert all(isinstance(each, float) for row in values for each in row)


def test_formats_of_one_run_take_gates_but_for_pytest_benchmarks() -> None:
    gate = entry_of_gate(load_gate(OLD / "gate.json"))
    for name, write in OF_ONE_RUN.items():
        if name == "pytest-benchmark":
            with pytest.raises(HistoryError, match="is a gate"):
                write(gate)
        else:
            assert write(gate)


def nights(tier: str, count: int, skipped: int = -1) -> Series:
    entries = [entry_on(night, tier=tier) for night in range(count) if night != skipped]
    points = [
        Point(entry_on(night).run.run_id, each.run.at, 0.2, versions=each.run.versions)
        for night, each in enumerate(entries)
    ]
    return Series(entries[0].readings[0].key, tuple(points))


def test_otavas_csv_has_a_number_in_every_column() -> None:
    """Its reader takes no empty cell: a run that lacks one of the series is left out."""
    table = otava_csv([nights("fp32", 5), nights("int8", 4)])
    assert (table.rows, table.left_out) == (4, 1)
    rows = list(csv.DictReader(table.text.splitlines()))
    assert [float(row["int8_latency_s"]) for row in rows] == [0.2] * 4
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    assert rows[0]["torch"] == "2.13.0+cpu"


def test_otava_itself_reads_it(tmp_path: Path) -> None:
    importer = pytest.importorskip(
        "otava.importer", reason="apache-otava is not installed; it brings a cloud's clients along"
    )
    config = pytest.importorskip("otava.test_config")
    selector = pytest.importorskip("otava.data_selector")
    path = tmp_path / "nights.csv"
    path.write_text(otava_csv([nights("int8", 8)]).text)
    about = {
        "type": "csv",
        "file": str(path),
        "time_column": "time",
        "attributes": ["run", "torch"],
        "metrics": {"latency": {"column": "int8_latency_s", "direction": -1}},
    }
    test = config.create_csv_test_config("int8", about)
    everything = selector.DataSelector()
    everything.since_time = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
    read = importer.CsvImporter().fetch_data(test, everything)
    assert read.data["latency"] == [0.2] * 8
