"""A checkpoint's files that change after their headers were read: told in one line, never misread, never waited for."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from gptcli.checkpoint.read import understand
from gptcli.checkpoint.source import find, no_weights
from gptcli.checkpoint.weights import native_loader as native
from gptcli.checkpoint.weights import torch_loader as load
from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.embedding import load as embedding
from gptcli.errors import CheckpointError, GptcliError
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.library import available, library
from gptcli.system.bundled import bundled_folder
from gptcli.system.json_text import read_bytes
from tests.made import made

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file that is mapped cannot change there")
needs_library = pytest.mark.skipif(library() is None, reason="the library in C was not built")
Load = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model of GPT-2's vocabulary in float32: torch keeps no copy of that."""
    return made(tmp_path / "model", vocab_size=50_257, n_embd=32, n_layer=2, n_inner=128)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """The bundled model in float32: its matrices are of many pages."""
    copy = shutil.copytree(bundled_folder() / "tales", tmp_path / "model")
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    file = copy / "model.safetensors"
    save_file({key: value.astype(np.float32) for key, value in load_file(file).items()}, file, {"format": "pt"})
    return copy


def in_c(folder: Path, between: Callable[[Path], object]) -> object:
    _, header, blueprint = understand(str(folder))
    between(folder / "model.safetensors")
    return load_native(blueprint, header, Placement(device="cpu"))


def in_torch(folder: Path, between: Callable[[Path], object], dtype: str = "float32") -> object:
    _, header, blueprint = understand(str(folder))
    between(folder / "model.safetensors")
    return load_gpt(blueprint, header, Placement("cpu", dtype))


def as_words(folder: Path, between: Callable[[Path], object]) -> object:
    source, _, _ = understand(str(folder))
    between(folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "find", lambda name: source)  # its header is read already
        return embedding.open_embedding(str(folder))


LOADERS = [
    pytest.param(in_c, marks=pytest.mark.skipif(not available(), reason="the engine in C is not here")),
    in_torch,
    as_words,
]


def truncate(file: Path) -> None:
    os.truncate(file, 1000)


def replace(file: Path) -> None:
    """Another model of the same size, by another program that writes whole files."""
    other = file.with_name("other")
    other.write_bytes(file.read_bytes()[::-1])
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    os.replace(other, file)


def rewrite(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-4, os.SEEK_END)
        opened.write(b"\0\0\0\1")
    os.utime(file, (1, 1))  # a file system's clock may be coarse


def become_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("loaded", LOADERS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (truncate, "changed after it was opened"),
        (replace, "changed after it was opened"),
        (rewrite, "changed after it was opened"),
        (Path.unlink, "is missing, or is not a regular file"),
        (become_a_pipe, "is missing, or is not a regular file"),
        (become_a_folder, "is missing, or is not a regular file"),
        (lambda file: shutil.rmtree(file.parent), "is missing, or is not a regular file"),
    ],
)
def test_between_header_and_weights(change: Callable[[Path], object], said: str, loaded: Load, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        loaded(folder, change)


@pytest.mark.parametrize("loaded", LOADERS)
def test_no_change_is_no_error(loaded: Load, folder: Path) -> None:
    assert loaded(folder, lambda file: file.stat()) is not None


def test_while_torch_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where every weight is mapped by then, and none is read again."""
    assign = load._check_finite

    def check(name: str, *arguments: Any) -> None:
        assign(name, *arguments)
        rewrite(folder / "model.safetensors")

    monkeypatch.setattr(load, "_check_finite", check)
    with pytest.raises(CheckpointError, match="changed after it was opened"):
        in_torch(folder, Path.stat)


@pytest.mark.skipif(not available(), reason="the engine in C is not here")
def test_while_the_engine_in_c_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last weight is the one that changes: no mapping of another one can notice."""
    last = list(understand(str(folder))[2].tensors)[-1]
    fill = NativeEngine.fill

    def strike(self: NativeEngine, name: str, *arguments: Any, **options: Any) -> bool:
        if name == last:
            rewrite(folder / "model.safetensors")
        return fill(self, name, *arguments, **options)

    monkeypatch.setattr(NativeEngine, "fill", strike)
    with pytest.raises(CheckpointError, match="changed after it was opened"):
        in_c(folder, Path.stat)


def test_a_pipe_in_place_of_a_small_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_bytes(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_bytes(Path("/dev/zero"))


def test_a_folder_that_may_be_listed_and_not_entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors: Permission denied"):
        find(str(folder))


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    source = find(str(tmp_path))
    tmp_path.rmdir()
    with pytest.raises(CheckpointError, match="is missing"):
        raise no_weights(source)


@pytest.mark.parametrize("loaded", LOADERS)
def test_no_address_space_for_a_mapping(loaded: Load, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system says it: ENOMEM, an OSError."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", full)
    with pytest.raises(GptcliError, match="out of memory"):
        loaded(folder, Path.stat)


def test_weights_of_an_odd_place(folder: Path) -> None:
    """A header whose length leaves every tensor at an odd byte."""
    file = folder / "model.safetensors"
    stored = in_torch(folder, Path.stat).state_dict()  # type: ignore[attr-defined]
    wanted = {name: weight.clone() for name, weight in stored.items()}
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    file.write_bytes((length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :])
    found = in_torch(folder, Path.stat).state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())
    if available():
        assert native.load_native(*understand(str(folder))[:0:-1], Placement(device="cpu")) is not None


# SIGBUS

SCRIPT = """
import os, sys, time
import gptcli.model.native.library as native
from gptcli.cli import app as cli
file, words = sys.argv[1], sys.argv[2:]
{before}
sys.argv = ["gptcli", *words]
cli.main()
"""
WITHOUT_LIBRARY = "native.library = lambda: None"
TORCH_STEP = """
from gptcli.model.torch_engine import TorchEngine
step = TorchEngine.step
def strike(self, ids):
    os.truncate(file, 1000)
    return step(self, ids)
TorchEngine.step = strike
"""
C_STEP = TORCH_STEP.replace("torch_engine", "native.engine").replace("TorchEngine", "NativeEngine")
C_FILL = """
from gptcli.model.native.engine import NativeEngine
fill = NativeEngine.fill
def strike(self, *arguments, **options):
    os.truncate(file, 1000)
    return fill(self, *arguments, **options)
NativeEngine.fill = strike
"""


def run_script(before: str, file: Path, *words: str, environment: dict[str, str], **more: str) -> Any:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before), str(file), *words],
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def assert_told(done: Any, file: Path) -> None:
    assert done.returncode == 1
    assert done.stderr == f"error: {file} was cut short by another program while it was being read: try again\n"


