from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perfsuite.environments.spec import Interpreter, Requirements, name_of, parse_spec
from perfsuite.errors import SettingsError


def environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return folder


def test_a_dot_is_this_environment() -> None:
    assert parse_spec(".") == Interpreter(Path(sys.executable))


def test_a_folder_is_a_virtual_environment_and_its_link_is_not_followed(tmp_path: Path) -> None:
    folder = environment(tmp_path / "venv")
    assert parse_spec(str(folder)) == Interpreter(folder / "bin" / "python")


def test_a_file_is_an_interpreter(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv") / "bin" / "python"
    assert parse_spec(str(python)) == Interpreter(python)


def test_a_name_may_have_spaces_if_it_is_quoted(tmp_path: Path) -> None:
    folder = environment(tmp_path / "my venv")
    assert parse_spec(f"'{folder}'") == Interpreter(folder / "bin" / "python")


def test_requirements_may_be_several_and_have_options(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.touch()
    text = (
        f"torch==2.14.1 'diffusers>=0.42' --pre --index-url=https://x/y --constraints {constraints}"
    )
    assert parse_spec(text) == Requirements(
        ("torch==2.14.1", "diffusers>=0.42"),
        ("--pre", "--index-url", "https://x/y", "--constraint", str(constraints)),
    )


def test_a_wheel_is_a_requirement(tmp_path: Path) -> None:
    wheel = tmp_path / "torch-2.14.1-py3-none-any.whl"
    wheel.touch()
    assert parse_spec(str(wheel)) == Requirements((str(wheel),))


def project(folder: Path, about: str = '[project]\nname = "Tiny_Thing"\n') -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(about)
    return folder


def test_a_projects_folder_is_a_requirement_alone_or_beside_others(tmp_path: Path) -> None:
    folder = project(tmp_path / "tiny")
    assert parse_spec(str(folder)) == Requirements((str(folder),))
    assert parse_spec(f"torch==2.14.1 {folder}") == Requirements(("torch==2.14.1", str(folder)))
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").touch()
    assert parse_spec(str(folder)) == Interpreter(folder / "bin" / "python")


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("git+https://x.org/tiny", "git+https://x.org/tiny"),
        ("git+https://x.org/tiny@v1#egg=tiny", "git+https://x.org/tiny@v1#egg=tiny"),
        ("tiny @ git+https://x.org/tiny@v1", "tiny @ git+https://x.org/tiny@v1"),
        ("'tiny @ git+https://x.org/tiny'", "tiny @ git+https://x.org/tiny"),
        ("tiny@git+https://x.org/tiny", "tiny@git+https://x.org/tiny"),
        (
            "tiny[fast] @ https://x.org/t-1-py3-none-any.whl",
            "tiny[fast] @ https://x.org/t-1-py3-none-any.whl",
        ),
        ("https://x.org/tiny-1-py3-none-any.whl", "https://x.org/tiny-1-py3-none-any.whl"),
    ],
)
def test_a_url_is_a_requirement_with_a_name_or_without(text: str, package: str) -> None:
    assert parse_spec(f"{text} --pre six") == Requirements((package, "six"), ("--pre",))


def test_files_may_be_named_by_url(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    wheel.touch()
    named = f"tiny @ {wheel.as_uri()}"
    assert parse_spec(named) == Requirements((named,))
    with pytest.raises(SettingsError, match="does not exist"):
        parse_spec(f"tiny @ {(tmp_path / 'none.whl').as_uri()}")


def test_a_requirement_tells_its_name_where_it_can(tmp_path: Path) -> None:
    nameless = project(tmp_path / "dynamic", "[build-system]\n")
    for package, name in (
        ("Tiny_Thing>=1", "tiny-thing"),
        ("tiny @ git+https://x.org/other", "tiny"),
        ("tiny @ https://x.org/other-1-py3-none-any.whl", "tiny"),
        ("git+https://x.org/other#egg=tiny", "tiny"),
        ("https://x.org/Tiny-1-py3-none-any.whl", "tiny"),
        (str(project(tmp_path / "named")), "tiny-thing"),
        ("git+https://x.org/tiny", None),
        (str(nameless), None),
    ):
        assert name_of(package) == name, package


def test_a_wheel_of_another_name_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "torch.whl"
    wheel.touch()
    with pytest.raises(SettingsError, match=r"is no wheel .*keep the name of its file"):
        parse_spec(str(wheel))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "an environment has no name"),
        ("./nowhere", "./nowhere does not exist"),
        ("/nowhere/bin/python", "/nowhere/bin/python does not exist"),
        ("~/nowhere", "~/nowhere does not exist"),
        ("nowhere.whl", "nowhere.whl does not exist"),
        ("torch=2.14", "'torch=2.14' is no requirement"),
        ("torch --force", "--force is no option here: options are --pre, "),
        ("--pre", "options alone make no environment"),
        ("torch --index-url", "--index-url has no value"),
        ("torch --constraints nowhere.txt", "--constraints nowhere.txt does not exist"),
        ("'torch", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_spec(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no virtual environment: it has no bin/python"):
        parse_spec(str(tmp_path))


def test_a_file_that_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "python"
    file.touch()
    with pytest.raises(SettingsError, match="cannot be executed"):
        parse_spec(str(file))


@pytest.mark.parametrize("end", ["tgz", "tar.gz", "tar.bz2", "tar.xz", "zip", "TGZ"])
def test_an_archive_is_a_requirement_and_no_program(tmp_path: Path, end: str) -> None:
    archive = tmp_path / f"tiny-1.0.{end}"
    archive.touch(0o755)
    assert parse_spec(str(archive)) == Requirements((str(archive),))
