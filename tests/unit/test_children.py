"""Commands that end with the process that has started them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from perfsuite.children import run_child

PARENT = """
import sys
from perfsuite.children import run_child
run_child([sys.executable, "-c",
    "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()} '); time.sleep(60)",
    sys.argv[1]])
"""


def test_a_child_is_run_as_subprocess_would() -> None:
    done = run_child([sys.executable, "-c", "print(1)"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    with pytest.raises(subprocess.CalledProcessError):
        run_child([sys.executable, "-c", "raise SystemExit(3)"], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(told)])
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text().endswith(" ")) and time.monotonic() < deadline:
        time.sleep(0.02)
    child = psutil.Process(int(told.read_text()))
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs([child], timeout=20)
    assert not left
