"""gptcli in a world that is not kind: closed pipes, signals, full disks, no home, odd clocks and terminals."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.app import app
from gptcli.errors import GptcliError
from gptcli.model.config import GPTConfig
from tests.checkpoint.hub_server import Fault, Hub, running_hub
from tests.conftest import Run, command
from tests.tales import PARAMETERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals, limits and pipes as POSIX has them"),
]
Environment = dict[str, str]
CONFIG = json.dumps({"model_type": "gpt2", "n_layer": 1}).encode()
WEIGHTS = save({"wte.weight": np.arange(3_000_000, dtype=np.float32)})
MODEL = {"config.json": CONFIG, "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
PULL = ("models", "pull", "owner/model")


def shell(script: str, environment: Environment) -> "subprocess.CompletedProcess[bytes]":
    """A line of bash in which ``gptcli`` is this one."""
    tool = " ".join(command([]))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'gptcli() {{ {tool} "$@"; }}; {script}'],
        env=environment,
        capture_output=True,
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# Pipes and disks


@pytest.mark.parametrize(
    "words",
    [
        *("--help", "--version", "generate --help", "models show tales --keys", "generate A -n 30 --jsonl"),
        *("logits A --top 500", "tokenize --ids A", "neighbors king --top 300", "params --json"),
        *("attention A.B.C", "lens A.B.C", "trace A.B.C", "score A.B.C", "map king queen", "tour", "models list"),
        *("generate A -n 30 --explain", "chat -n 20 < <(printf 'A\\nB\\n')"),
    ],
)
def test_a_reader_that_is_gone_is_no_failure(words: str, child_environment: Environment) -> None:
    """A reader that never reads a byte; what is printed at once, line by line, and at the end all meet it."""
    script = f"gptcli {words} | true; echo ${{PIPESTATUS[0]}} >&2"
    unbuffered = "1" if "l" in words.split()[0] else ""  # both ways of writing
    done = shell(script, child_environment | {"PYTHONUNBUFFERED": unbuffered, "COLUMNS": "80"})
    assert done.stderr == b"0\n"


def test_help_into_head(child_environment: Environment) -> None:
    done = shell("gptcli generate --help | head -1; echo ${PIPESTATUS[0]}", child_environment)
    assert (done.stdout.strip(), done.stderr) == (b"0", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
@pytest.mark.parametrize("words", ["--help", "models list --json", "tokenize --ids A"])
def test_a_full_disk_under_stdout_is_one_line(words: str, child_environment: Environment) -> None:
    done = shell(f"gptcli {words} > /dev/full", child_environment)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: cannot write the output: ")
    assert done.stderr.count(b"\n") == 1


def test_errors_that_nobody_can_be_told(child_environment: Environment) -> None:
    """stderr on a full disk: the exit code still says it."""
    assert shell("gptcli logits A -m no-such-model 2> /dev/full", child_environment).returncode == 2
    assert shell("gptcli logits A -m no-such-model 2>&- >&-", child_environment).returncode == 2


def test_a_picture_is_saved_whole_or_not_at_all(tmp_path: Path, child_environment: Environment) -> None:
    """The file size limit stands for a full disk: it strikes in the middle of the file."""
    path = tmp_path / "params.svg"
    path.write_text("the old one")
    words = command(["params", "gpt3", "--save", str(path)])

    def run(limit: int) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            words,
            env=child_environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=100,
            check=False,
            preexec_fn=lambda: _small_files(limit),
        )

    done = run(4096)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {path}: ".encode())
    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]
    assert run(50_000_000).returncode == 0
    assert path.stat().st_size > 4096
    assert list(tmp_path.iterdir()) == [path]


def _small_files(limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_folder_that_is_not_there_or_not_ours(tmp_path: Path, run_gptcli: Run) -> None:
    missing = tmp_path / "no" / "x.svg"
    done = run_gptcli("params", "gpt2", "--save", str(missing))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"error: --save {missing}: there is no folder ".encode())
    for place in (Path("/proc/x.svg"), tmp_path / ("n" * 300 + ".svg")):
        done = run_gptcli("params", "gpt2", "--save", str(place))
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert done.stderr.startswith(f"error: cannot write {place}: ".encode())


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system of its own, where this process may mount one: as root, on Linux, in most containers."""
    place.mkdir(exist_ok=True)
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("tmpfs is Linux's")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    with _mounted(tmp_path / "disk", "size=256k") as disk:
        yield disk


