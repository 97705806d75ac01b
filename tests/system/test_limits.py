"""Limits of the machine: whatever strikes, it is one line and exit code 1, or it works."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from gptcli.system.limits import GENERAL, limit_reached
from tests.conftest import command

Environment = dict[str, str]
MB = 1 << 20
FILES = "too many open files: raise the limit (ulimit -n)"
THREADS = "the system gives no more threads"


def limited(words: list[str], environment: Environment, **limits: int) -> "subprocess.CompletedProcess[str]":
    """Run gptcli under limits, named as ``resource`` names them: ``AS``, ``NOFILE``."""
    import resource

    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return subprocess.run(
        command(words),
        env=environment | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=limit,
    )


def assert_works_or_tells(done: "subprocess.CompletedProcess[str]") -> None:
    told = done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert told or (done.returncode == 0 and not done.stderr), (done.returncode, done.stderr)


# In MB: where Python alone has too little, where numpy's libraries do (they abort, or exit by themselves), and enough.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this limit does not hold")
@pytest.mark.parametrize(
    ("words", "megabytes"),
    [
        *((["--help"], size) for size in (24, 26, 60)),
        *((["params", "gpt3"], size) for size in (24, 60)),
        *((["tokenize", "Hello"], size) for size in (26, 30, 40, 60)),
        *((["analogy", "king-man+woman"], size) for size in (26, 60, 80, 100, 150, 300)),
        *((["generate", "A", "-n", "2"], size) for size in (60, 100, 150, 200, 400)),
        *((["generate", "A", "-n", "2", "--quantize", "int8"], size) for size in (180, 200)),
    ],
)
def test_address_space(words: list[str], megabytes: int, child_environment: Environment) -> None:
    done = limited(words, child_environment, AS=megabytes * MB)
    assert_works_or_tells(done)
    if megabytes in (26, 80, 100):
        assert done.returncode == 1
        assert "out of memory" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this limit does not hold")
@pytest.mark.parametrize("megabytes", [60, 300, 400, 500, 650, 800])
def test_address_space_for_torch(megabytes: int, child_environment: Environment) -> None:
    """400: its libraries abort while they are loaded. 500: OpenBLAS ends the process."""
    words = ["attention" if megabytes == 60 else "trace", "A"]  # numpy comes before torch in one of them
    done = limited(words, child_environment, AS=megabytes * MB)
    assert_works_or_tells(done)
    if megabytes <= 300:
        what = "numpy" if megabytes == 60 else "torch"
        assert f"out of memory: {what} cannot be loaded, as ulimit -v or -d allows" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits as POSIX has them")
@pytest.mark.parametrize(
    "words", [["params", "tales"], ["tokenize", "A"], ["analogy", "king-man+woman"], ["generate", "A", "-n", "2"]]
)
def test_open_files(words: list[str], child_environment: Environment) -> None:
    done = limited(words, child_environment, NOFILE=5)
    assert_works_or_tells(done)
    if done.returncode:
        assert FILES in done.stderr


@pytest.mark.slow
def test_weights_do_not_hold_a_file_each(tmp_path: Path, child_environment: Environment) -> None:
    """A model of 76 tensors, 52 of which are mapped by torch, in a process that may open 20 files."""
    pytest.importorskip("resource")
    done = limited(["attention", "A", "--json", "--dtype", "float16"], child_environment, NOFILE=20)
    assert (done.returncode, done.stderr) == (0, "")


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), GENERAL),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), GENERAL),
        (ImportError("x.so: failed to map segment from shared object"), GENERAL),
        (OSError("libtorch_cpu.so: failed to map segment from shared object"), GENERAL),
        (caused(ImportError("numpy needs to be told"), ImportError("y.so: cannot allocate memory")), GENERAL),
        (RuntimeError("std::bad_alloc"), GENERAL),
        (RuntimeError("can't start new thread"), THREADS),
        (OSError(errno.EMFILE, "Too many open files"), FILES),
        (ImportError("z.so: cannot open shared object file: Too many open files"), FILES),
    ],
)
def test_what_is_a_limit(error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (limit_reached(error) or "").startswith(said)
    done = failing(error, monkeypatch)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Result:
    """A command in which it is raised."""

    def strike(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gptcli.cli.commands.tokenize.text_argument", strike)
    return CliRunner().invoke(app, ["tokenize", "A"])


def test_a_file_that_the_system_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of it between two looks; what names no file is a fault of ours, and keeps its traceback."""
    done = failing(PermissionError(errno.EACCES, "Permission denied", "/some\x1b/where"), monkeypatch)
    assert (done.exit_code, done.stderr) == (1, "error: cannot use /some\\x1b/where: Permission denied\n")
    fault = OSError(errno.EBADF, "Bad file descriptor")
    assert failing(fault, monkeypatch).exception is fault


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shape mismatch"),
        ImportError("cannot import name 'x'"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        SystemError("bad argument to internal function"),
        typer.Abort(),
    ],
)
def test_what_is_none(error: BaseException) -> None:
    assert limit_reached(error) is None
