"""Compile the engine to WebAssembly: ``python -m gptcli.model.native.web.build``. The package has the result.

It needs clang with the target wasm32-wasi and wasi-libc (Debian: clang, lld, wasi-libc, libclang-rt-dev-wasm32). The
library has one thread and imports nothing. ``built.json`` is written with it: which sources and which compiler made it.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "engine.wasm"
RECORD = FOLDER / "built.json"
_SOURCES = FOLDER.parent / "src"
# pool.c here stands in for the threads; AMX, mapped files and the tests' entries are for other machines.
_LEFT_OUT = ("amx", "amx_int8", "amx_fixed", "pool", "pace", "bus_errors", "testing")
EXPORTS = (
    "malloc",
    "free",
    "gptcli_new",
    "gptcli_borrow_matrix",
    "gptcli_fill_vector",
    "gptcli_read",
    "gptcli_read_logits",
    "gptcli_pattern",
    "gptcli_unembed",
    "gptcli_shortlist",
)
_TARGET = ("--target=wasm32-wasi", "-msimd128")
_FLAGS = (
    *("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fno-math-errno", "-fno-trapping-math"),
    *("-ffunction-sections", "-fdata-sections", f"-I{FOLDER / 'include'}"),
)
_KERNELS = ("-O3", "-DKERNELS=kernels_plain", '-DNAME="wasm"')  # all loops that take time
_STACK = 1 << 18


def build(library: Path = LIBRARY, compiler: str = "clang") -> None:
    """Compile and link.

    Raises:
        OSError: there is no such compiler.
        subprocess.CalledProcessError: it failed; its messages are on stderr.
    """
    with tempfile.TemporaryDirectory() as work:
        objects = []
        sources = [path for path in sorted(_SOURCES.glob("*.c")) if path.stem not in _LEFT_OUT]
        for source in (*sources, FOLDER / "pool.c"):
            made = Path(work) / f"{source.stem}.o"
            flags = _KERNELS if source.stem == "kernels" else ("-Os",)
            subprocess.run([compiler, *_TARGET, *_FLAGS, *flags, "-c", str(source), "-o", str(made)], check=True)
            objects.append(str(made))
        exports = [f"-Wl,--export={name}" for name in EXPORTS]
        linked = ["-mexec-model=reactor", "-nostartfiles", "-Wl,--no-entry,--gc-sections,--strip-all"]
        sizes = f"-Wl,-z,stack-size={_STACK}"
        subprocess.run([compiler, *_TARGET, *linked, sizes, *exports, *objects, "-o", str(library)], check=True)
    library.chmod(0o644)


def record(compiler: str = "clang") -> dict[str, str]:
    """What ``built.json`` says after a build: the sources, and the compiler's version."""
    said = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout
    return {"sources": sources_digest(), "compiler": said.splitlines()[0]}


def sources_digest() -> str:
    """The SHA-256 of all that the library is made from."""
    files = sorted(
        (*_SOURCES.glob("*.[ch]"), *FOLDER.rglob("*.[ch]"), Path(__file__)), key=lambda path: path.as_posix()
    )
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


if __name__ == "__main__":
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    RECORD.write_text(f"{json.dumps(record())}\n", encoding="utf-8")
    print(LIBRARY)
