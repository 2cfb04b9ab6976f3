from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from perfsuite.errors import BaselineError
from perfsuite.results.method import ComponentDigest, Configuration, Method
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.reasons import Incomparable
from perfsuite.storage import write_json
from perfsuite.stores.baselines import (
    Baseline,
    BaselineStore,
    Comparable,
    RecordedRun,
    TierBaseline,
    comparable,
)
from tests.unit.samples import environment, hardware, latency_samples, measurement, workload


@pytest.fixture
def store(tmp_path: Path) -> BaselineStore:
    key = environment().hardware.key
    return BaselineStore(
        tmp_path / "committed", tmp_path / "local", key, "pocket", workload().digest
    )


def recorded_run(run_id: str = "1", latency_s: float = 0.2, probe: str = "v1") -> RecordedRun:
    samples = latency_samples((latency_s,) * 3, probe=probe)
    return RecordedRun(run_id, environment(), samples)


def save(
    store: BaselineStore,
    run: RecordedRun,
    tier: str = "fp32",
    *,
    folder: Path | None = None,
    add: bool = False,
) -> Path:
    where = folder or store.committed
    return store.save_run(where, measurement(tier, run.latency), run, add=add)


def loaded(store: BaselineStore) -> Baseline:
    baseline = store.load()
    assert baseline is not None
    return baseline


def run_ids(store: BaselineStore, tier: str = "fp32") -> list[str]:
    return [run.run_id for run in loaded(store).tiers[tier].runs]


def test_unknown_hardware_has_no_baseline_and_that_is_no_error(store: BaselineStore) -> None:
    assert store.find() is None
    assert store.load() is None


def test_a_saved_run_is_found_under_its_hardware_and_checkpoint(store: BaselineStore) -> None:
    path = save(store, recorded_run("1", 0.2))
    assert path == store.committed / store.hardware_key / "pocket.json"
    tier = TierBaseline(0.2, (recorded_run("1", 0.2),))
    assert loaded(store) == Baseline(
        SCHEMA, store.hardware_key, "pocket", workload().digest, {"fp32": tier}
    )


def test_raw_samples_come_back_to_the_last_digit(store: BaselineStore) -> None:
    samples = latency_samples((0.1 + 0.2, 1 / 3, 1e-7), probe_s=(2 / 3, 0.1, 7e5))
    save(store, RecordedRun("1", environment(), samples))
    assert loaded(store).tiers["fp32"].runs[0].latency == samples


def test_replacing_forgets_earlier_runs_and_adding_keeps_them(store: BaselineStore) -> None:
    save(store, recorded_run("1"))
    save(store, recorded_run("2"), add=True)
    save(store, recorded_run("3"), add=True)
    assert run_ids(store) == ["1", "2", "3"]
    save(store, recorded_run("4"), add=False)
    assert run_ids(store) == ["4"]


def test_other_tiers_stay_as_they_are(store: BaselineStore) -> None:
    save(store, recorded_run("1"), "fp32")
    save(store, recorded_run("2"), "bf16")
    before = loaded(store).tiers["fp32"]
    save(store, recorded_run("3"), "bf16")
    assert loaded(store).tiers["fp32"] == before
    assert run_ids(store, "bf16") == ["3"]


def test_adding_drops_runs_that_were_made_with_another_probe(store: BaselineStore) -> None:
    save(store, recorded_run("1", probe="v1"))
    save(store, recorded_run("2", probe="v1"), add=True)
    save(store, recorded_run("3", probe="v2"), add=True)
    assert run_ids(store) == ["3"]


def test_the_accepted_latency_is_the_median_of_the_runs_medians(store: BaselineStore) -> None:
    for number, latency_s in enumerate((0.2, 0.9, 0.3)):
        save(store, recorded_run(str(number), latency_s), add=True)
    tier = loaded(store).tiers["fp32"]
    assert tier.accepted_latency_s == tier.recorded_latency_s == 0.3
    assert not tier.was_edited


def test_an_accepted_latency_that_a_person_has_set_is_noticed(store: BaselineStore) -> None:
    path = save(store, recorded_run("1", 0.2))
    text = path.read_text()
    assert text.count('"accepted_latency_s": 0.2') == 1
    path.write_text(text.replace('"accepted_latency_s": 0.2', '"accepted_latency_s": 0.15'))
    tier = loaded(store).tiers["fp32"]
    assert tier.was_edited
    assert (tier.accepted_latency_s, tier.recorded_latency_s) == (0.15, 0.2)


@pytest.mark.parametrize("latency_s", [0.0, -1.0, float("inf"), float("nan")])
def test_an_accepted_latency_that_is_none_is_refused(latency_s: float) -> None:
    with pytest.raises(ValueError, match="is none"):
        TierBaseline(latency_s, (recorded_run(),))


def test_a_tier_without_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="without a recorded run"):
        TierBaseline(0.2, ())


