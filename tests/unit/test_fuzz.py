"""Damaged inputs of every kind: each is read, or refused in one line of perfsuite's own.

Valid documents are damaged in their structure (keys gone, twice or renamed; values of other types,
extreme numbers and texts) and in their bytes. The long form is `pytest -m slow
tests/unit/test_fuzz.py -s`; it prints its seed, and `PERFSUITE_FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfsuite.errors import OutputError, PerfsuiteError
from perfsuite.images.calibration import load_calibration
from perfsuite.images.generate import GeneratedImage
from perfsuite.options import OPTIONS
from perfsuite.results.ab import load_gate
from perfsuite.results.bisection import BisectRecord
from perfsuite.results.migrate import SCHEMA, migrated
from perfsuite.results.session import TierResult, load_record, save_record
from perfsuite.settings import resolve_settings
from perfsuite.storage import read_json, write_json
from perfsuite.stores.baselines import BaselineStore, RecordedRun
from perfsuite.stores.references import MANIFEST, load_references, record_references
from perfsuite.workers.protocol import Channel, encode
from tests.unit.ab_samples import block, finished, gate_record, tier
from tests.unit.samples import (
    environment,
    latency_samples,
    latency_verdict,
    measurement,
    quality_verdict,
    record,
    workload,
)
from tests.unit.test_report_bisect import RECORD as BISECTION

ROOT = Path(__file__).parents[2]
SHORT, LONG = 20, 220
"""Examples of each target; there are ten."""
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31, 2**63, -(2**64), 10**30, 10**400, 0.0, -0.0, 0.5, -1.5,
    5e-324, 1e308, -1e308, float("nan"), float("inf"), "", " ", "0", "nan", "\0", "a\nb", "💥",
    "\u202e", "../..", "/", "x" * 5000, "%s {0} {x}", [], [[]], {}, {"": None}, [None], ["a"],
    {"schema": 2}, [0] * 1000,
)  # fmt: skip


# Damage


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every value of a document."""
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node[:4]):  # the hundredth sample is like the first
            yield from places(value, (*path, index))


def damage_one(draw: st.DrawFn, document: Any) -> Any:
    """A document with one value changed, dropped, doubled, nested or moved."""
    path = draw(st.sampled_from(list(places(document))))
    odd = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    if not path:
        return draw(st.sampled_from([document, odd, [document], {"document": document}]))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    kind = draw(st.sampled_from(["change", "change", "drop", "double", "nest", "rename"]))
    if kind == "change":
        parent[last] = odd
    elif kind == "drop":
        del parent[last]
    elif kind == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    elif kind == "nest":
        parent[last] = [parent[last]]
    elif isinstance(parent, dict):
        parent[str(odd)[:20]] = parent.pop(last)
    return document


def damage_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Content that was cut, flipped, filled in or made deep somewhere."""
    place = draw(st.integers(0, max(0, len(content) - 1)))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "drop", "twin", "deep"]))
    before, after = content[:place], content[place:]
    if kind == "cut":
        return before
    if kind == "flip":
        return before + bytes([after[0] ^ draw(st.integers(1, 255))]) + after[1:] if after else b""
    if kind == "insert":
        return before + draw(st.binary(min_size=1, max_size=20)) + after
    if kind == "drop":
        return before + after[draw(st.integers(1, 50)) :]
    if kind == "twin":
        return content.replace(b"{", b'{"schema": 2, "schema": 2, ', 1)
    return before + b"[" * 100_000 + after


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON document with one to three damages."""
    if draw(st.integers(0, 3)) == 0:
        return damage_bytes(draw, content)
    document = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        document = damage_one(draw, document)
    return json.dumps(document).encode("utf-8", "surrogatepass")


