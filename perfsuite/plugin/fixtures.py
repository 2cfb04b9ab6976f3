"""The fixtures, all of them `perf_…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.libraries import quietly
from perfsuite.settings import Settings

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from perfsuite.ladder import BuiltTier, Tier
    from perfsuite.measure import Measurement, Sampler
    from perfsuite.plugin.session import MeasuringSession
    from perfsuite.results.verdict import Verdict
    from perfsuite.session.run import Run

SESSION = pytest.StashKey["MeasuringSession"]()
SETTINGS = pytest.StashKey[Settings]()


def _session(config: pytest.Config) -> MeasuringSession:
    session = config.stash.get(SESSION, None)
    if session is None:
        pytest.fail(
            "nothing was prepared to be measured: name the perf_ fixture among the test's "
            "arguments, instead of asking for it with getfixturevalue",
            pytrace=False,
        )
    return session


@pytest.fixture(scope="session")
def perf_workload(request: pytest.FixtureRequest) -> str | None:
    """Name of the workload that is measured; None where there is only one."""
    name: str | None = getattr(request, "param", None)
    return name


@pytest.fixture(scope="session")
def perf_run(pytestconfig: pytest.Config, perf_workload: str | None) -> Run:
    """The session under way, at one workload: settings, checkpoint, baselines and record."""
    return _session(pytestconfig).run.at(perf_workload)


@pytest.fixture(scope="session")
def perf_tier(request: pytest.FixtureRequest, perf_run: Run) -> Iterator[BuiltTier]:
    """A tier's pipeline, built once per session and freed before the next is built."""
    row = _row(request)
    _start(perf_run, row)
    with _session(request.config).working(row) as progress:
        with quietly():
            perf_run.provide_references(row, progress)
        built = perf_run.build(row)
    perf_run.note_built(built)
    _session(request.config).keep(built)
    yield built
    built.close()


@pytest.fixture
def perf_measurement(
    request: pytest.FixtureRequest,
    perf_tier: BuiltTier,
    perf_run: Run,
    benchmark: BenchmarkFixture,
    pytestconfig: pytest.Config,
) -> Measurement:
    """The tier's raw samples; pytest-benchmark runs the rounds and reports them too."""
    from perfsuite.measure import measure_tier

    def take_rounds(sampler: Sampler, rounds: int) -> None:
        if benchmark.stats is None:
            benchmark.pedantic(sampler.sample, setup=sampler.prepare, rounds=rounds)
            return
        for _ in range(rounds):  # a fixture runs `pedantic` once only; its statistics go on
            sampler.prepare()
            benchmark.stats.stats.update(sampler.sample())

    session = _session(pytestconfig)
    part = session.timetable.part(request.node)
    with session.working(perf_tier.tier) as progress, quietly():
        measured = measure_tier(
            perf_tier,
            perf_run.plan,
            take_rounds=take_rounds,
            goal=perf_run.sampling_goal(perf_tier.tier),
            progress=session.timetable.noting(progress, part),
        )
        perf_run.note_profile(perf_tier)
    session.timetable.learn(measured, part)
    return measured


@pytest.fixture
def perf_latency_verdict(
    request: pytest.FixtureRequest,
    perf_measurement: Measurement,
    perf_run: Run,
    benchmark: BenchmarkFixture,
) -> Verdict:
    """The verdict on the tier's latency; it stands in the record and in pytest-benchmark's JSON."""
    import msgspec

    verdict = perf_run.judge_measurement(perf_measurement)
    benchmark.extra_info["tier"] = perf_measurement.tier
    benchmark.extra_info["verdict"] = msgspec.to_builtins(verdict)
    benchmark.extra_info["environment"] = msgspec.to_builtins(perf_run.environment)
    return _noted(verdict, request)


