"""How a person chooses workloads, and where what is recorded of them lies."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.errors import SettingsError
from perfsuite.settings import resolve_settings
from perfsuite.workload import DEFAULT_WORKLOAD, Asked, Overrides, Workload, Workloads, labelled
from perfsuite.workload_options import choose_workloads, parse_size
from tests.unit.samples import workload

OWN = Workloads(workload(("timed",), (0,)), workload(("one", "two"), (0, 1), steps=30))
NOTHING: dict[str, Any] = dict.fromkeys(
    ("workload", "steps", "guidance", "size", "batch", "prompt")
)


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def chosen(folder: Path, **given_options: str) -> tuple[Overrides, ...]:
    return resolve_settings(given_options, folder).workloads


def refusal(folder: Path, **given_options: str) -> str:
    with pytest.raises(SettingsError) as caught:
        chosen(folder, **given_options)
    message = str(caught.value)
    assert "\n" not in message
    return message


LARGE = '[tool.perfsuite.workloads.large]\nsize = "128x64"\nsteps = 20\n'


def test_nobody_asks_and_the_checkpoints_own_workloads_are_left(tmp_path: Path) -> None:
    (asked,) = chosen(tmp_path)
    work = OWN.changed(asked)
    assert (work.latency, work.quality) == (OWN.latency, OWN.quality)
    assert (work.name, work.latency_label, work.quality_label) == (DEFAULT_WORKLOAD, None, None)


def test_options_change_what_is_timed_and_scored(tmp_path: Path) -> None:
    (asked,) = chosen(tmp_path, steps="4", guidance="1", size="1024x768", batch="2", prompt="a fox")
    work = OWN.changed(asked)
    assert work.latency == Workload(("a fox",), (0,), 4, 1.0, 768, 1024, 2)
    assert work.quality == Workload(("one", "two"), (0, 1), 4, 1.0, 768, 1024, 1)
    assert (work.latency_label, work.quality_label) == (work.latency.digest, work.quality.digest)


def test_the_command_for_it_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    (asked,) = chosen(tmp_path, steps="4", prompt="it's a fox; rm")
    assert shlex.split(Asked(None, asked.options).command("record-references"))[2:] == [
        "--prompt",
        "it's a fox; rm",
        "--steps",
        "4",
    ]


def test_a_prompt_alone_leaves_the_references_as_they_are(tmp_path: Path) -> None:
    work = OWN.changed(chosen(tmp_path, prompt="a fox")[0])
    assert work.quality_label is None
    assert work.latency_label == work.latency.digest


def test_an_option_that_says_what_holds_anyway_finds_the_checkpoints_own_files(
    tmp_path: Path,
) -> None:
    work = OWN.changed(chosen(tmp_path, steps="10")[0])
    assert work.latency_label is None


def test_a_named_workload_has_files_of_its_name(tmp_path: Path) -> None:
    (asked,) = chosen(project(tmp_path, LARGE), workload="large")
    work = OWN.changed(asked)
    assert (work.latency.width, work.latency.height, work.latency.steps) == (128, 64, 20)
    assert work.name == work.latency_label == work.quality_label == "large"
    assert work.options == (("workload", "large"),)
    assert labelled("pocket", work.latency_label) == "pocket--large"


def test_options_on_top_of_a_table_are_no_longer_that_table(tmp_path: Path) -> None:
    (asked,) = chosen(project(tmp_path, LARGE), workload="large", steps="7")
    work = OWN.changed(asked)
    assert (work.name, work.latency.steps, work.latency.width) == ("large", 7, 128)
    assert work.latency_label == work.latency.digest
    assert work.options == (("workload", "large"), ("steps", "7"))


def test_several_prompts_and_seeds_are_those_of_the_scored_images_too(tmp_path: Path) -> None:
    table = '[tool.perfsuite.workloads.own]\nprompts = ["a", "b"]\nseeds = [7, 8]\n'
    (asked,) = chosen(project(tmp_path, table), workload="own")
    work = OWN.changed(asked)
    assert (work.latency.prompts, work.latency.seeds) == (("a",), (7,))
    assert (work.quality.prompts, work.quality.seeds) == (("a", "b"), (7, 8))


def test_a_matrix_names_each_workload_once_in_its_order(tmp_path: Path) -> None:
    asked = chosen(project(tmp_path, LARGE), workload="large, default,large")
    assert [each.name for each in asked] == ["large", None]


def test_pyproject_can_choose_too_and_the_command_line_wins(tmp_path: Path) -> None:
    root = project(tmp_path, f'[tool.perfsuite]\nworkload = ["large"]\nsteps = 9\n{LARGE}')
    assert (chosen(root)[0].name, chosen(root)[0].steps) == ("large", 9)
    assert chosen(root, workload="default", steps="3") == (
        Overrides(None, (("steps", "3"),), steps=3),
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("size = [64, 64]", "size cannot be [64, 64]: it takes WIDTHxHEIGHT"),
        ('size = "60x64"', "size cannot be '60x64': it takes WIDTHxHEIGHT"),
        ("steps = 2.5", "steps cannot be 2.5: it takes a whole number"),
        ("steps = true", "steps cannot be True: it takes a whole number"),
        ("guidance = inf", "guidance cannot be inf: it takes a number from 0 to 100"),
        ("guidance = false", "guidance cannot be False: it takes a number from 0 to 100"),
        ("batch = 0", "batch cannot be 0: it takes a whole number"),
        ('prompt = ["a"]', "prompt cannot be ['a']: it takes a text"),
        ("prompts = []", "prompts cannot be []: it takes a list of texts"),
        ('prompts = ["a", "a"]', "it takes different texts"),
        ('prompts = ["a", 2]', "it takes a list of texts"),
        ('prompt = "a"\nprompts = ["b"]', "has prompt and prompts: leave one of them out"),
        ("seeds = 3", "seeds cannot be 3: it takes a list of whole numbers from 0"),
        ("seeds = [-1]", "seeds cannot be [-1]: it takes a list of whole numbers from 0"),
        ("seeds = [true]", "it takes a list of whole numbers from 0"),
        ("stepz = 4", "has no key 'stepz': it has prompt, steps, guidance"),
        ("", "changes nothing: it takes prompt, steps, guidance"),
        ("[tool.perfsuite.workloads.x.steps]\na = 1", "steps cannot be {'a': 1}"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_key(
    table: str, said: str, tmp_path: Path
) -> None:
    message = refusal(project(tmp_path, f"[tool.perfsuite.workloads.x]\n{table}\n"))
    assert message.startswith("[tool.perfsuite.workloads.x] in pyproject.toml")
    assert said in message


@pytest.mark.parametrize(
    "text",
    [
        "[tool.perfsuite]\nworkloads = 3\n",
        "[tool.perfsuite.workloads]\nx = 3\n",
        '[tool.perfsuite.workloads."a/b"]\nsteps = 3\n',
        '[tool.perfsuite.workloads."a,b"]\nsteps = 3\n',
        "[tool.perfsuite.workloads.default]\nsteps = 3\n",
        "[[tool.perfsuite.workloads]]\nsteps = 3\n",
    ],
)
def test_tables_of_the_wrong_shape_or_name_are_one_line(text: str, tmp_path: Path) -> None:
    assert "[tool.perfsuite.workloads] in pyproject.toml" in refusal(project(tmp_path, text))


def test_an_unknown_workload_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    message = refusal(project(tmp_path, LARGE), workload="huge")
    assert "unknown workload 'huge': --perf-workload takes default,large" in message


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10000), st.integers(0, 10000), st.sampled_from("xX*, "))
def test_a_size_is_read_as_it_is_written_or_refused(
    width: int, height: int, separator: str
) -> None:
    fits = all(16 <= side <= 9999 and side % 8 == 0 for side in (width, height))
    text = f"{width}{separator}{height}"
    if fits and separator in "xX":
        assert parse_size(text) == (width, height)
    else:
        with pytest.raises(ValueError, match="takes WIDTHxHEIGHT"):
            parse_size(text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
        max_leaves=6,
    ),
    st.sampled_from(["prompt", "prompts", "seeds", "steps", "guidance", "size", "batch"]),
)
def test_a_table_of_anything_becomes_a_workload_or_one_line(value: Any, key: str) -> None:
    said = ""
    try:
        (asked,) = choose_workloads(NOTHING | {"workload": ("x",)}, {"x": {key: value}})
        work = OWN.changed(asked)
        assert (work.latency_label == "x") == (work.latency != OWN.latency)
    except SettingsError as error:
        said = str(error)
    assert "\n" not in said


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=5),
        st.dictionaries(st.text(max_size=5), st.none()),
    )
)
def test_workloads_of_anything_are_tables_or_one_line(tables: Any) -> None:
    said = ""
    try:
        choose_workloads(NOTHING, tables)
    except SettingsError as error:
        said = str(error)
    assert "\n" not in said