def _fill(disk: Path, left: int) -> Path:
    """Leave this many bytes free."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    path = disk / "other people's files"
    path.write_bytes(bytes(max(free - left, 0)))
    return path


@pytest.mark.parametrize(
    ("words", "name"),
    [("params gpt3", "a.svg"), ("score A --bos", "b.html"), ("logits A", "c.txt"), ("map king queen", "d.html")],
)
def test_a_disk_that_is_full_saves_all_or_nothing(
    words: str, name: str, small_disk: Path, child_environment: Environment
) -> None:
    path = small_disk / name
    path.write_text("the old one")
    others = _fill(small_disk, 4096)  # a page, and no picture is that small

    def run() -> "subprocess.CompletedProcess[bytes]":
        arguments = command([*words.split(), "--save", str(path)])
        return subprocess.run(arguments, env=child_environment, capture_output=True, timeout=100, check=False)

    done = run()
    if name.endswith(".txt"):  # the small one fits
        assert done.returncode == 0, done.stderr
        return
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert done.stderr == f"error: cannot write {path}: No space left on device\n".encode()
    assert path.read_text() == "the old one"
    assert set(small_disk.iterdir()) == {path, others}
    others.unlink()
    assert run().returncode == 0
    assert len(path.read_text()) > 4096
    assert list(small_disk.iterdir()) == [path]


# Signals


def _started(words: list[str], environment: Environment, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


# Where in a run the signal comes: the function that raises it in its midst, and is then never done.
_ENGINES = "from gptcli.model import torch_engine as room; from gptcli.model.native import engine as other; "
STAGES = {
    "load": _ENGINES
    + "from gptcli.checkpoint.weights import slices; slices.Files.read = other.NativeEngine.fill = strike",
    "prefill": _ENGINES + "room.TorchEngine.prefill = other.NativeEngine.prefill = strike",
    "decode": _ENGINES + "room.TorchEngine.step = other.NativeEngine.step = other.NativeEngine.extend = strike",
    "tokenize": "from gptcli.tokenizer import bpe as room; room.RankTokenizer.encode = strike",
    "draw": "from gptcli.show.terminal import console as room; room.stdout_console = strike",
}


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        *((stage, signal.SIGINT) for stage in STAGES),
        *((stage, signal.SIGTERM) for stage in ("load", "prefill", "decode")),
    ],
)
def test_a_signal_ends_it_at_once_and_quietly(
    stage: str, number: signal.Signals, child_environment: Environment
) -> None:
    words = ["logits", "A"] if stage == "draw" else ["generate", "A", "-n", "5"]
    # While it writes, the first Ctrl-C waits for the token to be whole, and the second does not; elsewhere none waits.
    pause = 0.1 if stage == "decode" else 1000
    script = (
        "import os, sys, time\nfrom gptcli.cli.app import main\n"
        f"def strike(*_, **__):\n"
        f"    while True:\n        os.kill(os.getpid(), {number.value})\n        time.sleep({pause})\n"
        f"{STAGES[stage]}\nsys.argv = ['gptcli', *{words!r}]\nmain()\n"
    )
    process = _started([sys.executable, "-c", script], child_environment)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGTERM)
    assert b"Traceback" not in said
    assert b"Error" not in said


# The hub's cache


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as served:
        served.add("owner/model", MODEL)
        yield served


@pytest.fixture
def pulling(hub: Hub, child_environment: Environment, tmp_path: Path) -> Environment:
    """The environment of a process that pulls from the hub into a cache of its own."""
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    return child_environment | home | {"NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"}


def _whole(cache: str) -> bool:
    files = list(Path(cache).rglob("snapshots/*/model.safetensors"))
    return len(files) == 1 and sha256(files[0].read_bytes()).digest() == sha256(WEIGHTS).digest()


def _stalled(hub: Hub, environment: Environment, seconds: float = 60) -> "subprocess.Popen[bytes]":
    """A pull that has the configuration and waits for the weights."""
    hub.faults.append(Fault(sha256(WEIGHTS).hexdigest(), stall=seconds))
    process = _started(command(PULL), environment)
    deadline = time.monotonic() + 60
    while not hub.asked(server="storage"):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "SIGTERM", "kill -9"]
)
def test_a_pull_that_is_stopped_is_gone_on_with(number: signal.Signals, hub: Hub, pulling: Environment) -> None:
    process = _stalled(hub, pulling)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert b"Traceback" not in said
    listed = subprocess.run(command(["models", "list", "--json"]), env=pulling, capture_output=True, timeout=60)
    assert json.loads(listed.stdout)["cached"] == []  # half a model is none
    hub.faults.clear()
    again = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert _whole(pulling["HF_HOME"])


def test_two_processes_pull_the_same_model(hub: Hub, pulling: Environment) -> None:
    processes = [_started(command(PULL), pulling) for _ in range(2)]
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert _whole(pulling["HF_HOME"])


def test_a_cache_that_cannot_be_written(hub: Hub, pulling: Environment, tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("a file where the folder should be")
    done = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert done.stderr.startswith(b"error: ")


def test_a_read_only_cache(hub: Hub, pulling: Environment, tmp_path: Path) -> None:
    """Nothing is read-only to root but a file system that says so."""
    cache = tmp_path / "hf"
    cache.mkdir()
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not root:
        cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with _mounted(cache, "ro") if root else nullcontext():
        done = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1), done.stderr
        assert b"cannot be written" in done.stderr


def test_what_a_read_only_cache_holds_is_used(hub: Hub, pulling: Environment, tmp_path: Path) -> None:
    """As on a shared machine, or with an image's cache: pulled before, now only to be read."""
    cache = tmp_path / "hf"
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root mounts")
    assert subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60).returncode == 0
    done = subprocess.run(["mount", "--bind", cache, cache], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", cache], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (cache / "x").touch()
        for words in (["models", "show", "owner/model"], ["params", "owner/model", "--json"], PULL):
            done = subprocess.run(command(words), env=pulling, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert b"error" not in done.stderr
    finally:
        subprocess.run(["umount", cache], check=True)


def test_a_disk_that_is_too_small_for_a_model(hub: Hub, pulling: Environment, tmp_path: Path) -> None:
    """8 MB for a model of 12 are told before anything is downloaded."""
    with _mounted(tmp_path / "hf", "size=8m"):
        done = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: owner/model needs 12.0 MB and the disk of ")
    assert hub.asked(server="storage") == []


def test_a_disk_that_is_full_in_mid_pull(hub: Hub, pulling: Environment, tmp_path: Path) -> None:
    """Others fill it while the weights are on their way: no half a model, and with room again it is all there."""
    with _mounted(tmp_path / "hf", "size=64m") as disk:
        process = _stalled(hub, pulling, seconds=2)
        others = _fill(disk, 3_000_000)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith(b"error: "), said
        assert b"free some space" in said
        assert b"Traceback" not in said
        assert not list(disk.rglob("snapshots/*/model.safetensors"))
        listed = subprocess.run(command(["models", "list", "--json"]), env=pulling, capture_output=True, timeout=60)
        assert json.loads(listed.stdout)["cached"] == []
        others.unlink()
        again = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60, check=False)
        assert again.returncode == 0, again.stderr
        assert _whole(pulling["HF_HOME"])


def test_a_disk_that_fills_up_in_mid_pull(hub: Hub, pulling: Environment) -> None:
    process = _started(command(PULL), pulling, preexec_fn=lambda: _small_files(1_000_000))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(b"error: ")
    assert b"Traceback" not in said
    again = subprocess.run(command(PULL), env=pulling, capture_output=True, timeout=60, check=False)
    assert again.returncode == 0, again.stderr
    assert _whole(pulling["HF_HOME"])


# Surroundings


def test_no_home_no_locale_no_terminal(tmp_path: Path, child_environment: Environment) -> None:
    """As under cron or in a bare container; the answers are the same, what ASCII lacks is written as escapes."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": child_environment["PYTHONPATH"], "LANG": "C", "LC_ALL": "C"}
    bare |= {"TERM": "dumb", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for words in (["models", "list"], ["logits", "The king", "--top", "3"], ["neighbors", "king"], ["--help"]):
        done = subprocess.run(command(words), env=bare, capture_output=True, cwd=tmp_path, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b""), words
        assert done.stdout
        assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("width", ["1", "5", "20"])
@pytest.mark.parametrize(
    "words",
    [
        "logits A",
        "logits A --all-positions",
        "score --bos A",
        "params",
        "models show tales",
        "models list",
        "neighbors king",
        "attention A.B",
        "attention A.B --layer 1 --head 1",
        "lens A.B --attribution --token C",
        "trace A.B --layer 1",
        "map king queen man",
        "similarity king queen man",
        "direction king-man woman",
        "tokenize A.B --merges",
    ],
)
def test_a_narrow_terminal_shows_no_more_than_it_has(words: str, width: str) -> None:
    done = CliRunner().invoke(app, words.split(), env={"COLUMNS": width, "TERM": "xterm"})
    assert done.exit_code == 0, done.exception
    from rich.cells import cell_len

    assert max(map(cell_len, done.stdout.splitlines())) <= max(int(width), 2)


def test_file_names_that_are_no_text(tmp_path: Path, gpt2_folder: Path, child_environment: Environment) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9 \x1b[31m"
    os.symlink(gpt2_folder, folder)
    for words in (["models", "show"], ["params"], ["generate", "A", "-m"], ["models", "show", "--json"]):
        done = subprocess.run(
            [*map(os.fsencode, command(words)), folder], env=child_environment, capture_output=True, timeout=60
        )
        assert done.returncode == (1 if words[0] == "generate" else 0), done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        (done.stdout + done.stderr).decode()
    save = os.fsencode(tmp_path) + b"/\xff.svg"
    done = subprocess.run(
        [*map(os.fsencode, command(["params", "gpt2", "--save"])), save], env=child_environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert os.path.getsize(save)


@pytest.mark.parametrize("words", [["generate"], ["logits"], ["score"], ["tokenize"], ["tokenize", "--decode"]])
def test_closed_stdin(words: list[str], child_environment: Environment) -> None:
    done = shell(f"gptcli {' '.join(words)} <&-", child_environment)
    assert b"Traceback" not in done.stderr
    if words != ["generate"]:  # which starts from the end-of-text token
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.count(b"\n") == 1


def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backwards at every look: times are taken from a clock that does not do that."""
    looks = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(looks)))
    done = CliRunner().invoke(app, ["generate", "A", "-n", "3", "--seed", "1", "--json"])
    assert done.exit_code == 0
    timings = json.loads(done.stdout)["timings"]
    assert all(0 <= value < 1e6 for value in timings.values())


