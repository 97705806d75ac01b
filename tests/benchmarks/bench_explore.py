"""From a key to the picture in ``gptcli explore``, on a pseudo-terminal.

    python -m tests.benchmarks.bench_explore             tales
    python -m tests.benchmarks.bench_explore MODEL ...

A text is typed key by key. The time of a key ends when the last byte of its picture has come: the first one is that of
the text and the distribution, the last one that of the tab. The figures are medians, with the slowest of all in
brackets.
"""

import os
import select
import statistics
import sys
import time

from tests.explore.terminal import Terminal

TYPED = " loved to play in the park with her best friend Tom"
SIZES = ((80, 24), (100, 30), (200, 60))
TABS = {"a": "attention", "l": "lens", "w": "weights"}
# Of silence, after which a picture is whole.
SILENCE_S = 0.25


def key_seconds(terminal: Terminal, key: str) -> tuple[float, float]:
    """Seconds from a key to the first and to the last byte of what it changes."""
    start = time.perf_counter()
    terminal.press(key)
    first = last = 0.0
    while select.select([terminal.ours], [], [], SILENCE_S if last else 10)[0]:
        os.read(terminal.ours, 65536)
        last = time.perf_counter() - start
        first = first or last
    return first, last


def measure(model: str, size: tuple[int, int], tab: str) -> list[tuple[float, float]]:
    """The seconds of each key."""
    words = ["-m", "gptcli", "explore", "Once upon a time there was a girl named Lily. She", "-m", model]
    terminal = Terminal(words, dict(os.environ) | {"GPTCLI_THEME": "dark"}, size=size)
    terminal.read_until(lambda said: b"tokens" in said)
    for key in (tab, "i"):
        key_seconds(terminal, key)
    found = [key_seconds(terminal, key) for key in TYPED]
    terminal.press("\x03")
    terminal.end()
    return found


def main() -> None:
    """Measure, and print a line for each model, size and tab."""
    print(f"{'model':<12} {'size':<8} {'tab':<10} {'first byte':>16} {'whole picture':>16}")
    for model in sys.argv[1:] or ["tales"]:
        for size in SIZES:
            for tab, name in TABS.items():
                each = zip(*measure(model, size, tab), strict=True)
                told = [f"{statistics.median(ms) * 1000:.0f} ms ({max(ms) * 1000:.0f})" for ms in each]
                print(f"{model[-12:]:<12} {size[0]}x{size[1]:<5} {name:<10} {told[0]:>16} {told[1]:>16}", flush=True)


if __name__ == "__main__":
    main()
