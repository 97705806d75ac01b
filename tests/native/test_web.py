"""The engine for browsers: what is committed was made from these sources."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gptcli.model.native.web import build

AGAIN = "'python -m gptcli.model.native.web.build' builds it again"


def test_it_was_made_from_these_sources() -> None:
    assert json.loads(build.RECORD.read_text())["sources"] == build.sources_digest(), AGAIN


def test_it_is_small_and_asks_for_nothing() -> None:
    data = build.LIBRARY.read_bytes()
    assert data[:8] == b"\0asm\x01\0\0\0"
    assert len(data) < 150_000
    assert b"wasi" not in data  # no import; each would carry the module's name


@pytest.mark.slow
def test_the_same_compiler_makes_the_same(tmp_path: Path) -> None:
    if shutil.which("clang") is None or shutil.which("wasm-ld") is None:
        pytest.skip("no clang or no wasm-ld on this machine")
    if build.record()["compiler"] != json.loads(build.RECORD.read_text())["compiler"]:
        pytest.skip("another version of clang than the one that made it")
    try:
        build.build(tmp_path / "engine.wasm")
    except subprocess.CalledProcessError:
        pytest.skip("no wasi-libc on this machine")
    assert (tmp_path / "engine.wasm").read_bytes() == build.LIBRARY.read_bytes(), AGAIN