def test_an_impossible_sample_in_the_file_is_refused_with_its_place(store: BaselineStore) -> None:
    path = save(store, recorded_run("1", 0.25))
    path.write_text(path.read_text().replace("0.25,", "-0.25,"))
    with pytest.raises(BaselineError, match=r"-0\.25 s") as caught:
        store.load()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("hardware", {"hardware_key": "cuda-b200"}),
        ("checkpoint", {"checkpoint": "sdxl"}),
        ("workload", {"workload": "0123456789ab"}),
    ],
)
def test_a_baseline_of_something_else_is_refused(
    what: str, other: dict[str, str], store: BaselineStore
) -> None:
    path = save(store, recorded_run())
    write_json(path, replace(loaded(store), **other))  # type: ignore[arg-type]
    with pytest.raises(BaselineError) as caught:
        store.load()
    message = str(caught.value)
    assert message.startswith(f"{path} was recorded for {what} {next(iter(other.values()))}, ")
    assert message.endswith("record anew with --perf-update")


def test_baselines_of_other_hardware_lie_elsewhere_and_are_not_found(store: BaselineStore) -> None:
    save(store, recorded_run())
    assert replace(store, hardware_key="cuda-b200").load() is None


def test_a_committed_baseline_goes_before_a_local_one(store: BaselineStore) -> None:
    save(store, recorded_run("local"), folder=store.local)
    assert run_ids(store) == ["local"]
    save(store, recorded_run("committed"), folder=store.committed)
    assert run_ids(store) == ["committed"]
    assert store.find() == store.path(store.committed)


@pytest.mark.parametrize("add", [True, False])
def test_a_truncated_file_stops_the_run_and_is_not_overwritten(
    add: bool, store: BaselineStore
) -> None:
    path = save(store, recorded_run())
    path.write_bytes(path.read_bytes()[:100])
    for attempt in (store.load, lambda: save(store, recorded_run("2"), add=add)):
        with pytest.raises(BaselineError, match="truncated") as caught:
            attempt()
        assert str(path) in str(caught.value)
    assert len(path.read_bytes()) == 100


def test_a_newer_baseline_is_not_overwritten(store: BaselineStore) -> None:
    path = save(store, recorded_run())
    newer = path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 99')
    assert '"schema": 99' in newer
    path.write_text(newer)
    with pytest.raises(BaselineError, match="has schema 99"):
        save(store, recorded_run("2"))
    assert path.read_text() == newer


CONFIGURATION = Configuration(
    "EulerDiscreteScheduler",
    (ComponentDigest("scheduler", "0a0a"), ComponentDigest("unet", "1b1b")),
    "2c2c",
)
METHOD = Method(
    "pocket",
    "sha256:0123456789ab",
    CONFIGURATION,
    ("full_float32", "plain_attention"),
    workload().digest,
)


def run_of(method: Method | None = METHOD, *, threads: int = 1, run_id: str = "1") -> RecordedRun:
    return RecordedRun(run_id, replace(environment(), threads=threads), latency_samples(), method)


def held_against(store: BaselineStore, method: Method, *, threads: int = 1) -> Comparable:
    return comparable(store.load(), replace(environment(), threads=threads), {"fp32": method})


def test_the_same_method_may_be_compared_and_is_stored(store: BaselineStore) -> None:
    save(store, run_of())
    known = held_against(store, METHOD)
    assert known.refused == {}
    assert known.unknown == frozenset()
    assert known.baseline == store.load()
    assert known.baseline is not None
    assert known.baseline.tiers["fp32"].runs[0].method == METHOD


CHANGED: list[tuple[dict[str, Any], Incomparable]] = [
    ({"checkpoint": "ssd"}, Incomparable("checkpoint", "ssd", "pocket")),
    (
        {"identity": "sha256:ffffffffffff"},
        Incomparable("weights", "sha256:ffffffffffff", "sha256:0123456789ab"),
    ),
    (
        {"configuration": replace(CONFIGURATION, scheduler="DDIMScheduler")},
        Incomparable("scheduler", "DDIMScheduler", "EulerDiscreteScheduler"),
    ),
    (
        {"configuration": replace(CONFIGURATION, components=CONFIGURATION.components[:1])},
        Incomparable("configuration of unet", "none", "1b1b"),
    ),
    (
        {"configuration": replace(CONFIGURATION, tokenizers="3d3d")},
        Incomparable("tokenizers", "3d3d", "2c2c"),
    ),
    ({"scheduler": "LCMScheduler"}, Incomparable("scheduler", "LCMScheduler", "its own")),
    ({"adapter": "lcm@0123 x1"}, Incomparable("adapter", "lcm@0123 x1", "none")),
    (
        {"changes": ("full_float32",)},
        Incomparable("changes", "full_float32", "full_float32,plain_attention"),
    ),
    ({"workload": "ffff"}, Incomparable("workload", "ffff", workload().digest)),
]


