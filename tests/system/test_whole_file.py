"""Files that appear whole or not at all, and what killed writers leave."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gptcli.system.whole_file import remove_unfinished, write_whole

fcntl = pytest.importorskip("fcntl", reason="nothing is removed there")
# A writer that stops in the middle: it has begun its file, and says so.
STUCK = """
import os, sys, time
from pathlib import Path
from gptcli.system.whole_file import write_whole
def stuck(handle):
    print("begun", flush=True)
    time.sleep(60)
os.fsync = stuck
write_whole(Path(sys.argv[1]), "x" * 1000)
"""


def stuck_writer(path: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(path)], stdout=subprocess.PIPE, env=environment, cwd=path.parent
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def unfinished(folder: Path) -> list[Path]:
    return sorted(folder.glob(".gptcli-unfinished-*"))


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, child_environment: dict[str, str]) -> None:
    """And what one that lives is writing stays, and appears in the end."""
    with stuck_writer(tmp_path / "a.txt", child_environment) as killed:
        killed.send_signal(signal.SIGKILL)
    [left] = unfinished(tmp_path)
    with stuck_writer(tmp_path / "b.txt", child_environment) as alive:
        [live] = unfinished(tmp_path)  # it has removed the other's
        assert live != left
        for name in ("a.txt", "b.txt", "c.txt"):
            write_whole(tmp_path / name, "new")
        assert unfinished(tmp_path) == [live]
        alive.terminate()
    write_whole(tmp_path / "a.txt", "newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "c.txt"]
    assert (tmp_path / "a.txt").read_text() == "newer"


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    """No file of the user's, no folder, pipe or link of that name; and no folder is needed."""
    outside = tmp_path / "outside"
    outside.touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".a.txt.backup").touch()
    (folder / ".gptcli-unfinished-folder").mkdir()
    (folder / ".gptcli-unfinished-link").symlink_to(outside)
    os.mkfifo(folder / ".gptcli-unfinished-pipe")
    before = sorted(folder.iterdir())
    write_whole(folder / "a.txt", "x")
    assert sorted(folder.iterdir()) == sorted([*before, folder / "a.txt"])
    remove_unfinished(tmp_path / "none")


@pytest.mark.slow
def test_writers_at_once_never_lose_a_file(tmp_path: Path) -> None:
    """Each one cleans up while the others begin: a file that is not locked yet may be taken for left behind."""
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(60):
                write_whole(tmp_path / name, f"{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd" * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abcd", "59")


def test_a_file_that_another_takes_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Callable[[int, int], None] = fcntl.flock
    taken: list[Path] = []

    def late(handle: int, how: int) -> None:
        if not taken:
            taken.extend(unfinished(tmp_path))
            taken[0].unlink()
        plain(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_whole(tmp_path / "a.txt", "x")
    assert len(taken) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_where_nothing_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    (tmp_path / ".gptcli-unfinished-x").touch()
    monkeypatch.setattr(fcntl, "flock", refused)
    write_whole(tmp_path / "a.txt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gptcli-unfinished-x", "a.txt"]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    write_whole(path, "x")
    assert path.read_text() == "x"
