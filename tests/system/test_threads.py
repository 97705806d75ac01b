"""How many threads compute, whatever is asked for: affinity masks and quotas of control groups are played by files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gptcli.system import threads
from gptcli.system.threads import cpu_quota, default_threads

Environment = dict[str, str]


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores without hardware threads, all of them this process's."""
    monkeypatch.setattr(threads, "_allowed", lambda: set(range(8)))
    monkeypatch.setattr(threads, "_core", str)
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)


class Groups:
    """A process's folder in /proc, and the control groups that it names."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.top = folder / "proc", folder / "sys fs" / "cgroup"
        self.proc.mkdir()
        self.paths: list[str] = []
        self.mounts = ["23 1 0:21 / /proc rw - proc proc rw", "no line of mountinfo"]

    def mount(self, kind: str, options: str, root: str = "/") -> None:
        top = str(self.top).replace(" ", "\\040")
        self.mounts.append(f"31 23 0:28 {root} {top} rw,relatime shared:9 - {kind} {kind} rw{options}")

    def write(self, group: str, **files: str) -> None:
        folder = self.top / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text + "\n")

    def quota(self) -> float | None:
        (self.proc / "cgroup").write_text("\n".join(self.paths) + "\n")
        (self.proc / "mountinfo").write_text("\n".join(self.mounts) + "\n")
        return cpu_quota(self.proc)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_a_quota_of_the_group_or_of_one_above_it(groups: Groups) -> None:
    groups.paths = ["0::/user/shell"]
    groups.mount("cgroup2", "")
    groups.write("user/shell", cpu__max="max 100000")
    assert groups.quota() is None
    groups.write("user", cpu__max="350000 100000")
    assert groups.quota() == 3.5
    groups.write("user/shell", cpu__max="400000 200000")
    assert groups.quota() == 2.0
    groups.write("", cpu__max="100000 200000")
    assert groups.quota() == 0.5


def test_a_container_sees_its_own_group_as_the_top(groups: Groups) -> None:
    groups.paths = ["0::/"]
    groups.mount("cgroup2", "")
    groups.write("", cpu__max="200000 100000")
    assert groups.quota() == 2.0


def test_version_1(groups: Groups) -> None:
    groups.paths = ["5:memory:/docker/abc", "4:cpu,cpuacct:/docker/abc/job", "0::/elsewhere"]
    groups.mount("cgroup", ",memory", root="/docker/abc")
    groups.write("", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    assert groups.quota() is None  # that hierarchy is the memory's
    groups.mount("cgroup", ",cpu,cpuacct", root="/docker/abc")
    assert groups.quota() == 1.0
    groups.write("job", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    assert groups.quota() == 0.5
    groups.write("", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    groups.write("job", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert groups.quota() is None


def test_a_mount_that_shows_another_part_of_the_tree(groups: Groups) -> None:
    groups.paths = ["0::/../other"]
    groups.mount("cgroup2", "", root="/mine")
    groups.write("", cpu__max="300000 100000")
    groups.write("../other", cpu__max="100000 100000")
    assert groups.quota() == 3.0


@pytest.mark.parametrize("text", ["", "max", "100000", "many 100000", "100000 0", "-5 100000", "1 2 3", "\0\xff"])
def test_what_is_no_quota_is_none(text: str, groups: Groups) -> None:
    groups.paths = ["0::/a"]
    groups.mount("cgroup2", "")
    groups.write("a", cpu__max=text)
    assert groups.quota() is None


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "none") is None


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", 8), ("3", 3), (" 3 ", 3), ("4,2", 4), ("8", 8), ("16", 8), ("1000000000000", 8), ("9" * 9_999, 8),
        ("0", 8), ("-3", 8), ("abc", 8), ("2.5", 8), (",2", 8), ("\N{SUPERSCRIPT TWO}", 8),
    ],
)  # fmt: skip
def test_what_is_asked_for(asked: str, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert default_threads() == found


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("quota", "found"), [(None, 8), (64.0, 8), (8.0, 8), (3.4, 3), (3.5, 4), (1.0, 1), (0.5, 1), (0.01, 1)]
)
def test_a_quota_bounds_it(quota: float | None, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    for asked in ("", "16"):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert default_threads() == found


@pytest.mark.usefixtures("eight_cores")
def test_hardware_threads_count_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_core", lambda cpu: str(cpu // 2))
    for asked, found in (("", 4), ("6", 6), ("99", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert default_threads() == found


SHOWN = """
import os, torch
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.system.threads import default_threads
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
torch.set_num_threads(3)
checkpoint = open_checkpoint("tales", Placement("cpu"), inside=False)
checkpoint.model
print(default_threads(), torch.get_num_threads(), getattr(checkpoint.engine, "threads", 1))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks here")
def test_both_engines_take_no_more_than_the_affinity_mask(child_environment: Environment) -> None:
    environment = child_environment | {"OMP_NUM_THREADS": "16"}
    done = subprocess.run([sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1", "1", "1"], done.stderr
