"""What Linux's control groups leave a process of its CPUs: a container's quota, and its effect.

A group that has used up its quota stands still until the next period begins (100 ms as a rule),
whatever its cores are doing: a sample that runs into it is longer by a pause that no code explains.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CpuGroups:
    """The control groups that a process belongs to, itself innermost first; version 1 or 2.

    Attributes:
        folders: of the groups that the system shows, up to the root.
    """

    folders: tuple[Path, ...]

    @property
    def quota(self) -> float | None:
        """Cores that may be used on average, the smallest quota of all; None without one."""
        found = [quota for folder in self.folders if (quota := _quota(folder)) is not None]
        return min(found, default=None)

    @property
    def throttled_s(self) -> float | None:
        """Seconds that the groups have stood still so far, added up over cores; None if unknown.

        Groups inside one another stand still together: the largest figure stands for all.
        """
        found = [
            seconds for folder in self.folders if (seconds := _throttled_s(folder)) is not None
        ]
        return max(found, default=None)


def cpu_groups(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> CpuGroups:
    """The CPU control groups of this process; none where the system has none.

    Args:
        membership: the kernel's list of the process's groups.
        mount: where the hierarchies are mounted.
    """
    lines = _text(membership).splitlines()
    folders = [folder for line in lines for folder in _folders_of(line, mount)]
    return CpuGroups(tuple(dict.fromkeys(folders)))


def _folders_of(line: str, mount: Path) -> Iterator[Path]:
    """Folders of the groups of one line, `0::/path` (version 2) or `4:cpu,cpuacct:/path` (1).

    A container often sees its own group as the root, under a path that only the host knows: the
    parts of the path that are not there are left out.
    """
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if number == "0" and not controllers:
        roots = [mount, mount / "unified"]
    elif "cpu" in controllers.split(","):
        roots = [mount / controllers, mount / "cpu"]
    else:
        return
    steps = [part for part in path.split("/") if part not in ("", ".", "..")]
    for root in roots:
        for length in range(len(steps), -1, -1):
            folder = root.joinpath(*steps[:length])
            if folder.is_dir():
                yield folder


def _quota(folder: Path) -> float | None:
    limit, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not limit:
        limit = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    with contextlib.suppress(ValueError, ZeroDivisionError):  # 'max' and '' are no numbers
        cores = int(limit) / int(period)
        return cores if cores > 0 else None  # -1: no quota
    return None


def _throttled_s(folder: Path) -> float | None:
    for line in _text(folder / "cpu.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("throttled_usec", "throttled_time") and value.isdigit():
            return int(value) / (1e6 if name == "throttled_usec" else 1e9)
    return None


def _text(path: Path) -> str:
    """The content of a file of the kernel; empty if there is none, or it may not be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
