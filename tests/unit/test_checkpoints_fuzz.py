"""Mutated configs and weights: a checkpoint passes its check or is refused in one line.

`PERFSUITE_FUZZ_EXAMPLES=2000` makes the long run; the short one always makes the same examples.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from perfsuite.checkpoints import find_checkpoint
from perfsuite.checkpoints.folder import FolderSource
from perfsuite.checkpoints.layout import read_layout
from perfsuite.errors import CheckpointError

LONG = os.environ.get("PERFSUITE_FUZZ_EXAMPLES")
POCKET = Path(find_checkpoint.__code__.co_filename).parent / "pocket"
CONFIGS = sorted(
    str(path.relative_to(POCKET)) for path in POCKET.rglob("*.json") if path.stat().st_size < 4096
)
WEIGHTS = "text_encoder/model.fp16.safetensors"
INDEX = "text_encoder/model.safetensors.index.json"

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3)
)


@st.composite
def mutated_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes replaced, put in or cut off, mostly in the first kilobytes."""
    start = draw(st.integers(0, min(len(content), 4096)) | st.integers(0, len(content)))
    length = draw(st.integers(0, 16) | st.just(len(content)))
    return content[:start] + draw(st.binary(max_size=16)) + content[start + length :]


@st.composite
def mutated_json(draw: st.DrawFn, content: bytes) -> bytes:
    """One key lost, of another type, or new."""
    config: dict[str, Any] = json.loads(content)
    key = draw(st.sampled_from(sorted(config)) | st.text())
    if draw(st.booleans()):
        config.pop(key, None)
    else:
        config[key] = draw(values)
    return json.dumps(draw(st.just(config) | values)).encode()


@st.composite
def mutated_header(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors header whose JSON is sound and whose entries are not."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    name = draw(st.sampled_from(sorted(header)))
    entry = dict(header[name])
    entry[draw(st.sampled_from(sorted(entry)))] = draw(values)
    header[draw(st.just(name) | st.text())] = entry
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + size :]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """The name of a file and its new content."""
    name = draw(st.sampled_from([*CONFIGS, WEIGHTS, WEIGHTS, INDEX]))
    if name == INDEX:
        shards = st.sampled_from(["model.fp16.safetensors", "gone.safetensors"]) | values
        index = {"weight_map": draw(st.dictionaries(st.text(), shards, max_size=3) | values)}
        return name, json.dumps(index).encode()
    content = (POCKET / name).read_bytes()
    kinds = [mutated_bytes, mutated_header if name == WEIGHTS else mutated_json]
    return name, draw(draw(st.sampled_from(kinds))(content))


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Pocket, file by file as links, so that one can be replaced at the cost of one."""
    for path in POCKET.rglob("*"):
        if path.is_file():
            link = tmp_path / "mine" / path.relative_to(POCKET)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return tmp_path / "mine"


def refusal(folder: Path) -> str | None:
    try:
        layout = read_layout(folder)
        layout.check()
        layout.native_size()
        layout.configuration()
        if LONG:  # builds the model of every config, which takes half a second
            FolderSource(folder).check()
    except CheckpointError as error:
        return str(error)
    return None


@settings(
    max_examples=int(LONG or 100),
    derandomize=LONG is None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutation=mutations())
def test_a_mutated_checkpoint_passes_or_is_refused_in_one_line(
    linked: Path, mutation: tuple[str, bytes]
) -> None:
    name, content = mutation
    path = linked / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    hidden = linked / WEIGHTS if name == INDEX else None
    if hidden:  # the index counts where there is no single file
        hidden.rename(hidden.with_name("shard.safetensors"))
    try:
        message = refusal(linked)
        event("passes" if message is None else "refused")
        assert message is None or message.splitlines() == [message]
    finally:
        if hidden:
            hidden.with_name("shard.safetensors").rename(hidden)
        path.unlink()
        if name != INDEX:
            path.symlink_to(POCKET / name)
