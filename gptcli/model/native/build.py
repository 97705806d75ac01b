"""Compile the library: ``python -m gptcli.model.native.build [FOLDER]``. The package's build does the same.

The kernels are compiled once for each instruction set, and one copy is selected at run time. The build needs only a C
compiler. Without one, gptcli runs on torch alone.

Environment variables: ``CC`` is the compiler; ``CFLAGS`` are added after our own flags, for compiling and linking;
``LDFLAGS`` for linking. The variables that setuptools reads for cross-compilation are respected too:
``_PYTHON_HOST_PLATFORM``, and on macOS ``ARCHFLAGS`` and ``MACOSX_DEPLOYMENT_TARGET``.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

WHY_NOT = "build_failure.txt"
"""File in the library's folder: why a wheel was built without the library."""

_FOLDER = Path(__file__).parent
_SOURCES = (
    "dispatch.c",
    "pool.c",
    "pace.c",
    "store.c",
    "linear.c",
    "attention.c",
    "heads.c",
    "hooks.c",
    "norm.c",
    "reading.c",
    "shortlist.c",
    "model.c",
    "engine.c",
    "bus_errors.c",
    "testing.c",
)
_AMX_SOURCES = ("amx.c", "amx_int8.c", "amx_fixed.c")
_FLAGS = ("-O3", "-std=gnu11", "-Wall", "-Wextra", "-fPIC", "-pthread", "-fno-math-errno", "-fno-trapping-math")
_X86 = {
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx2", "-mfma", "-mf16c"),
}
_AVX512_VNNI = (*_X86["avx512"], "-mavx512vnni")
_AMX = (*_X86["avx512"], "-mamx-tile", "-mamx-int8")
# Plain C only, with pool.c's assertions and the functions with which tests stop and delay its threads.
_CHECKED = ("-O1", "-DGPTCLI_CHECK", "-DGPTCLI_PLAIN")


class _Job(NamedTuple):
    """A source to compile; for ``kernels.c``, also which copy of it, and the name that this copy reports."""

    source: str
    kernels: str = ""
    flags: Sequence[str] = ()
    name: str = ""


# Some compilers do not support these yet. On AMD's Zen 4, prefetching into L1 costs bandwidth: into L2 instead, Pythia
# 160M decodes 1.1 times as fast in float32 and 1.2 times in float16. Its VBMI makes a row in 4 bits a tenth faster.
_VNNI = (
    _Job("kernels.c", "avx2_vnni", (*_X86["avx2"], "-mavxvnni")),
    _Job("kernels.c", "avx512_vnni", _AVX512_VNNI),
    _Job("kernels.c", "avx512_vnni_amd", (*_AVX512_VNNI, "-mavx512vbmi", "-DPREFETCH_INTO=2"), "avx512 and vnni"),
)


class NoCompilerError(Exception):
    """There is no C compiler, or it failed."""


class Target(NamedTuple):
    """The platform that the library is built for: one operating system, one architecture.

    Attributes:
        system: ``linux`` or ``macosx``; the build refuses others.
        release: on macOS, the oldest version that it runs on; else "".
        machine: ``x86_64``, ``aarch64``, ``arm64``, ...
    """

    system: str
    release: str
    machine: str

    @property
    def tag(self) -> str:
        """The platform tag of a wheel, for example ``macosx_11_0_arm64``."""
        return re.sub(r"[-.]", "_", "-".join(filter(None, self)))

    @property
    def x86(self) -> bool:
        """Whether the architecture is x86-64."""
        return self.machine in ("x86_64", "AMD64")

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that select the target with Apple's compiler; other compilers need none."""
        apple = self.system == "macosx"
        return ("-arch", self.machine, f"-mmacosx-version-min={self.release}") if apple else ()


def target() -> Target:
    """The platform to build for.

    ``sysconfig.get_platform()`` gives the platform of Python, which on macOS may have several architectures
    (``universal2``). The library has one: that of ``ARCHFLAGS``, or this machine's.

    Raises:
        NoCompilerError: ``ARCHFLAGS`` asks for several.
    """
    system, *release, machine = sysconfig.get_platform().split("-")
    if system != "macosx":
        return Target(system, "", machine)
    wanted = set(re.findall(r"-arch\s+(\S+)", os.environ.get("ARCHFLAGS", "")))
    if len(wanted) > 1:
        raise NoCompilerError(f"the engine in C is built for one of {' and '.join(sorted(wanted))} at a time")
    if wanted or machine not in ("arm64", "x86_64"):
        machine = wanted.pop() if wanted else platform.machine()
    oldest = os.environ.get("MACOSX_DEPLOYMENT_TARGET") or "".join(release)
    if machine == "arm64" and int(oldest.split(".")[0]) < 11:
        oldest = "11.0"  # the first version on arm64
    return Target(system, oldest if "." in oldest else f"{oldest}.0", machine)


