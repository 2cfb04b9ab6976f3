"""What a session is held against is found, and what is of something else is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from perfsuite.ab.plan import prepare_gate
from perfsuite.checkpoints import Checkpoint, find_checkpoint, registry
from perfsuite.errors import (
    BaselineError,
    CalibrationError,
    LadderError,
    PerfsuiteError,
    ReferenceImageError,
    SettingsError,
)
from perfsuite.images.calibration import calibration_path
from perfsuite.images.generate import GeneratedImage
from perfsuite.ladder import Tier, register_tier, table
from perfsuite.measure import Measurement
from perfsuite.report.messages import say
from perfsuite.results.images import Calibration
from perfsuite.results.migrate import SCHEMA
from perfsuite.results.reasons import Incomparable
from perfsuite.results.session import load_record
from perfsuite.results.verdict import Outcome
from perfsuite.session.preflight import prepare_run
from perfsuite.session.run import Run
from perfsuite.settings import resolve_settings
from perfsuite.storage import write_json
from perfsuite.stores.references import record_references
from tests.unit.samples import measurement

MATRIX = '[tool.perfsuite.workloads.wide]\nsize = "128x64"\n'
Prepare = Callable[..., Run]


@pytest.fixture
def model(libraries: None, tmp_path: Path) -> Path:
    """A copy of the pocket checkpoint in a folder."""
    pocket = Path(registry.__file__).parent / "pocket"
    return Path(shutil.copytree(pocket, tmp_path / "models" / "mine"))


@pytest.fixture
def prepare(tmp_path: Path, model: Path) -> Iterator[Prepare]:
    """Prepares sessions of fp32 in a project, and undoes what each has set."""
    runs: list[Run] = []
    (tmp_path / "pyproject.toml").write_text(MATRIX)

    def prepared(*, images: bool = False, **given: str) -> Run:
        asked = {"checkpoint": str(model), "tiers": "fp32", "device": "cpu", **given}
        settings = resolve_settings(asked, tmp_path)
        runs.append(prepare_run(settings, tmp_path, scores_images=images, needs_baseline=True))
        return runs[-1]

    yield prepared
    for run in reversed(runs):
        run.finish(complete=True)


def measured(run: Run) -> Measurement:
    return replace(measurement("fp32"), workload=run.work.latency.digest)


def set_scheduler(model: Path) -> None:
    path = model / "scheduler" / "scheduler_config.json"
    text = path.read_text()
    assert "EulerDiscreteScheduler" in text
    path.write_text(text.replace("EulerDiscreteScheduler", "DDIMScheduler"))
    index = model / "model_index.json"  # which is where diffusers reads the class
    index.write_text(index.read_text().replace("EulerDiscreteScheduler", "DDIMScheduler"))


def change_weights(model: Path) -> None:
    path = model / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    weights = load_file(path)
    weights[sorted(weights)[0]] = weights[sorted(weights)[0]] * 1.5
    save_file(weights, path)


def change_config(model: Path) -> None:
    path = model / "vae" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"scaling_factor": 0.5}))


def save_again(model: Path) -> None:
    """What another version of diffusers writes of the same model."""
    path = model / "unet" / "config.json"
    config = json.loads(path.read_text())
    config |= {"_diffusers_version": "9.9.9", "_name_or_path": "/elsewhere"}
    path.write_text(json.dumps(dict(reversed(config.items()))))


MISMATCHES = [
    (set_scheduler, "scheduler"),
    (change_weights, "weights"),
    (change_config, "configuration of vae"),
]


@pytest.mark.parametrize(("mutate", "what"), MISMATCHES)
def test_another_model_in_the_same_folder_is_named_not_compared_and_not_overwritten(
    mutate: Callable[[Path], None], what: str, model: Path, prepare: Prepare
) -> None:
    first = prepare()
    first.judge_measurement(measured(first))
    (path,) = first.settings.out.glob("baselines/*/mine.json")
    before = path.read_bytes()
    mutate(model)
    run = prepare()
    verdict = run.judge_measurement(measured(run))
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.change is None
    (why,) = verdict.reasons
    assert isinstance(why, Incomparable)
    assert why.what == what
    assert why.here != why.recorded
    assert say(why).endswith("record anew with --perf-update")
    assert path.read_bytes() == before


def test_a_baseline_with_one_thread_does_not_judge_a_run_with_two(prepare: Prepare) -> None:
    first = prepare(threads="1")
    first.judge_measurement(measured(first))
    run = prepare(threads="2")
    verdict = run.judge_measurement(measured(run))
    assert verdict.outcome is Outcome.NO_BASELINE
    assert verdict.reasons == (Incomparable("threads", "2", "1"),)
    again = prepare(threads="1")
    assert again.judge_measurement(measured(again)).change is not None


def test_a_model_that_was_only_saved_again_is_compared(model: Path, prepare: Prepare) -> None:
    first = prepare()
    first.judge_measurement(measured(first))
    save_again(model)
    run = prepare()
    assert run.judge_measurement(measured(run)).change is not None


@pytest.mark.parametrize("mutate", [each for each, _ in MISMATCHES])
def test_no_run_is_added_to_those_of_another_model(
    mutate: Callable[[Path], None], model: Path, prepare: Prepare
) -> None:
    first = prepare(update="replace")
    first.judge_measurement(measured(first))
    mutate(model)
    with pytest.raises(
        BaselineError, match=r"no run can be added to tier 'fp32' of .* does not compare"
    ):
        prepare(update="add")


def test_a_baseline_that_has_to_be_there_has_to_be_of_the_same(
    model: Path, prepare: Prepare
) -> None:
    first = prepare(update="replace")
    first.judge_measurement(measured(first))
    prepare(missing="fail")
    with pytest.raises(SettingsError, match="no baseline for bf16 of"):
        prepare(missing="fail", tiers="fp32,bf16")
    # What is advised records what was asked for, not the default's.
    with pytest.raises(
        SettingsError, match=rf"runs 5 --perf-checkpoint {model} --perf-steps 3 --perf-tiers fp32"
    ):
        prepare(missing="fail", steps="3")
    with pytest.raises(
        SettingsError, match=r"tier 'fp32' of .*: threads 2 does not compare with the baseline's 1"
    ):
        prepare(missing="fail", threads="2")


def test_an_old_baseline_is_compared_and_the_record_says_what_it_does_not_tell(
    prepare: Prepare,
) -> None:
    first = prepare()
    first.judge_measurement(measured(first))
    (path,) = first.settings.out.glob("baselines/*/mine.json")
    stored = json.loads(path.read_text())
    del stored["tiers"]["fp32"]["runs"][0]["method"]
    path.write_text(json.dumps(stored))
    run = prepare()
    assert run.judge_measurement(measured(run)).change is not None
    with run.build(run.tiers[0]) as built:
        run.note_built(built)
    (finding,) = run.record.tiers[0].findings
    assert "does not tell weights and configurations" in finding.message


def test_the_record_tells_method_and_workload_of_a_tier(prepare: Prepare) -> None:
    run = prepare(steps="3")
    run.start_tier(run.tiers[0])
    assert run.record_path is not None
    result = load_record(run.record_path).tiers[0]
    assert result.method == run.methods["fp32"]
    assert result.method.changes == ("full_float32", "plain_attention")
    assert result.latency_workload == run.work.latency
    assert result.quality_workload is not None
    assert result.quality_workload.steps == result.latency_workload.steps == 3


def test_workloads_of_a_matrix_are_measured_into_one_record_and_files_of_their_own(
    prepare: Prepare,
) -> None:
    first = prepare(workload="default,wide")
    assert first.record.policy.multiplicity == 2
    for name in ("default", "wide"):
        run = first.at(name)
        run.start_tier(run.tiers[0])
        run.judge_measurement(measured(run))
    files = sorted(path.name for path in first.settings.out.glob("baselines/*/*.json"))
    assert files == ["mine--wide.json", "mine.json"]
    assert first.record_path is not None
    record = load_record(first.record_path)
    assert [each.label for each in record.tiers] == ["fp32-default", "fp32-wide"]
    widths = [each.latency_workload.width for each in record.tiers if each.latency_workload]
    assert widths == [64, 128]
    alone = prepare(workload="wide")
    verdict = alone.judge_measurement(measured(alone))
    assert verdict.change is not None
    assert alone.record.tiers[0].label == "fp32"


def test_workloads_that_time_the_same_work_are_refused(tmp_path: Path, prepare: Prepare) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{MATRIX}[tool.perfsuite.workloads.w]\nsteps = 30\n")
    with pytest.raises(SettingsError, match="workloads 'default' and 'w' time the same work"):
        prepare(workload="default,w")


def test_a_gate_asks_both_arms_for_the_workload_that_was_chosen(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(MATRIX)
    asked = {"checkpoint": str(model), "tiers": "fp32", "device": "cpu", "workload": "wide"}
    settings = resolve_settings({**asked, "steps": "3", "batch": "2"}, tmp_path)
    plan = prepare_gate(settings, ".", ".", tmp_path)
    latency, quality = plan.work.request.latency, plan.work.request.quality
    assert (latency.width, latency.height, latency.steps, latency.batch_size) == (128, 64, 3, 2)
    assert (quality.width, quality.height, quality.steps, quality.batch_size) == (128, 64, 3, 1)
    assert (plan.record.latency_workload, plan.images.workload) == (latency, quality)


def test_a_gate_tells_its_workers_where_a_tier_of_the_project_s_own_is_from(
    model: Path, tmp_path: Path
) -> None:
    asked = {"checkpoint": str(model), "device": "cpu"}

    def conftests(tiers: str, registered: dict[str, Path]) -> str | None:
        settings = resolve_settings({**asked, "tiers": tiers}, tmp_path)
        return prepare_gate(settings, ".", ".", tmp_path, registered).work.request.conftests

    assert conftests("fp32,bf16", {"bf16": tmp_path}) == str(tmp_path)
    assert conftests("fp32", {model.name: tmp_path}) == str(tmp_path)
    assert conftests("fp32", {"bf16": tmp_path}) is None


def test_a_gate_has_one_workload(model: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(MATRIX)
    asked = {"checkpoint": str(model), "tiers": "fp32", "workload": "default,wide"}
    settings = resolve_settings(asked, tmp_path)
    with pytest.raises(SettingsError, match="not on default, wide: name one: --workload NAME"):
        prepare_gate(settings, ".", ".", tmp_path)


def record_some(run: Run, folder: Path) -> None:
    import numpy as np

    quality = run.work.quality
    size = (quality.height, quality.width, 3)
    images = [
        GeneratedImage(
            shot,
            np.random.default_rng(shot.index).random(size).astype("float32"),
            np.ones((4, 8, 8), "float32"),
        )
        for shot in quality.shots()
    ]
    record_references(
        folder,
        checkpoint="mine",
        identity=run.record.identity,
        workload=quality,
        environment=run.environment,
        images=images,
        again=lambda shot: images[shot.index],
        configuration=run.methods["fp32"].configuration,
    )


@pytest.mark.parametrize(("mutate", "what"), MISMATCHES)
def test_references_of_another_model_are_named(
    mutate: Callable[[Path], None],
    what: str,
    model: Path,
    prepare: Prepare,
    tmp_path: Path,
) -> None:
    run = prepare()
    record_some(run, tmp_path / "baselines" / "references" / "mine")
    assert prepare(images=True).references is not None
    mutate(model)
    with pytest.raises(ReferenceImageError, match=f"was recorded for {what} .* this is "):
        prepare(images=True)


def test_references_are_found_by_workload_and_none_are_those_of_another(
    prepare: Prepare, tmp_path: Path
) -> None:
    record_some(prepare(), tmp_path / "baselines" / "references" / "mine")
    run = prepare(workload="wide")
    record_some(run, tmp_path / "baselines" / "references" / "mine--wide")
    found = prepare(images=True, workload="wide").references
    assert found is not None
    assert found.folder is not None
    assert found.folder.name == "mine--wide"
    # A session makes those that are missing itself, with fp32, before its first tier.
    assert prepare(images=True, steps="7", tiers="bf16").references is None


def test_thresholds_of_another_configuration_are_named(
    model: Path, prepare: Prepare, tmp_path: Path
) -> None:
    run = prepare()
    path = calibration_path(tmp_path / "baselines", "mine", run.store.hardware_key)
    known = Calibration(
        SCHEMA,
        "mine",
        run.record.identity,
        run.work.quality.digest,
        (0,),
        run.environment,
        {},
        run.methods["fp32"].configuration,
    )
    write_json(path, known)
    assert prepare(images=True).calibration == known
    set_scheduler(model)
    with pytest.raises(CalibrationError, match=r"calibrated for scheduler Euler.* is DDIM"):
        prepare(images=True)


@pytest.fixture
def own_method(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(table, "_TIERS", dict(table._TIERS))

    def register(**fields: object) -> None:
        register_tier(Tier("own", "fp32", (), "", reference="own", **fields))  # type: ignore[arg-type]

    return register


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ({"scheduler": "LCMSchedular"}, LadderError, "which diffusers .* does not have"),
        ({"scheduler": "UNet2DConditionModel"}, LadderError, "which diffusers .* does not have"),
        ({"checkpoint": "nowhere"}, PerfsuiteError, "unknown checkpoint 'nowhere'"),
    ],
)
def test_a_method_that_cannot_be_built_is_refused_beforehand(
    fields: dict[str, object],
    kind: type[Exception],
    said: str,
    own_method: Callable[..., None],
    prepare: Prepare,
) -> None:
    own_method(**fields)
    with pytest.raises(kind, match=said):
        prepare(tiers="own")


def test_a_tier_with_weights_of_its_own_is_told_apart(
    own_method: Callable[..., None], prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    pocket: Checkpoint = find_checkpoint("pocket")
    monkeypatch.setitem(registry._CHECKPOINTS, "small", replace(pocket, name="small"))
    own_method(checkpoint="small", steps=4, scheduler="LCMScheduler")
    run = prepare(tiers="fp32,own")
    own, plain = run.methods["own"], run.methods["fp32"]
    assert (own.checkpoint, plain.checkpoint) == ("small", "mine")
    assert own.scheduler == "LCMScheduler"
    assert own.workload != plain.workload