# Memory


def test_a_context_that_no_memory_holds(tmp_path: Path) -> None:
    """Rotary positions have no table that bounds the context: what is asked for is more than there is."""
    from gptcli.checkpoint.families.own import config_json
    from gptcli.model.shapes import parameter_shapes

    config = GPTConfig(50257, 10**9, 64, 2, 2, positions="rotary", rotary_dim=8)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(config).items()}
    (tmp_path / "model.safetensors").write_bytes(save(tensors))
    (tmp_path / "config.json").write_text(json.dumps(config_json(config)))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    done = CliRunner().invoke(app, ["generate", "A", "-m", str(tmp_path), "-n", "999999999", "--device", "cpu"])
    assert (done.exit_code, done.stdout) == (1, "A")  # the prompt stood there already
    assert done.stderr.startswith("error: out of memory on cpu: float32 takes 13.3 MB for the weights and 1.02 TB for")
    assert "--quantize int4 (3.50 MB for the weights)" in done.stderr
    assert "a shorter prompt or a smaller -n" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("loaded_anew")
def test_weights_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from gptcli.checkpoint.weights import slices

    def full(*_: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(slices.Files, "read", full)
    done = CliRunner().invoke(app, ["trace", "A"])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: out of memory on cpu: float32 takes ")
    assert "--dtype bfloat16" in done.stderr
    assert "for the context" not in done.stderr


@pytest.mark.usefixtures("loaded_anew")
def test_the_engine_in_c_without_memory_offers_to_quantize(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times: while weights are loaded, for a context that nothing holds, and once it is quantized already."""
    from gptcli.model.memory import weights
    from gptcli.model.native.engine import NativeEngine
    from gptcli.model.native.library import available
    from gptcli.model.native.weights import why_not

    if not available():
        pytest.skip("no engine in C here")
    from gptcli.checkpoint.open import open_checkpoint

    for quantize in ("none", "int8", "int4"):
        checkpoint = open_checkpoint("tales", Placement(device="cpu", quantize=quantize), inside=False)
        config, engine = checkpoint.config, cast(NativeEngine, checkpoint.engine)
        assert why_not(config) is None
        kind = "float16" if quantize == "none" else quantize
        # What a step reads is all but the positions, of which it reads one.
        held = weights(config, kind)
        positions = config.n_positions * config.n_embd * (2 if quantize == "none" else 4)
        assert held - positions == pytest.approx(engine.bytes_per_step, rel=0.01)

    monkeypatch.setattr(NativeEngine, "fill", lambda self, *_, **__: self._checked(-1))
    done = CliRunner().invoke(app, ["generate", "A", "-n", "1", "--device", "cpu"])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(
        f"error: out of memory on cpu: float32 takes {PARAMETERS * 4 / 1e6:.1f} MB for the weights; what takes less: "
    )
    assert "--quantize int8 (21.7 MB" in done.stderr
    monkeypatch.undo()

    real: Any = np.empty

    def no_room(shape: Any, *kind: Any, **options: Any) -> Any:
        return _full() if isinstance(shape, int) and shape > 1000 else real(shape, *kind, **options)

    monkeypatch.setattr(np, "empty", no_room)
    for quantize, offered in (("none", ["int8", "int4"]), ("int8", ["int4"]), ("int4", [])):
        done = CliRunner().invoke(app, ["generate", "A", "-n", "9", "--device", "cpu", "--quantize", quantize])
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert [kind for kind in ("int8", "int4") if f"--quantize {kind} (" in done.stderr] == offered
        assert "for the context, with 10 tokens of context" in done.stderr
        assert "a shorter prompt or a smaller -n" in done.stderr


def _full(*_: Any, **__: Any) -> None:
    raise MemoryError


def test_memory_that_ends_anywhere_else_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from gptcli.show.terminal import console as room

    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(room, "present", full)
    done = CliRunner().invoke(app, ["logits", "A"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: out of memory")


def test_a_bug_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from gptcli.model.memory import explain_out_of_memory
    from gptcli.model.native.library import available

    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(GPTConfig(), "cpu", "float32"):
        raise RuntimeError("shapes do not fit")
    said = r"on cuda.*--device cpu.*fewer texts"
    for to_run in (False, True):
        needs = explain_out_of_memory(GPTConfig(), "cuda", "bfloat16", rows=3, capacity=9, to_run=to_run)
        with pytest.raises(GptcliError, match=said) as caught, needs:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        # Only commands that have the option, and only where the engine in C would take over: torch saves nothing by it.
        assert ("--device cpu --quantize int8 (12" in str(caught.value)) == (to_run and available())


# Many at once


def test_threads_and_processes_share_nothing_that_breaks(tmp_path: Path, child_environment: Environment) -> None:
    """Four processes on one cache at once write what one alone writes."""
    environment = child_environment | {"HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    words = command(["generate", "Once upon a time", "-n", "20", "--seed", "1"])
    texts: list[bytes] = []

    def run() -> None:
        texts.append(subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True).stdout)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4
    assert len(set(texts)) == 1
    assert len(texts[0]) > 20
