"""Compile the library: ``python -m gptcli.model.native.build``. The package's build does the same.

Each instruction set gets its own copy of the kernels; which one runs is decided where it runs. A compiler is all that
is needed, and where there is none, gptcli runs on torch alone.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent
_SOURCES = (
    "dispatch.c",
    "pool.c",
    "store.c",
    "linear.c",
    "attention.c",
    "shortlist.c",
    "engine.c",
    "bus_errors.c",
    "testing.c",
)
_AMX_SOURCES = ("amx.c", "amx_int8.c", "amx_fixed.c")
_FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-pthread", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra")
_X86 = {
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma", "-mf16c"),
}
# Newer than some compilers.
_VNNI = {"avx2_vnni": (*_X86["avx2"], "-mavxvnni"), "avx512_vnni": (*_X86["avx512"], "-mavx512vnni")}
_AMX = (*_X86["avx512"], "-mamx-tile", "-mamx-int8")
# Plain C alone, with pool.c's assertions and the functions by which tests stop and delay its threads.
_CHECKED = ("-O1", "-DGPTCLI_CHECK", "-DGPTCLI_PLAIN")


class NoCompilerError(Exception):
    """There is no C compiler, or it refused."""


def build(folder: Path = _FOLDER, *, checked: bool = False) -> Path:
    """Compile the library into a folder.

    Args:
        folder: made where it is not there.
        checked: for tests of the threads: it checks itself, and knows no instruction sets.

    Returns:
        The library's path.

    Raises:
        NoCompilerError: says why there is no library now.
    """
    if sys.platform not in ("linux", "darwin"):
        raise NoCompilerError(f"the engine in C does not know {sys.platform}")
    compiler = (
        shlex.split(os.environ.get("CC", ""))
        or [found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))][:1]
    )
    if not compiler:
        raise NoCompilerError("no C compiler was found (cc, gcc, clang or $CC)")
    library = folder / ("libgptcli.dylib" if sys.platform == "darwin" else "libgptcli.so")
    with tempfile.TemporaryDirectory() as work:
        x86 = platform.machine() in ("x86_64", "AMD64") and not checked
        copies = [("kernels.c", name, flags) for name, flags in _VNNI.items()]
        vnni = _if_known(compiler, Path(work), copies) if x86 else []
        known = ["-DGPTCLI_VNNI"] if vnni else []
        jobs = [(source, "", (*_AMX, *known)) for source in _AMX_SOURCES]
        amx = _if_known(compiler, Path(work), jobs) if x86 and sys.platform == "linux" else []
        known += ["-DGPTCLI_AMX"] if amx else []
        known += _CHECKED if checked else ()
        objects = [*amx, *vnni, *(_compiled(compiler, Path(work), source, flags=known) for source in _SOURCES)]
        objects.append(_compiled(compiler, Path(work), "kernels.c", "plain", known if checked else ()))
        if x86:
            objects += [_compiled(compiler, Path(work), "kernels.c", name, flags) for name, flags in _X86.items()]
        made = Path(work) / library.name
        _run([*compiler, "-shared", "-pthread", "-o", str(made), *map(str, objects), "-lm"])
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = library.with_suffix(".part")
        shutil.copyfile(made, unfinished)
        os.replace(unfinished, library)
    return library


def _compiled(compiler: list[str], work: Path, source: str, kernels: str = "", flags: Sequence[str] = ()) -> Path:
    made = work / f"{Path(source).stem}{kernels}.o"
    names = (f"-DKERNELS=kernels_{kernels}", f'-DNAME="{_name(kernels)}"') if kernels else ()
    _run([*compiler, *_FLAGS, *flags, *names, "-c", str(_FOLDER / "src" / source), "-o", str(made)])
    return made


def _if_known(compiler: list[str], work: Path, jobs: Iterable[tuple[str, str, Sequence[str]]]) -> list[Path]:
    """The objects of all jobs (see ``_compiled``), or nothing where the compiler is older than the instructions."""
    try:
        return [_compiled(compiler, work, *job) for job in jobs]
    except NoCompilerError:
        return []


def _name(kernels: str) -> str:
    """What the plain copy really is: NEON belongs to every 64-bit ARM."""
    neon = kernels == "plain" and platform.machine() in ("aarch64", "arm64")
    return "neon" if neon else kernels.replace("_", " and ")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoCompilerError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise NoCompilerError(f"{' '.join(command[:1])} failed:\n{done.stderr}")


if __name__ == "__main__":
    print(build())
