"""The kernels for ARM, run by qemu: they say what plain C says.

NEON's are compiled for aarch64 by a cross compiler. The program ``numbers.c`` draws weights and prints what the library
makes of them; here it is built twice, for ARM and in plain C for this machine.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
CROSS, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"
# The same sums in another order. int4: where a weight lies in the middle between two levels, either may be taken.
CLOSE = {"int4": 5e-3, "int8": 2e-4}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not (shutil.which(CROSS) and shutil.which(QEMU)),
        reason=f"needs {CROSS} and {QEMU} (Debian: gcc-aarch64-linux-gnu, qemu-user)",
    ),
]


def built(folder: Path, compiler: str, **environment: str) -> Path:
    """The library in a folder, and ``numbers.c`` linked with it: the program."""
    variables = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS")}
    command = [sys.executable, "-m", "gptcli.model.native.build", str(folder)]
    subprocess.run(command, env={**variables, "CC": compiler, **environment}, check=True, capture_output=True)
    program = folder / "numbers"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1"]
    linked = [str(HERE / "numbers.c"), "-L", str(folder), "-lgptcli", "-lm", f"-Wl,-rpath,{folder}", "-o", str(program)]
    subprocess.run([compiler, *flags, *linked], check=True, capture_output=True)
    return program


def said(command: list[str], kernels: str) -> list[tuple[str, np.ndarray]]:
    """A program's lines: names and numbers; it must have run on these kernels."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    assert done.stderr.strip() == kernels
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(name, np.array(numbers, float)) for name, *numbers in lines]


def test_neon_says_what_plain_c_says(tmp_path: Path) -> None:
    arm = built(tmp_path / "arm", CROSS, CFLAGS="-Werror", _PYTHON_HOST_PLATFORM="linux-aarch64")
    # A processor of no known kind gets plain C alone.
    here = built(tmp_path / "plain", "cc", CFLAGS="-Werror -DGPTCLI_PLAIN", _PYTHON_HOST_PLATFORM="linux-plain")
    neon = said([QEMU, "-L", "/usr/aarch64-linux-gnu", str(arm)], "neon")
    plain = said([str(here)], "plain")
    assert [name for name, _ in neon] == [name for name, _ in plain]
    assert len(neon) > 300
    worst: dict[str, float] = {}
    for (name, found), (_, expected) in zip(neon, plain, strict=True):
        kind = name.split("/")[0]
        assert found.shape == expected.shape
        assert np.isfinite(expected).all()
        if kind in ("bytes", "places", "broken"):
            assert np.array_equal(found, expected), name
            continue
        off = float(np.abs(found - expected).max() / np.abs(expected).max())
        worst[kind] = max(worst.get(kind, 0.0), off)
        assert off < CLOSE.get(kind, 1e-5), name
    print(f"{len(neon)} lines; largest differences, relative:", *(f"{kind} {off:.1g}" for kind, off in worst.items()))