@pytest.mark.parametrize(("change", "why"), CHANGED, ids=[each.what for _, each in CHANGED])
def test_another_method_is_named_with_both_values_and_not_compared(
    change: dict[str, Any], why: Incomparable, store: BaselineStore
) -> None:
    save(store, run_of())
    known = held_against(store, replace(METHOD, **change))
    assert known.refused == {"fp32": why}
    assert known.baseline is not None
    assert known.baseline.tiers == {}


def test_every_field_of_a_method_tells_two_runs_apart() -> None:
    assert {next(iter(change)) for change, _ in CHANGED} == {each.name for each in fields(METHOD)}


@pytest.mark.parametrize("method", [METHOD, None], ids=["new file", "old file"])
def test_other_threads_are_named_and_not_compared(
    method: Method | None, store: BaselineStore
) -> None:
    save(store, run_of(method, threads=1))
    assert held_against(store, METHOD, threads=2).refused == {
        "fp32": Incomparable("threads", "2", "1")
    }


def test_threads_of_the_host_do_not_matter_to_an_accelerator() -> None:
    gpu = environment(hardware(kind="cuda", cores=None))
    one, other = (
        RecordedRun("1", replace(gpu, threads=count), latency_samples()) for count in (8, 64)
    )
    assert one.difference(other) is None


def test_a_file_that_does_not_tell_the_method_is_compared_and_that_is_noted(
    store: BaselineStore,
) -> None:
    path = save(store, run_of(None))
    stored = json.loads(path.read_text())
    del stored["tiers"]["fp32"]["runs"][0]["method"]
    path.write_text(json.dumps(stored))
    known = held_against(store, METHOD)
    assert known.refused == {}
    assert known.unknown == {"fp32"}


def test_of_mixed_runs_those_that_fit_are_kept(store: BaselineStore) -> None:
    path = save(store, run_of(run_id="1"))
    (first,) = loaded(store).tiers["fp32"].runs
    slow = RecordedRun("2", replace(environment(), threads=2), latency_samples((0.4,) * 5), METHOD)
    mixed = TierBaseline(0.3, (first, slow))
    write_json(path, replace(loaded(store), tiers={"fp32": mixed}))
    known = held_against(store, METHOD, threads=2).baseline
    assert known is not None
    assert [run.run_id for run in known.tiers["fp32"].runs] == ["2"]


def test_what_one_process_measures_twice_is_one_run(store: BaselineStore) -> None:
    save(store, recorded_run("1", 0.2))
    save(store, recorded_run("2", 0.3), add=True)
    save(store, recorded_run("2", 0.4), add=True)
    assert run_ids(store) == ["1", "2"]
    assert loaded(store).tiers["fp32"].runs[1].latency.samples_s == (0.4,) * 3


def test_a_run_of_something_else_is_not_added(store: BaselineStore) -> None:
    path = save(store, run_of())
    before = path.read_bytes()
    unlike = replace(METHOD, identity="sha256:f")
    for other in (run_of(threads=2, run_id="2"), run_of(unlike, run_id="2")):
        with pytest.raises(BaselineError, match="no run can be added to it: record anew"):
            save(store, other, add=True)
    assert path.read_bytes() == before
    save(store, run_of(threads=2, run_id="2"), add=False)
    assert run_ids(store) == ["2"]


def test_workloads_lie_side_by_side(store: BaselineStore) -> None:
    large = replace(store, workload="ffff", label="large")
    own, other = save(store, run_of(run_id="own")), save(large, run_of(run_id="large"))
    assert (own.name, other.name) == ("pocket.json", "pocket--large.json")
    assert run_ids(store) == ["own"]
    assert run_ids(large) == ["large"]


def test_a_table_that_has_changed_since_is_named(store: BaselineStore) -> None:
    save(replace(store, workload="ffff", label="large"), run_of())
    with pytest.raises(BaselineError, match="recorded for workload ffff, this is eeee"):
        replace(store, workload="eeee", label="large").load()


def test_sessions_that_add_at_once_lose_no_run(store: BaselineStore) -> None:
    tiers, runs = ("fp32", "bf16", "sdpa"), 8

    def add_runs(tier: str, session: str) -> None:
        for number in range(runs):
            save(store, recorded_run(f"{tier}-{number}{session}"), tier, add=True)

    threads = [
        threading.Thread(target=add_runs, args=(tier, session))
        for tier in tiers
        for session in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for tier in tiers:
        assert sorted(run_ids(store, tier)) == sorted(
            f"{tier}-{n}{session}" for n in range(runs) for session in "ab"
        )


def test_a_folder_that_may_only_be_read_is_read(store: BaselineStore) -> None:
    path = save(store, recorded_run())
    path.with_name(f".{path.name}.lock").unlink()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert run_ids(store) == ["1"]
    finally:
        path.parent.chmod(0o755)
    assert not path.with_name(f".{path.name}.lock").exists()
