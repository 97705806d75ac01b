"""The picture of ``gptcli bench``: rates, and bars that are full at the memory's limit."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.terminal.console import stderr_console
from gptcli.text import size, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.measuring.speed import Benchmark, Rate


def draw(found: "Benchmark") -> "RenderableType":
    """A headline, tables of decoding (with its limit) and of reading, and the memory."""
    from rich.console import Group
    from rich.text import Text

    threads = f"{found.threads} thread{'s' * (found.threads != 1)}"
    where = threads if found.device == "cpu" else found.device
    title = Text(visible(found.model), style="bold")
    title.append(f"  {found.weights} · {found.engine} · {where}", style="not bold")
    why = [] if found.why_not_c is None else [Text(found.why_not_c, style="dim")]
    return Group(title, *why, "", _writing(found), _reading(found), Text(_sums(found)))


@contextmanager
def progress_line() -> "Iterator[Callable[[str], None]]":
    """A line on stderr, on a terminal only, that says what is being measured; it is cleared at the end."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    with stderr_console().status("measuring", spinner="line", refresh_per_second=1) as status:
        yield lambda what: status.update(f"measuring: {what}")


def _writing(found: "Benchmark") -> "RenderableType":
    limited = found.bandwidth is not None
    made = table(">context", ">writes tokens/s", ">quartiles", *((">limit", ">reached", "") if limited else ()))
    for row in found.decoding:
        cells = [f"{row.context:,}", rate(row.tokens_per_s.median), _quartiles(row.tokens_per_s)]
        if row.limit is not None and row.fraction is not None:
            made.add_row(*cells, rate(row.limit), f"{row.fraction:.0%}", Bar(row.fraction))
        else:
            made.add_row(*cells)
    return made


def _reading(found: "Benchmark") -> "RenderableType":
    made = table(">prompt", ">reads tokens/s", ">quartiles")
    for row in found.reading:
        made.add_row(f"{row.tokens:,}", rate(row.tokens_per_s.median), _quartiles(row.tokens_per_s))
    return made


def _sums(found: "Benchmark") -> str:
    parts = [f"loaded in {found.load_s:.2f} s"]
    if found.peak_memory is not None:
        parts.append(f"peak memory {size(found.peak_memory)}")
    parts.append(f"each token reads {size(found.weight_bytes)} of weights")
    if found.bandwidth is not None:
        parts.append(f"memory gives {size(round(found.bandwidth))}/s")
    return " · ".join(parts)


def _quartiles(measured: "Rate") -> str:
    return f"{rate(measured.low)} – {rate(measured.high)}"


def rate(per_second: float) -> str:
    """A rate, to about three digits."""
    return (
        f"{per_second:,.0f}"
        if per_second >= 99.95
        else f"{per_second:.1f}"
        if per_second >= 9.995
        else f"{per_second:.2f}"
    )
