"""What every command ends with, which options its messages name, and whose defaults hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from perfsuite.ab import plan
from perfsuite.cli import commands
from perfsuite.cli import gate as cli_gate
from perfsuite.cli import record as cli_record
from perfsuite.cli.commands import main
from perfsuite.cli.common import check_markdown, in_own_words, publish
from perfsuite.errors import EnvironmentBroken, OutputError
from perfsuite.page.publish import SUMMARY_VARIABLE
from perfsuite.report import ladder
from perfsuite.report.table import Document, Heading
from perfsuite.settings import Settings

GATE = ("gate", "--control", ".", "--treatment", ".")


@pytest.fixture
def runner(libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def raising(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("arguments", [GATE, ("tiers",), ("record",)])
def test_a_crash_is_no_verdict(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    crash = raising(ZeroDivisionError("nobody has foreseen it"))
    monkeypatch.setattr(cli_gate, "_run", crash)
    monkeypatch.setattr(cli_record, "_asked_of_pytest", crash)
    monkeypatch.setattr(ladder, "ladder_document", crash)
    result = runner.invoke(main, arguments)
    assert result.exit_code == 4
    assert "ZeroDivisionError: nobody has foreseen it" in result.output
    assert result.output.strip().endswith("could not run: this is an error of perfsuite's own")


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (EOFError(), 4)]
)
def test_how_a_command_ends_is_never_read_as_a_verdict(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    monkeypatch.setattr(commands, "prepare", raising(error))
    assert runner.invoke(main, ["record-references"]).exit_code == code


def test_a_report_that_nobody_reads_changes_no_exit_code() -> None:
    """As in `perfsuite gate ... | head -1`."""
    script = (
        "import sys, time; from perfsuite.cli.common import show; time.sleep(0.3);"
        "from perfsuite.report.table import Document, Lines;"
        "show(Document((Lines(('a line',) * 100000),))); show(Document((Lines(('more',)),)));"
        "sys.exit(3)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.wait() == 3
    assert child.stderr.read() == b""
    child.stderr.close()


def printed(output: str, encoding: str) -> subprocess.CompletedProcess[bytes]:
    """A process with the verdict 3 prints its report there."""
    script = (
        "import sys; from perfsuite.cli.common import show;"
        "from perfsuite.report.table import Document, Lines;"
        "show(Document((Lines(('283 ms \\u00b12 %, caf\\udce9',)),))); sys.exit(3)"
    )
    with open(output, "wb") as file:
        return subprocess.run(
            [sys.executable, "-c", script],
            stdout=file,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONIOENCODING": encoding},
            check=False,
        )


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp437"])
def test_letters_that_a_terminal_lacks_change_no_exit_code(tmp_path: Path, encoding: str) -> None:
    """Also those of a folder's name that is no UTF-8."""
    done = printed(str(tmp_path / "out"), encoding)
    assert (done.returncode, done.stderr) == (3, b"")
    assert (tmp_path / "out").read_bytes().endswith(b"2 %, caf?\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_report_on_a_full_disk_changes_no_exit_code() -> None:
    done = printed("/dev/full", "utf-8")
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == [
        "warning: the report cannot be printed (No space left on device)"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("dialect", ["console", "markdown", "json"])
def test_a_list_that_could_not_be_written_is_no_success(tmp_path: Path, dialect: str) -> None:
    command = [sys.executable, "-m", "perfsuite", "tiers", "--format", dialect]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    assert done.stderr == "warning: the report cannot be printed (No space left on device)\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set --perf-out elsewhere", "set --out elsewhere"),
        ("begin --perf-tiers with fp32", "begin --tiers with fp32"),
        ("(--perf-out, --perf-baselines)", "(--out, --baselines)"),
        ("--perf-budget cannot be '0'", "--budget cannot be '0'"),
        ("record anew with --perf-update", "record anew with perfsuite record"),
        ("pass --perf-missing record", "pass --perf-missing record"),
        (
            "record-references --prompt 'a --perf-out cat', or --perf-tiers fp32",
            "record-references --prompt 'a --perf-out cat', or --tiers fp32",
        ),
        (
            "perfsuite's own: perfsuite record --runs 5 --perf-size 64x64 --perf-tiers fp32, or "
            "pass another --perf-budget",
            "perfsuite's own: perfsuite record --runs 5 --perf-size 64x64 --perf-tiers fp32, or "
            "pass another --budget",
        ),
    ],
)
def test_messages_name_the_commands_own_options(text: str, expected: str) -> None:
    assert in_own_words(text, main.commands["gate"]) == expected


