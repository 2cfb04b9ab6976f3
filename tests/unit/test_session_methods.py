"""Pictures of methods on the real pocket: made again by a second session, and faults found."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.checkpoints import Checkpoint
from perfsuite.device import CpuDevice
from perfsuite.environment import describe_environment
from perfsuite.errors import ReferenceImageError
from perfsuite.ladder import (
    build_tier,
    describe_weights,
    find_tiers,
    reference_tier,
    resolve_method,
)
from perfsuite.progress import silent
from perfsuite.results.machine import Environment
from perfsuite.results.method_reasons import NotReproduced, OwnPicturesRecorded, TooFewPairs
from perfsuite.results.verdict import Outcome, Verdict
from perfsuite.selftest.quality.methods import METHOD_FAULTS, MethodBench, MethodFault, stale_cache
from perfsuite.session import methods
from perfsuite.session.methods import MethodGate, widened
from perfsuite.workload import Workload

pytestmark = pytest.mark.usefixtures("one_thread")
PAIRS = 3


@pytest.fixture(autouse=True)
def _few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "PAIRS", PAIRS)


@pytest.fixture(scope="module")
def environment() -> Environment:
    return describe_environment(CpuDevice(), None, Path.cwd())


def gate_of(
    quick: Checkpoint, places: tuple[Path, ...], out: Path, here: Environment
) -> MethodGate:
    return MethodGate(quick, CpuDevice(), quick.workloads(), places, out / "runs", here, out)


def judged(gate: MethodGate, name: str, *, stale: bool = False) -> Verdict:
    (tier,) = find_tiers([name])
    rows = (reference_tier(), tier)
    weights = describe_weights(rows, gate.checkpoint)
    method = resolve_method(tier, gate.checkpoint, weights, gate.workloads)
    with build_tier(tier, gate.checkpoint, gate.device, workloads=gate.workloads) as built:
        if not stale:
            return gate.judge(built, method)
        with stale_cache(built.pipeline):
            return gate.judge(built, method)


def test_a_second_session_has_to_make_the_same_pictures(
    quick: Checkpoint, tmp_path: Path, environment: Environment
) -> None:
    places = (tmp_path / "committed", tmp_path / "own")
    gate = gate_of(quick, places, tmp_path, environment)
    first = judged(gate, "deepcache")
    folder = places[-1] / "quick--deepcache"
    assert first.notes == (OwnPicturesRecorded(str(folder)),)
    assert TooFewPairs(PAIRS, 24) in first.reasons or first.outcome is Outcome.REGRESSED
    again = judged(gate_of(quick, places, tmp_path, environment), "deepcache")
    assert again.notes == ()
    assert not any(isinstance(each, NotReproduced) for each in again.reasons)
    spoilt = judged(gate, "deepcache", stale=True)
    assert spoilt.outcome is Outcome.REGRESSED
    assert any(isinstance(each, NotReproduced) for each in spoilt.reasons)
    assert spoilt.compared is not None
    (picture,) = spoilt.compared.pictures
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_pictures_of_other_weights_are_refused_with_the_way_out(
    quick: Checkpoint, tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (tmp_path / "own",)
    judged(gate_of(quick, places, tmp_path, environment), "deepcache")
    monkeypatch.setattr(methods, "_identity", lambda method: "other weights")
    with pytest.raises(ReferenceImageError, match=r"other weights: delete .*quick--deepcache"):
        judged(gate_of(quick, places, tmp_path, environment), "deepcache")


@pytest.fixture(scope="module")
def benches() -> dict[str, MethodBench]:
    """One for the module, so that healthy pictures are made once."""
    return {}


class _Built:
    """The part of a run that the self-test of methods uses."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.device, self.work = checkpoint, CpuDevice(), checkpoint.workloads()

    def build(self, tier):  # type: ignore[no-untyped-def]
        return build_tier(tier, self.checkpoint, self.device, workloads=self.work)


@pytest.mark.parametrize("fault", METHOD_FAULTS, ids=lambda fault: fault.name)
def test_planted_faults_of_methods_are_found(
    fault: MethodFault,
    quick: Checkpoint,
    tmp_path: Path,
    environment: Environment,
    benches: dict[str, MethodBench],
) -> None:
    gate = gate_of(quick, (), tmp_path, environment)
    run: object = _Built(quick)
    bench = benches.setdefault("one", MethodBench(run, gate))  # type: ignore[arg-type]
    trial = bench.try_fault(fault, silent)
    assert trial.caught_by == ("pictures",)


def test_there_are_seeds_enough_for_enough_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "PAIRS", 24)
    six = Workload(tuple("abcdef"), (5, 0), 4, 0.0, 64, 64)
    assert widened(six).seeds == (5, 0, 1, 2)
    assert len(widened(Workload(("a",), (0,), 4, 0.0, 64, 64)).seeds) == 24
    many = Workload(tuple("abcdef"), tuple(range(9)), 4, 0.0, 64, 64)
    assert widened(many) == many