# Targets: each takes damaged content, and reads it as a session would


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        valid: a sound one.
        read: reads it; may raise PerfsuiteError and nothing else.
    """

    valid: bytes
    read: Callable[[bytes], object]


def of_file(path: Path, read: Callable[[], object]) -> Target:
    """A file, which reading leaves as it is."""

    def placed(content: bytes) -> object:
        path.write_bytes(content)
        try:
            return read()
        finally:
            assert path.read_bytes() == content

    return Target(path.read_bytes(), placed)


def again(path: Path, value: object) -> object:
    """What could be read can be stored."""
    write_json(path, value)
    return value


def baseline(folder: Path, source: Path | None = None) -> Target:
    """A baseline of the repository, or of a run; then one more run is added to it."""
    key, digest = environment().hardware.key, workload().digest
    run = RecordedRun("2", environment(), latency_samples())
    store = BaselineStore(folder, folder / "local", key, "pocket", digest)
    path = store.save_run(folder, measurement("fp32"), run, add=True)
    if source is not None:
        known = json.loads(source.read_text())
        tiers = {name: {**each, "runs": each["runs"][:2]} for name, each in known["tiers"].items()}
        known |= {"hardware_key": key, "workload": digest, "tiers": tiers}
        path.write_text(json.dumps(known))
    valid = path.read_bytes()

    def read(content: bytes) -> object:
        path.write_bytes(content)
        try:
            loaded = store.load()
        except PerfsuiteError:
            with pytest.raises(PerfsuiteError):
                store.save_run(folder, measurement("fp32"), run, add=True)
            assert path.read_bytes() == content  # what cannot be read is not replaced either
            raise
        assert loaded is not None
        assert len([known.was_edited for known in loaded.tiers.values()]) == len(loaded.tiers)
        store.save_run(folder, measurement("fp32"), run, add=True)
        return store.load()

    return Target(valid, read)


def references(folder: Path) -> Target:
    work = dataclasses.replace(workload(), prompts=("A fox",), seeds=(0,))
    noise = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    image = GeneratedImage(next(work.shots()), noise, np.ones((4, 8, 8), np.float32))
    identity = "sha256:0123456789ab"
    record_references(
        folder,
        checkpoint="pocket",
        identity=identity,
        workload=work,
        environment=environment(),
        images=[image],
        again=lambda shot: image,
    )
    return of_file(
        folder / MANIFEST,
        lambda: load_references(folder, checkpoint="pocket", identity=identity, workload=work),
    )


def thresholds(folder: Path) -> Target:
    path = folder / "pocket.json"
    shutil.copy(ROOT / "baselines" / "quality" / "pocket.json", path)
    known = json.loads(path.read_text())
    known["workload"] = workload().digest
    path.write_text(json.dumps(known))

    def read() -> object:
        found = load_calibration(
            path, checkpoint="pocket", identity=known["identity"], workload=workload()
        )
        assert found is not None
        return again(folder / "again.json", found), found.thresholds("bf16")

    return of_file(path, read)


def session_record(folder: Path, schema: int = SCHEMA) -> Target:
    result = TierResult(
        "fp32",
        measurement=measurement(),
        verdicts=(latency_verdict(), quality_verdict()),
    )
    path = save_record(record(result, TierResult("bf16", error="no memory")), folder)
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', f'"schema": {schema}'))
    return of_file(path, lambda: again(folder / "again.json", load_record(path)))


def gate(folder: Path) -> Target:
    path = folder / "gate.json"
    few = dataclasses.replace(block(), samples=block().samples[:2])
    write_json(path, gate_record(dataclasses.replace(tier(), blocks=(few,))))
    return of_file(path, lambda: again(folder / "again.json", load_gate(path)))


def bisection(folder: Path) -> Target:
    path = folder / "bisection.json"
    write_json(path, BISECTION)

    def read() -> object:
        return read_json(
            path, BisectRecord, schema=SCHEMA, error=OutputError, hint="x", migrate=migrated
        )

    return of_file(path, lambda: again(folder / "again.json", read()))


def protocol(folder: Path) -> Target:
    """A line that a worker answers, and one that a worker is asked."""

    def read(content: bytes) -> object:
        line = content.replace(b"\n", b" ")
        replies = folder / "replies"
        replies.write_bytes(line + b"\n")
        with replies.open("rb") as from_worker, (folder / "requests").open("wb") as to_worker:
            reply = Channel("control worker", to_worker, from_worker).receive(5.0)
        assert isinstance(reply, msgspec.Struct)
        return reply

    return Target(encode(finished()), read)


def toml(folder: Path) -> Target:
    path = folder / "pyproject.toml"
    path.write_text(
        '[tool.perfsuite]\ndevice = "cpu"\ntiers = ["fp32", "bf16"]\nbaselines = "here"\n'
        'tolerance = 0.1\nbudget = 30\nthreads = 2\nstrict = true\nmissing = "skip"\n'
        'out = "~/x"\nmachine-label = "pool"\n'
    )
    return of_file(path, lambda: resolve_settings({}, folder))


def options(folder: Path) -> Target:
    """The options of a command line, as a JSON object."""
    given = {
        "device": "cpu", "checkpoint": "pocket", "tiers": "fp32,bf16", "baselines": "here",
        "update": "add", "missing": "skip", "tolerance": "0.1", "budget": "30", "out": "~/x",
        "machine-label": "pool", "threads": "2", "only": "latency", "strict": True,
    }  # fmt: skip
    assert set(given) <= {option.name for option in OPTIONS}

    def read(content: bytes) -> object:
        try:
            values = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return resolve_settings(values if isinstance(values, dict) else {}, folder)

    return Target(json.dumps(given).encode(), read)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "baseline": baseline,
    "baseline of the repository": lambda folder: baseline(
        folder, next((ROOT / "baselines").glob("cpu-*/pocket.json"))
    ),
    "references": references,
    "thresholds": thresholds,
    "session record": session_record,
    "session record of schema 1": lambda folder: session_record(folder, schema=1),
    "gate record": gate,
    "bisection record": bisection,
    "gate protocol": protocol,
    "pyproject.toml": toml,
    "options": options,
}


def check(target: Target, content: bytes) -> None:
    """Reading ends well, or with an error for people."""
    try:
        target.read(content)
    except PerfsuiteError as error:
        refusal = error
    else:
        return
    message = str(refusal)
    assert message
    assert refusal.hint, message
    assert len(message.splitlines()) == 1
    assert len(message) < 2000, message


def fuzz(target: Target, examples: int, seed: int | None = None) -> None:
    """Damage a valid input again and again."""

    @settings(
        max_examples=examples,
        derandomize=seed is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=damaged(target.valid) if is_json(target.valid) else damaged_text(target.valid))
    def run(content: bytes) -> None:
        check(target, content)

    (run if seed is None else hypothesis.seed(seed)(run))()


def is_json(content: bytes) -> bool:
    return content.lstrip().startswith(b"{")


@st.composite
def damaged_text(draw: st.DrawFn, content: bytes) -> bytes:
    """TOML whose bytes are damaged, or whose values are."""
    if draw(st.booleans()):
        return damage_bytes(draw, content)
    lines = content.decode().splitlines()
    place = draw(st.integers(1, len(lines) - 1))
    name = lines[place].split(" = ")[0]
    odd = draw(st.sampled_from([*ODD_VALUES, "a\x7fb", "~nobody/x", "~"]))
    lines[place] = f"{name} = {json.dumps(odd)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@pytest.fixture
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    target = TARGETS[request.param](tmp_path)
    target.read(target.valid)  # sound before it is damaged
    return target


@pytest.mark.parametrize("started", TARGETS, indirect=True)
def test_damaged_input_is_refused_in_one_line(started: Target) -> None:
    fuzz(started, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("started", TARGETS, indirect=True)
def test_damaged_input_is_refused_in_one_line_at_length(
    started: Target, request: pytest.FixtureRequest
) -> None:
    seed = int(os.environ.get("PERFSUITE_FUZZ_SEED") or secrets.randbelow(2**32))
    print(f"\nPERFSUITE_FUZZ_SEED={seed} for {request.node.name}, {LONG} inputs")
    fuzz(started, LONG, seed)
