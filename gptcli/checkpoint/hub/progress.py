"""Output of the hub's client: progress bars on a terminal, and its warnings as notices of ours."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gptcli.checkpoint.hub.client import client
from gptcli.system.notices import notice
from gptcli.text import clipped


def progress_bar(file: str, *, shown: bool, total: int, start: int) -> Any:
    """The client's progress bar for one file, on a terminal only.

    Args:
        file: its name.
        shown: whether to show it.
        total: the size of the file, in bytes.
        start: bytes that are already there.
    """
    bar: Any = client().utils.tqdm
    hidden = not shown or not sys.stderr.isatty()
    return bar(desc=file, total=total, initial=start, unit="B", unit_scale=True, disable=hidden)


class _Notices(logging.Handler):
    """Log records, one line each on stderr, control characters made visible and addresses without their signatures."""

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        notice(clipped(re.sub(r"(https?://[^\s?]*)\?[^\s':]*", r"\1", line), 400))


@contextmanager
def client_warnings() -> Iterator[None]:
    """Show the client's log messages (retries, waits) as notices."""
    logger = logging.getLogger("huggingface_hub")
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Notices()], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
