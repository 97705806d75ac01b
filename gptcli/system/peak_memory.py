"""How much memory this process has held."""

import sys
from pathlib import Path


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux: getrusage would start from what the parent process held
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return None if peak is None else int(peak.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
