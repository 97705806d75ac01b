"""What the hub's client says while it downloads: progress bars on a terminal, its warnings as our notices."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gptcli.checkpoint.hub_client import client
from gptcli.show.console import notice
from gptcli.show.text import clipped


def progress_bar(file: str, *, shown: bool, total: int, start: int) -> Any:
    """A progress bar for one file, of the client's kind; only a terminal gets to see it.

    Args:
        file: its name.
        shown: whether there is to be one.
        total: the size of the file, in bytes.
        start: how much of it is there already.
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
    """Show what the client logs meanwhile (that it tries again, that it waits) as notices."""
    logger = logging.getLogger("huggingface_hub")
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Notices()], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