@pytest.mark.slow
@pytest.mark.parametrize("before", [pytest.param("", marks=needs_library), WITHOUT_LIBRARY])
def test_truncated_while_torch_generates(before: str, large: Path, child_environment: dict[str, str]) -> None:
    file = large / "model.safetensors"
    words = ("generate", "Once", "-n", "5", "--ignore-eos", "-m", str(large))
    done = run_script(before + TORCH_STEP, file, *words, environment=child_environment, GPTCLI_NATIVE="0")
    assert_told(done, file)
    assert done.stdout.startswith("Once")


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the engine in C is not here")
def test_truncated_while_the_engine_in_c_generates(large: Path, child_environment: dict[str, str]) -> None:
    """The embedding is used where it lies: in float32 it comes first, and halves follow it."""
    file = large / "model.safetensors"
    stored = load_file(file)
    save_file(
        {name: v if "wte" in name else v.astype(np.float16) for name, v in stored.items()}, file, {"format": "pt"}
    )
    words = ("generate", "Once", "-n", "5", "--ignore-eos", "-m", str(large))
    done = run_script(C_STEP, file, *words, environment=child_environment)
    assert_told(done, file)
    assert done.stdout.startswith("Once")


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the engine in C is not here")
def test_truncated_while_the_engine_in_c_loads(large: Path, child_environment: dict[str, str]) -> None:
    file = large / "model.safetensors"
    assert_told(run_script(C_FILL, file, "logits", "A", "-m", str(large), environment=child_environment), file)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_truncated_while_words_are_looked_up(name: str, tmp_path: Path, child_environment: dict[str, str]) -> None:
    folder = shutil.copytree(bundled_folder() / "glove-50d", tmp_path / "words")
    before = (
        "from gptcli.embedding import load\nreal = load.open_embedding\n"
        "def opened(*a, **k):\n    made = real(*a, **k)\n    os.truncate(file, 0)\n    return made\n"
        "load.open_embedding = opened"
    )
    words = ("neighbors", "king", "-m", str(folder))
    assert_told(run_script(before, folder / name, *words, environment=child_environment), folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("before", [pytest.param("", marks=needs_library), WITHOUT_LIBRARY])
def test_a_bus_error_of_another_cause_is_named_and_left(
    before: str, large: Path, child_environment: dict[str, str]
) -> None:
    before += TORCH_STEP.replace("os.truncate(file, 1000)", f"os.kill(os.getpid(), {int(signal.SIGBUS)})")
    words = ("generate", "Once", "-n", "5", "--ignore-eos", "-m", str(large))
    done = run_script(before, large, *words, environment=child_environment, GPTCLI_NATIVE="0")
    assert done.returncode == -signal.SIGBUS
    assert done.stderr.startswith("error: SIGBUS, and no file of the model became shorter")


@pytest.mark.slow
def test_a_program_that_uses_the_api_keeps_its_signals(tmp_path: Path, child_environment: dict[str, str]) -> None:
    folder = shutil.copytree(bundled_folder() / "glove-50d", tmp_path / "words")
    script = (
        "import os, sys, gptcli\nwords = gptcli.load_words(sys.argv[1])\n"
        "os.truncate(sys.argv[1] + '/model.safetensors', 0)\nwords.neighbors('king')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=child_environment,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGBUS, b"")
