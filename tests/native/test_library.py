"""A library that does not fit this Python is refused with one sentence, and torch runs the model."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gptcli.model.native import library

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no compiler here")
NAME = library.NAMES[sys.platform == "darwin"]


def compiled(folder: Path, source: str) -> None:
    """A library of that source in the folder where Python looks for the engine's."""
    (folder / "source.c").write_text(source)
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(folder / NAME), str(folder / "source.c")], check=True)


def said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Why there is no library in a folder."""
    monkeypatch.setattr(library, "_FOLDER", folder)
    monkeypatch.delenv("GPTCLI_NATIVE", raising=False)
    library.library.cache_clear()
    try:
        assert library.library() is None
        assert not library.available()
        return str(library.unavailable())
    finally:
        monkeypatch.undo()
        library.library.cache_clear()


def versioned(version: int, size: int) -> str:
    """A library that says these, and has no more functions."""
    returned = {"int gptcli_abi_version": version, "unsigned long gptcli_struct_size": size}
    return "\n".join(f"{function}(void) {{ return {value}; }}" for function, value in returned.items())


OURS, SIZE = library.ABI_VERSION, ctypes.sizeof(library.Shape)
OTHERS = {
    "from before there was a version": "int gptcli_threads;",
    "newer": versioned(OURS + 1, SIZE),
    "another shape": versioned(OURS, SIZE - 4),
    "a function is missing": versioned(OURS, SIZE),
}


@needs_compiler
@pytest.mark.parametrize("source", OTHERS.values(), ids=OTHERS)
def test_another_version(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(tmp_path, source)
    expected = (
        f"{tmp_path / NAME} is of another version of gptcli; 'python -m gptcli.model.native.build' builds it again"
    )
    assert said(tmp_path, monkeypatch) == expected


def test_none_and_a_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(tmp_path, monkeypatch).startswith("the engine in C was not built: ")
    (tmp_path / NAME).write_bytes(b"no library")
    assert said(tmp_path, monkeypatch).startswith("the engine in C does not load here: ")
