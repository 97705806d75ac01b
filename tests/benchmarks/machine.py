"""The machine that a benchmark ran on, and whether anybody else was using it."""

import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from gptcli.measuring.speed import QUIET, busy_processors
from gptcli.model.native import library
from gptcli.system.threads import default_threads

# A loop that always does the same may take this much longer at its slowest (of the middle runs) than at its fastest.
_STEADY = 1.15
_PATIENCE_S = 60


@dataclass
class Watch:
    """How quiet the machine was, looked at again and again while nothing of ours ran.

    Attributes:
        busy: shares of the processors' time that others took.
        spread: of a loop that always does the same: middle run over fastest, each time it was tried.
        load: load averages of the last minute when the benchmark began.
    """

    busy: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def pause(self, seconds: float = 0.2) -> None:
        """Let waiting threads go to sleep, then look."""
        time.sleep(0.2)
        share = busy_processors(seconds)
        if share is not None:
            self.busy.append(share)

    def spin(self) -> None:
        """Whether the same loop takes the same time: a neighbour on the same hardware does not show otherwise."""
        seconds = []
        for _ in range(15):
            started = time.perf_counter()
            for _ in range(300_000):
                pass
            seconds.append(time.perf_counter() - started)
        self.spread.append(median(seconds) / min(seconds))

    def wait(self) -> None:
        """Give the machine a minute to become quiet."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and (busy_processors(1.0) or 0.0) > QUIET / 2:
            pass
        self.load = os.getloadavg()[0]

    def troubles(self) -> list[str]:
        """Why the figures are not to be trusted; nothing where they are."""
        found = []
        if self.busy and (median(self.busy) > QUIET / 2 or sorted(self.busy)[len(self.busy) * 9 // 10] > 4 * QUIET):
            found.append(
                f"others took {median(self.busy):.0%} of the processors (median of {len(self.busy)} looks; "
                f"at most {max(self.busy):.0%})"
            )
        if self.spread and median(self.spread) > _STEADY:
            found.append(f"a loop that always does the same took {median(self.spread):.2f} times its fastest run")
        return found

    def told(self) -> str:
        """The figures behind ``troubles``."""
        if not self.busy:
            return f"load average {self.load:.2f} at the start; this system does not tell what others use"
        return (
            f"load average {self.load:.2f} at the start; others took {median(self.busy):.1%} of the processors "
            f"(median of {len(self.busy)} looks between runs, at most {max(self.busy):.0%}); spin test "
            f"{median(self.spread or [1.0]):.2f}"
        )


def processor() -> str:
    """The processor's name, with what its instruction set gives the engine in C."""
    name = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return f"{name} ({library.kernels() or 'no engine in C'})"


def facts() -> dict[str, str]:
    """What else decides speed."""
    memory = next((line.split()[1] for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), None)
    flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith(("flags", "Features"))), "").split()
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd") if name in flags]
    return {
        "processors": f"{os.cpu_count()}, and {default_threads()} threads of each program",
        "instructions": ", ".join(known) or "?",
        "memory": f"{int(memory) / 1e6:.0f} GB" if memory else "?",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
