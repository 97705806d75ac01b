"""What the hub's client says while it downloads: progress bars on a terminal, its warnings as our notices."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gptcli.checkpoint.hub_client import client
from gptcli.show.console import notice
from gptcli.show.text import clipped, visible


def progress_bar(file: str, *, shown: bool) -> type[Any]:
    """A progress bar for one file, as a class that the client makes its bars from; only a terminal gets to see it.

    The client names a bar after what the server says; ours goes by the file's name.
    """
    tqdm: Any = client().utils.tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            said = str(kwargs.get("desc", ""))
            kwargs["desc"] = visible(said, keep="") if file in said and said.isprintable() else file
            kwargs["disable"] = kwargs.get("disable") or not shown or not sys.stderr.isatty()
            super().__init__(*args, **kwargs)

    return Bar


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