def build(folder: Path = _FOLDER, *, checked: bool = False) -> Path:
    """Compile the library into a folder.

    Args:
        folder: created if it does not exist.
        checked: build for tests of the threads: with assertions, and in plain C only.

    Returns:
        The library's path.

    Raises:
        NoCompilerError: says why there is no library now.
    """
    machine = target()
    if machine.system not in ("linux", "macosx"):
        raise NoCompilerError(f"the engine in C does not know {machine.system}")
    compiler = [*_compiler(), *machine.flags]
    library = folder / ("libgptcli.dylib" if machine.system == "macosx" else "libgptcli.so")
    with tempfile.TemporaryDirectory() as work:
        made = Path(work) / library.name
        objects = _objects(compiler, Path(work), machine, checked=checked)
        linked = ["-shared", "-pthread", "-o", str(made), *map(str, objects), "-lm"]
        _run([*compiler, *_given("CFLAGS"), *linked, *_given("LDFLAGS")])
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = library.with_suffix(".part")
        shutil.copyfile(made, unfinished)
        os.replace(unfinished, library)
    return library


def _compiler() -> list[str]:
    found = [path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    compiler = _given("CC") or found[:1]
    if not compiler:
        raise NoCompilerError("no C compiler was found (cc, gcc, clang or $CC)")
    return compiler


def _given(name: str) -> list[str]:
    """The words of an environment variable."""
    return shlex.split(os.environ.get(name, ""))


def _objects(compiler: list[str], work: Path, machine: Target, *, checked: bool) -> list[Path]:
    """Compile all sources, the kernels once for each instruction set that the platform and the compiler support."""
    x86, checks = machine.x86 and not checked, _CHECKED if checked else ()
    vnni = _if_known(compiler, work, _VNNI) if x86 else []
    known = ["-DGPTCLI_VNNI"] if vnni else []
    products = [_Job(source, flags=(*_AMX, *known)) for source in _AMX_SOURCES]
    amx = _if_known(compiler, work, products) if x86 and machine.system == "linux" else []
    known += ["-DGPTCLI_AMX"] if amx else []
    jobs = [_Job("kernels.c", name, flags) for name, flags in _X86.items()] if x86 else []
    # Every 64-bit ARM has NEON: there, the plain copy uses it.
    plain = "neon" if machine.machine in ("aarch64", "arm64") else "plain"
    jobs.append(_Job("kernels.c", "plain", checks, plain))
    jobs += [_Job(source, flags=(*known, *checks)) for source in _SOURCES]
    return [*amx, *vnni, *_compiled(compiler, work, jobs)]


def _compiled(compiler: list[str], work: Path, jobs: Iterable[_Job]) -> list[Path]:
    """Compile in parallel; returns the objects."""

    def compiled(job: _Job) -> Path:
        made = work / f"{Path(job.source).stem}{job.kernels}.o"
        said = job.name or job.kernels.replace("_", " and ")
        names = (f"-DKERNELS=kernels_{job.kernels}", f'-DNAME="{said}"') if job.kernels else ()
        file = str(_FOLDER / "src" / job.source)
        _run([*compiler, *_FLAGS, *job.flags, *names, *_given("CFLAGS"), "-c", file, "-o", str(made)])
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compiled, jobs))


def _if_known(compiler: list[str], work: Path, jobs: Iterable[_Job]) -> list[Path]:
    """The objects of all jobs, or none where the compiler does not support the instructions."""
    try:
        return _compiled(compiler, work, jobs)
    except NoCompilerError:
        if "-Werror" in _given("CFLAGS"):  # a warning is no reason to leave them out
            raise
        return []


def _run(command: list[str]) -> None:
    """Run the compiler; its warnings are printed on stderr.

    Raises:
        NoCompilerError: its first error, followed by its whole output.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise NoCompilerError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        first = next((line for line in said if "error" in line.lower()), said[0])
        raise NoCompilerError("\n".join((f"{command[0]} failed: {first.strip()}", *said)))
    sys.stderr.write(done.stderr)


if __name__ == "__main__":
    try:
        print(build(*map(Path, sys.argv[1:2])))
    except NoCompilerError as error:
        sys.exit(f"error: {error}")
