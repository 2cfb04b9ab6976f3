"""The first day on a GPU: every check that needs one, in one go, into one folder.

`make gpu` runs it. Steps run one after another, each with a time limit, and one that fails does not
stop the next; the limits add up to 24 minutes. `--rehearse` runs the same
steps on a CPU with the pocket checkpoint and very little to do, so that the script itself is tried
where there is no GPU.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.expectations import check_run

TIERS = ("fp32", "tf32", "bf16", "sdpa", "compile", "fused-qkv", "int8")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its log.
        command: what is run.
        limit_s: seconds after which it is ended.
    """

    name: str
    command: tuple[str, ...]
    limit_s: float


@dataclass(frozen=True)
class Done:
    """What became of a step.

    Attributes:
        name: of the step.
        said: how it ended, for people.
        seconds: that it took.
    """

    name: str
    said: str
    seconds: float


def steps(out: Path, *, rehearse: bool) -> tuple[Step, ...]:
    """All commands, shortest first where the order is free."""
    python = (sys.executable, "-m")
    device, checkpoint = ("cpu", "pocket") if rehearse else ("cuda", "sdxl-random")
    tiers = ("fp32", "bf16") if rehearse else TIERS
    work = ("--perf-steps", "1") if rehearse else ("--perf-steps", "4", "--perf-size", "1024x1024")
    budget = "1" if rehearse else "15"
    measured = (
        *("--perf-device", device, "--perf-checkpoint", checkpoint, *work, "--perf-out", str(out)),
        *("--perf-missing", "record", "--no-perf-strict", "-p", "no:cacheprovider"),
    )
    gate = (
        *("gate", "--control", ".", "--treatment", ".", "--device", device),
        *("--checkpoint", checkpoint, *(each.replace("--perf-", "--") for each in work)),
        *("--tiers", "fp32" if rehearse else "bf16", "--budget", budget, "--out", str(out)),
    )
    plan = ("structure", "--checkpoint", checkpoint, "--tiers", ",".join(tiers), "--out", str(out))
    ladder = ("-m", "perf", "tests/perf", "--perf-only", "latency", "--perf-budget", budget)
    return (
        Step("versions", (*python, "torch.utils.collect_env"), 60),
        Step("cuda-tests", (*python, "pytest", "-m", "cuda", "tests", "--no-header"), 240),
        Step("plan", (*python, "perfsuite", *plan), 180),
        Step(
            "ladder",
            (*python, "pytest", *ladder, "--perf-tiers", ",".join(tiers), *measured),
            720,
        ),
        Step("gate", (*python, "perfsuite", *gate, "--markdown", str(out / "gate.md")), 240),
    )


def run(step: Step, out: Path) -> Done:
    """Run a step; its output is in `NAME.log`."""
    start = time.monotonic()
    with (out / f"{step.name}.log").open("wb") as log:
        try:
            done = subprocess.run(
                step.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=step.limit_s
            )
            said = f"exit code {done.returncode}"
        except subprocess.TimeoutExpired:
            said = f"ended after {step.limit_s:.0f} s"
    return Done(step.name, said, time.monotonic() - start)


def summary(done: list[Done], findings: list[str]) -> str:
    """The page that comes with the logs and records."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    rows = [f"| {each.name} | {each.said} | {each.seconds:.0f} s |" for each in done]
    return "\n".join(
        [
            f"# GPU day of {today}",
            "",
            "| step | ended with | took |",
            "| --- | --- | ---: |",
            *rows,
            "",
            "## Against expectations",
            "",
            *(f"- {each}" for each in findings),
            "",
        ]
    )


def main() -> None:
    """Run every step, then hold the ladder's record against what is expected of a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of results; it is made")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, with little to do")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    done: list[Done] = []
    for step in steps(out, rehearse=given.rehearse):
        print(f"{step.name} …", flush=True)
        done.append(run(step, out))
        print(f"{step.name}: {done[-1].said} after {done[-1].seconds:.0f} s", flush=True)
        (out / "summary.md").write_text(summary(done, check_run(out)))
    print((out / "summary.md").read_text())


if __name__ == "__main__":
    main()
