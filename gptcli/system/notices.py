"""Notices: plain lines on stderr, next to the answer on stdout."""

import sys
from collections.abc import Sequence

from gptcli.text import shortened, visible

_MOST_NOTICES = 20


def notice(message: str) -> None:
    """Print one plain line on stderr."""
    print(visible(message), file=sys.stderr, flush=True)


def notices(messages: Sequence[str]) -> None:
    """Print several lines on stderr; of very many the first few, and how many are left."""
    for message in messages[:_MOST_NOTICES]:
        notice(shortened(message))
    if len(messages) > _MOST_NOTICES:
        notice(f"... and {len(messages) - _MOST_NOTICES:,} more notes like these")