@pytest.fixture
def perf_quality_verdict(
    request: pytest.FixtureRequest, perf_tier: BuiltTier, perf_run: Run
) -> Verdict:
    """The verdict on the tier's images against the fp32 references."""
    with _session(request.config).working(perf_tier.tier) as progress, quietly():
        verdict = perf_run.judge_images(perf_tier, progress)
    return _noted(verdict, request)


@pytest.fixture
def perf_structure_verdict(
    request: pytest.FixtureRequest, perf_tier: BuiltTier, perf_run: Run
) -> Verdict:
    """The verdict on what the tier asks of torch: operators, kernels, layers. It has no noise."""
    with _session(request.config).working(perf_tier.tier) as progress, quietly():
        verdict = perf_run.judge_structure(perf_tier, progress)
    return _noted(verdict, request)


@pytest.fixture
def perf_exactness_verdict(request: pytest.FixtureRequest, perf_run: Run) -> Verdict:
    """The verdict on what must not change numbers beyond rounding: exact changes, in fp32."""
    return _judged(request, perf_run, perf_run.judge_exactness)


@pytest.fixture
def perf_layers_verdict(request: pytest.FixtureRequest, perf_run: Run) -> Verdict:
    """The verdict on a tier's quantised layers, one by one."""
    return _judged(request, perf_run, perf_run.judge_layers)


@pytest.fixture
def perf_enforce(perf_run: Run) -> Callable[[Any], None]:
    """A function that turns a verdict into pytest's terms.

    A regression fails. What is neither pass nor fail (inconclusive, invalid, no baseline) skips
    with its reason, and fails where the session is strict. A first baseline that nobody asked for
    skips. Counts that are lower than their baseline fail too: they have no noise, and until the
    baseline is moved nobody would notice them rise again.
    """
    from perfsuite.report.messages import describe
    from perfsuite.results.verdict import Metric, Outcome

    settings = perf_run.settings
    records = f"{os.path.relpath(settings.out / 'runs')}/"
    undecided = (
        Outcome.INCONCLUSIVE,
        Outcome.INVALID,
        Outcome.NO_BASELINE,
        Outcome.NOT_CALIBRATED,
    )

    def act(verdict: Verdict) -> None:
        __tracebackhide__ = True
        said = describe(verdict, records, perf_run.asked)
        if verdict.outcome in undecided and not settings.strict:
            pytest.skip(said)
        unclaimed = verdict.outcome is Outcome.IMPROVED and verdict.metric is Metric.STRUCTURE
        if unclaimed or verdict.outcome in (Outcome.REGRESSED, *undecided):
            pytest.fail(said, pytrace=False)
        if verdict.outcome is Outcome.NOT_SUPPORTED:
            pytest.skip(said)
        if verdict.outcome is Outcome.RECORDED and settings.update is None:
            pytest.skip(said)

    return act


def _judged(request: pytest.FixtureRequest, run: Run, judge: Callable[..., Verdict]) -> Verdict:
    """Judge a tier that the check itself builds; the tests that share a built one are over by then.

    pytest would keep their tier until the end of the session.
    """
    row = _row(request)
    if "perf_tier" not in request.fixturenames:
        _session(request.config).make_room()
    _start(run, row)
    with _session(request.config).working(row) as progress, quietly():
        verdict = judge(row, progress)
    return _noted(verdict, request)


def _start(run: Run, row: Tier) -> None:
    """Begin with a tier; skip what is not supported here, which is neither pass nor fail."""
    from perfsuite.report.messages import say_all

    run.start_tier(row)
    refused = run.refuse(row)
    if refused is not None:
        pytest.skip(f"{refused.outcome.value}: {say_all(refused.reasons)}")


def _row(request: pytest.FixtureRequest) -> Tier:
    from perfsuite.ladder import find_tiers

    return find_tiers((request.param,))[0]


def _noted(verdict: Verdict, request: pytest.FixtureRequest) -> Verdict:
    """Count a verdict for the test that asked for it."""
    _session(request.config).note_verdict(request.node.nodeid, verdict.outcome)
    return verdict