def test_an_option_that_is_the_commands_argument_is_named_as_it(runner: CliRunner) -> None:
    result = runner.invoke(main, ["record-references", "./no/such"])
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "unknown checkpoint './no/such': CHECKPOINT takes pocket, " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "file"), "pass another folder (--out, --baselines)"),
        (("--budget", "much"), "--budget cannot be 'much'"),
        (
            ("--markdown", "file/x.md"),
            "file/x.md cannot be written (file is a file): name another",
        ),
        (("--markdown", "."), "is a directory"),
    ],
)
def test_what_cannot_be_written_is_wrong_usage_before_anything_starts(
    runner: CliRunner, arguments: tuple[str, ...], said: str
) -> None:
    Path("file").touch()
    result = runner.invoke(main, [*GATE, "--tiers", "fp32", *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_what_cannot_be_published_is_a_warning_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SUMMARY_VARIABLE, str(tmp_path / "nowhere" / "s"))
    (tmp_path / "file").touch()
    publish(Document((Heading("text"),)), tmp_path / "file" / "x.md")
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert warnings[0].startswith("warning: cannot write ")
    assert warnings[1].endswith("nowhere/s cannot be written (No such file or directory)")


def test_a_name_that_is_no_utf8_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SUMMARY_VARIABLE, str(tmp_path / "s"))
    publish(Document((Heading("caf\udce9"),)), tmp_path / "x.md")
    assert "caf?" in (tmp_path / "x.md").read_text(encoding="utf-8")
    assert "caf?" in (tmp_path / "s").read_text(encoding="utf-8")
    assert capsys.readouterr().err == ""


def test_a_file_that_can_be_written_is_not_made_by_the_check(tmp_path: Path) -> None:
    check_markdown(tmp_path / "new" / "x.md")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="name another file with --markdown"):
        check_markdown(tmp_path / "file" / "x.md")


@pytest.mark.parametrize(
    ("table", "arguments", "expected"),
    [
        ("", (), ("pocket", 40.0, "auto")),
        ('budget = 7\ndevice = "cpu"', (), ("pocket", 7.0, "cpu")),
        ("budget = 7", ("--budget", "9"), ("pocket", 9.0, "auto")),
        ('checkpoint = "quick"', (), ("quick", 40.0, "auto")),
        ('checkpoint = "quick"', ("--checkpoint", "pocket"), ("pocket", 40.0, "auto")),
    ],
)
def test_the_projects_table_holds_where_no_option_is_given(
    runner: CliRunner,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    arguments: tuple[str, ...],
    expected: tuple[str, float, str],
) -> None:
    seen: list[Settings] = []

    def noted(settings: Settings, *_: object) -> None:
        seen.append(settings)
        raise EnvironmentBroken("enough", hint="")

    monkeypatch.setattr(plan, "prepare_gate", noted)
    Path("pyproject.toml").write_text(f"[tool.perfsuite]\n{table}\n")
    result = runner.invoke(main, [*GATE, *arguments])
    assert result.exit_code == 4, result.output
    (settings,) = seen
    assert (settings.checkpoint or "pocket", settings.budget_s, settings.device) == expected


def test_a_commands_checkpoint_stands_in_the_table_too(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pyproject.toml").write_text('[tool.perfsuite]\ncheckpoint = "nowhere"\n')
    for command in ("record-references", "calibrate-quality"):
        result = runner.invoke(main, [command])
        assert result.exit_code == 2
        assert "unknown checkpoint 'nowhere'" in result.output


def test_help_shows_what_holds_where_nothing_is_said(runner: CliRunner) -> None:
    said = " ".join(runner.invoke(main, ["gate", "--help"]).output.split())
    for default in ("(pocket)", "(40)", "(auto)", "(baselines)"):
        assert f"[default: {default}]" in said
