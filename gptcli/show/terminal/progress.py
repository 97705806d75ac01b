"""A progress bar on stderr, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from gptcli.show.terminal.console import stderr_console, stdout_is_terminal

Progress = Callable[[int, int | None], None]


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar that is cleared at the end; nothing if stderr is not a terminal.

    Yields:
        A function of how much is done, and of how much (None: unknown).
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import Progress as Bar

    # What is written to stdout meanwhile stays there.
    with Bar(console=stderr_console(), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def progress_beside_rows(label: str) -> AbstractContextManager[Progress]:
    """The same while rows are printed; nothing if they go to a terminal, where they would run through the bar."""
    return nullcontext(lambda done, total: None) if stdout_is_terminal() else progress_bar(label)
