"""A container's CPU quota, read from trees of control groups as the kernel lays them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfsuite import environment
from perfsuite.cgroup import CpuGroups, cpu_groups
from perfsuite.device import usable_cores
from perfsuite.environment import describe_hardware
from perfsuite.judge.validity import invalid_reason
from perfsuite.measure.conditions import CpuWatch
from perfsuite.report.messages import say
from perfsuite.results.condition_reasons import QuotaThrottled
from perfsuite.results.machine import Conditions
from tests.unit.fake_device import FakeDevice
from tests.unit.samples import hardware


class Tree:
    """A mount of control groups, and the kernel's list of a process's groups."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.mount = folder / "cgroup"
        self.mount.mkdir()
        self.membership = folder / "membership"
        self.membership.write_text("".join(f"{line}\n" for line in lines))

    def group(self, path: str, **files: str) -> None:
        """A group with files whose dots are written as two underscores."""
        folder = self.mount / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(content + "\n")

    def read(self) -> CpuGroups:
        return cpu_groups(self.membership, self.mount)


def stat_v2(throttled_usec: int) -> str:
    return f"usage_usec 9\nnr_periods 7\nnr_throttled 3\nthrottled_usec {throttled_usec}"


def test_the_smallest_quota_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/pods/pod7/main")
    tree.group("pods", cpu__max="400000 100000")
    tree.group("pods/pod7", cpu__max="50000 100000", cpu__stat=stat_v2(1_500_000))
    tree.group("pods/pod7/main", cpu__max="max 100000", cpu__stat=stat_v2(0))
    assert tree.read().quota == 0.5
    assert tree.read().throttled_s == 1.5


def test_a_container_that_sees_its_own_group_as_the_root_is_read_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/host/only/knows/this")
    tree.group("", cpu__max="150000 50000", cpu__stat=stat_v2(20))
    assert tree.read().quota == 3.0
    assert tree.read().throttled_s == pytest.approx(2e-5)
    tree.membership.write_text("0::/\n")
    assert tree.read().quota == 3.0


@pytest.mark.parametrize(
    ("controllers", "folder"),
    [
        ("cpu,cpuacct", "cpu,cpuacct"),
        ("cpu,cpuacct", "cpu"),
        ("cpu", "cpu"),
        ("cpuacct,cpu", "cpu"),
    ],
)
def test_version_1_has_a_hierarchy_of_its_own_for_cpus(
    controllers: str, folder: str, tmp_path: Path
) -> None:
    tree = Tree(tmp_path, "5:cpuset:/", f"4:{controllers}:/docker/abc", "2:cpuacct:/", "0::/")
    tree.group(f"{folder}/docker", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    tree.group(
        f"{folder}/docker/abc",
        cpu__cfs_quota_us="25000",
        cpu__cfs_period_us="100000",
        cpu__stat="nr_periods 5\nnr_throttled 2\nthrottled_time 2500000000",
    )
    tree.group("cpuset", cpu__max="1000 100000")  # of another hierarchy
    assert tree.read().quota == 0.25
    assert tree.read().throttled_s == 2.5


def test_without_a_quota_there_is_none(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "4:cpu:/a", "0::/a")
    tree.group("cpu/a", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    tree.group("a", cpu__max="max 100000", cpu__stat="usage_usec 5")
    assert tree.read().quota is None
    assert tree.read().throttled_s is None


@pytest.mark.parametrize("content", ["", "max", "x 100000", "50000", "50000 0", "-5 100000", "\0"])
def test_what_the_kernel_never_writes_is_no_quota(content: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/../../etc", "nonsense", "")
    tree.group("", cpu__max=content, cpu__stat="throttled_usec many")
    assert tree.read() == CpuGroups((tree.mount,))
    assert (tree.read().quota, tree.read().throttled_s) == (None, None)


def test_a_system_without_control_groups_has_none(tmp_path: Path) -> None:
    assert cpu_groups(tmp_path / "none", tmp_path) == CpuGroups(())
    assert CpuGroups(()).quota is None
    assert CpuGroups(()).throttled_s is None


def test_this_machines_groups_can_be_read() -> None:
    groups = cpu_groups()
    assert groups.quota is None or groups.quota > 0
    assert groups.throttled_s is None or groups.throttled_s >= 0


def test_a_watch_sees_by_how_long_the_quota_held_it_back(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/")
    tree.group("", cpu__max="50000 100000", cpu__stat=stat_v2(7_000_000))
    watch = CpuWatch(tree.read())
    watch.start()
    tree.group("", cpu__stat=stat_v2(7_400_000))
    seen = watch.finish()
    assert seen.cpu_quota == 0.5
    assert seen.throttled_s == pytest.approx(0.4)
    assert seen.watched_s is not None
    assert invalid_reason(seen, cores=2, threads=1) is not None


def test_a_run_that_its_quota_held_back_is_invalid_and_says_so() -> None:
    held = Conditions(cpu_quota=0.5, throttled_s=3.0, watched_s=10.0)
    reason = invalid_reason(held, cores=2, threads=1)
    assert reason == QuotaThrottled(3.0, 0.5)
    assert say(reason).startswith(
        "the container's CPU quota (0.5 cores) stopped this process for 3.0 s"
    )
    assert invalid_reason(replace(held, throttled_s=0.09), cores=2, threads=1) is None
    assert invalid_reason(replace(held, throttled_s=None), cores=2, threads=1) is None
    assert invalid_reason(replace(held, throttled_s=0.2), cores=None, threads=1) is not None


def test_a_quota_is_part_of_the_hardware_only_where_it_leaves_less_than_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = len(usable_cores())
    found = {}
    for quota in (None, 0.5, cores - 0.25, float(cores), cores + 1.0):
        monkeypatch.setattr(
            environment, "cpu_groups", lambda quota=quota: type("Groups", (), {"quota": quota})
        )
        found[quota] = describe_hardware(FakeDevice(), None)
    unlimited = found[None]
    assert found[float(cores)] == found[cores + 1.0] == unlimited
    assert found[0.5] == replace(unlimited, cpu_quota=0.5)
    assert len({each.key for each in found.values()}) == 3


def test_the_key_of_a_machine_without_a_quota_is_what_it_always_was() -> None:
    assert hardware().key == "cpu-amd-epyc-2c"
    assert hardware(cpu_quota=0.5).key == "cpu-amd-epyc-2c-quota0-5"
