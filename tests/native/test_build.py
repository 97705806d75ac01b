"""How the library is built: for which machine, with what from the environment, and what is said where it fails."""

import os
import platform
import shutil
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gptcli.model.native import build, library
from gptcli.model.native.hatch_build import NativeBuildHook

FOLDER = Path(build.__file__).parent


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARCHFLAGS", "MACOSX_DEPLOYMENT_TARGET", "CC", "CFLAGS", "LDFLAGS", "GPTCLI_NATIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("python", "machine", "environment", "tag"),
    [
        ("linux-x86_64", "x86_64", {}, "linux_x86_64"),
        ("linux-aarch64", "aarch64", {}, "linux_aarch64"),
        ("macosx-14.0-arm64", "arm64", {}, "macosx_14_0_arm64"),
        # python.org's Python runs on both kinds of processor; the library on one.
        ("macosx-10.13-universal2", "arm64", {}, "macosx_11_0_arm64"),
        ("macosx-10.13-universal2", "x86_64", {}, "macosx_10_13_x86_64"),
        ("macosx-10.13-universal2", "arm64", {"ARCHFLAGS": "-arch x86_64"}, "macosx_10_13_x86_64"),
        # As cibuildwheel sets them.
        ("macosx-11.0-arm64", "arm64", {"ARCHFLAGS": "-arch arm64"}, "macosx_11_0_arm64"),
        ("macosx-11.0-arm64", "x86_64", {"ARCHFLAGS": "-arch arm64"}, "macosx_11_0_arm64"),
        ("macosx-11.0-arm64", "arm64", {"MACOSX_DEPLOYMENT_TARGET": "13"}, "macosx_13_0_arm64"),
        ("macosx-10.9-x86_64", "arm64", {}, "macosx_10_9_x86_64"),
    ],
)
def test_the_tag_is_the_librarys_machine(
    python: str, machine: str, environment: dict[str, str], tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: python)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = build.target()
    assert found.tag == tag
    if found.system == "macosx":  # what the compiler is told is what the tag says
        release = found.release.replace(".", "_")
        assert found.flags[:2] == ("-arch", found.machine)
        assert found.flags[2] == f"-mmacosx-version-min={found.release}"
        assert tag == f"macosx_{release}_{found.machine}"


def test_two_kinds_of_processor_are_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-10.13-universal2")
    monkeypatch.setenv("ARCHFLAGS", "-arch arm64 -arch x86_64")
    with pytest.raises(build.NoCompilerError, match="one of arm64 and x86_64"):
        build.target()


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "win-amd64")
    with pytest.raises(build.NoCompilerError, match="does not know win"):
        build.build(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang here")
def test_clang_builds_the_same_kernels_and_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI compiles with gcc, for x86 and for ARM, with -Werror in any case.

    Debian 12's clang is of 2022, and knows fewer names of processor features than GCC.
    """
    monkeypatch.setenv("CC", "clang -Werror")
    found = library.open_library(build.build(tmp_path))
    # Files that a compiler refuses are left out where it is old; these know all of them.
    x86 = platform.machine() in ("x86_64", "AMD64")
    assert not x86 or [hasattr(found, name) for name in ("kernels_amx", "kernels_avx512_vnni")] == [True, True]
    named = {found.gptcli_kernels(level).decode() for level in range(library.BEST + 1)}
    assert named == {library.kernels(level) for level in range(library.BEST + 1)}


def fake_compiler(folder: Path, script: str) -> str:
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="a compiler that is a shell script")
def test_flags_of_the_environment_reach_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    # Writes down what it is asked for, and makes the file behind -o.
    script = f'echo "$@" >> {log}\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && : > "$2"; shift; done'
    monkeypatch.setenv("CC", f"{fake_compiler(tmp_path, script)} --own")
    monkeypatch.setenv("CFLAGS", "-O1 -DX='a b'")
    monkeypatch.setenv("LDFLAGS", "-Lsomewhere")
    made = build.build(tmp_path / "out")
    assert made.is_file()
    *compiled, linked = log.read_text().splitlines()
    assert all(line.startswith("--own ") and "-Wall -Wextra" in line for line in compiled)
    assert all(line.index("-O3") < line.index("-O1 -DX=a b -c ") for line in compiled)
    assert "-O1 -DX=a b" in linked
    assert linked.endswith("-Lsomewhere")


@pytest.mark.skipif(os.name == "nt", reason="a compiler that is a shell script")
def test_why_a_wheel_has_no_library_is_found_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gptcli" / "model" / "native"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.so", "*.dylib", "__pycache__"))
    warned: list[str] = []
    app = SimpleNamespace(display_warning=warned.append)
    hook: Any = SimpleNamespace(target_name="wheel", root=str(tmp_path), app=app)
    script = "echo some words >&2; echo 'x.c:1: error: no such thing' >&2; exit 1"
    monkeypatch.setenv("CC", fake_compiler(tmp_path, script))
    data: dict[str, Any] = {"artifacts": []}
    NativeBuildHook.initialize(hook, "standard", data)
    assert data == {"artifacts": ["gptcli/model/native/build_failure.txt"]}  # a wheel for any machine
    assert "no such thing" in warned[0]
    monkeypatch.setattr(library, "_FOLDER", folder)
    monkeypatch.setattr(library, "kernels", lambda: None)
    said = library.unavailable()
    assert said is not None
    assert "cc failed: x.c:1: error: no such thing" in said
    assert "\n" not in said
    assert "some words" in (folder / "build_failure.txt").read_text()


def test_a_library_that_does_not_load_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libgptcli.so").write_text("no library")
    monkeypatch.setattr(library, "_FOLDER", tmp_path)
    monkeypatch.setattr(library, "kernels", lambda: None)
    assert "does not load" in str(library.unavailable())
    (tmp_path / "libgptcli.so").unlink()
    assert "python -m gptcli.model.native.build" in str(library.unavailable())
    monkeypatch.setattr(library, "kernels", lambda: "plain")
    assert "torch is faster" in str(library.unavailable())
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    assert "GPTCLI_NATIVE=0" in str(library.unavailable())
