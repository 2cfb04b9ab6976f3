"""Plays the jobs of a GitHub workflow on this machine, step by step, as a self-hosted runner does.

What is played is the file itself: its `run` blocks, its `env`, its conditions. Of actions it knows
the two that such jobs use, checkout and upload-artifact. What it does not know is an error, so that
a workflow cannot outgrow its rehearsal in silence.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{(.+?)\}\}")
_TOKENS = re.compile(r"\s*(\|\||&&|==|!=|!|\(|\)|'[^']*'|[A-Za-z_][\w.-]*)")
_OPERATORS = {"||": "or", "&&": "and", "==": "==", "!=": "!=", "!": "not", "(": "(", ")": ")"}


def load_workflow(path: Path) -> dict[str, Any]:
    """A workflow file; YAML's `on` is a truth value, as every reader of these files knows."""
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


@dataclass(frozen=True)
class Played:
    """What came of a job.

    Attributes:
        steps: `success`, `failure` or `skipped` by the step's name.
        output: what all steps printed.
        summary: Markdown of the job's summary.
        artifacts: by name, the files that were uploaded.
    """

    steps: dict[str, str]
    output: str
    summary: str
    artifacts: dict[str, frozenset[str]]

    @property
    def is_green(self) -> bool:
        """Whether no step failed."""
        return "failure" not in self.steps.values()


@dataclass
class SelfHosted:
    """A runner: folders that outlive a job, and one that does not.

    Attributes:
        home: of the runner; its tool cache and its workspace lie there.
        origin: the repository that is checked out.
        variables: of the repository (`vars`).
        environment: what a job inherits.
    """

    home: Path
    origin: Path
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """The checkout."""
        return self.home / "_work" / "repository"

    @property
    def tool_cache(self) -> Path:
        """Kept between jobs."""
        return self.home / "_work" / "_tool"

    def play(
        self, job: Mapping[str, Any], matrix: Mapping[str, str], inputs: Mapping[str, str]
    ) -> Played:
        """Play a job once."""
        temp = self.home / "_work" / "_temp"
        shutil.rmtree(temp, ignore_errors=True)
        for folder in (temp, self.tool_cache):
            folder.mkdir(parents=True, exist_ok=True)
        return _Job(self, temp, dict(matrix), dict(inputs)).play(job)


@dataclass
class _Job:
    runner: SelfHosted
    temp: Path
    matrix: dict[str, str]
    inputs: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, frozenset[str]] = field(default_factory=dict)
    said: str = ""

    def play(self, job: Mapping[str, Any]) -> Played:
        self.env = {name: self._filled(value) for name, value in job.get("env", {}).items()}
        for step in job["steps"]:
            name = step.get("name") or step.get("uses") or step["run"].splitlines()[0]
            if not self._is_wanted(step):
                self.steps[name] = "skipped"
                continue
            done = self._use(step) if "uses" in step else self._run(step)
            self.steps[name] = "success" if done else "failure"
            if "id" in step:
                self.outcomes[step["id"]] = self.steps[name]
        summary = self.temp / "summary"
        text = summary.read_text() if summary.exists() else ""
        return Played(self.steps, self.said, text, self.artifacts)

    def _is_wanted(self, step: Mapping[str, Any]) -> bool:
        condition = str(step.get("if", "success()"))
        inner = _EXPRESSION.fullmatch(condition.strip())
        wanted = self._value(inner[1] if inner else condition)
        speaks_of_failure = re.search(r"\b(always|failure|cancelled)\(\)", condition)
        return bool(wanted) and (bool(speaks_of_failure) or not self._has_failed())

    def _has_failed(self) -> bool:
        return "failure" in self.steps.values()

    def _use(self, step: Mapping[str, Any]) -> bool:
        action = step["uses"].partition("@")[0]
        if action == "actions/checkout":
            self._check_out()
        elif action == "actions/upload-artifact":
            self._upload(step["with"])
        else:
            raise AssertionError(f"the rehearsal does not know {action}")
        return True

    def _check_out(self) -> None:
        """Clone, or fetch and clean as actions/checkout does."""
        place = self.runner.workspace
        if not place.is_dir():
            _git(self.runner.origin, "clone", "-q", str(self.runner.origin), str(place))
            return
        _git(place, "clean", "-ffdx", "-q")
        _git(place, "fetch", "-q", "origin")
        _git(place, "reset", "-q", "--hard", "origin/HEAD")

    def _upload(self, options: Mapping[str, Any]) -> None:
        found = set()
        for line in self._filled(options["path"]).splitlines():
            folder = self.runner.workspace / line.strip()
            found |= {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
        self.artifacts[self._filled(options["name"])] = frozenset(found)

    def _run(self, step: Mapping[str, Any]) -> bool:
        command_files = {each: self.temp / each.lower() for each in ("GITHUB_ENV", "GITHUB_OUTPUT")}
        for path in command_files.values():
            path.write_text("")
        script = self.temp / "step.sh"
        script.write_text(self._filled(step["run"]))
        environment = {
            **self.runner.environment,
            **self.env,
            **{name: self._filled(value) for name, value in step.get("env", {}).items()},
            "CI": "true",
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TOOL_CACHE": str(self.runner.tool_cache),
            **{name: str(path) for name, path in command_files.items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", str(script)],
            cwd=self.runner.workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said += done.stdout
        self.env |= _assignments(command_files["GITHUB_ENV"])
        if "id" in step:
            self.outputs[step["id"]] = _assignments(command_files["GITHUB_OUTPUT"])
        return done.returncode == 0

    def _filled(self, value: object) -> str:
        return _EXPRESSION.sub(lambda found: str(self._value(found[1]) or ""), str(value))

    def _value(self, expression: str) -> object:
        """The value of an expression, by translating it to Python's."""
        python, place = [], 0
        while place < len(expression.rstrip()):
            token = _TOKENS.match(expression, place)
            assert token, f"the rehearsal does not know {expression!r}"
            python.append(self._translated(token[1]))
            place = token.end()
        functions = {
            "always": lambda: True,
            "success": lambda: not self._has_failed(),
            "failure": self._has_failed,
            "cancelled": lambda: False,
            "look_up": self._look_up,
        }
        return eval(" ".join(python), {"__builtins__": {}}, functions)

    @staticmethod
    def _translated(token: str) -> str:
        if token in _OPERATORS:
            return _OPERATORS[token]
        if token.startswith("'") or token in ("always", "success", "failure", "cancelled"):
            return token
        return f"look_up({token!r})"

    def _look_up(self, name: str) -> str:
        known = {
            "matrix": self.matrix,
            "inputs": self.inputs,
            "vars": self.runner.variables,
            "env": self.env,
            "runner": {"temp": str(self.temp)},
        }
        where, _, rest = name.partition(".")
        if where == "steps":
            step, _, what = rest.partition(".")
            if what == "outcome":
                return self.outcomes.get(step, "")
            return self.outputs.get(step, {}).get(what.removeprefix("outputs."), "")
        assert where in known, f"the rehearsal does not know {name}"
        return known[where].get(rest, "")


def _assignments(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, equals, value in lines if equals}


def _git(folder: Path, *words: str) -> None:
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *words], cwd=folder, env=os.environ | quiet, check=True)
