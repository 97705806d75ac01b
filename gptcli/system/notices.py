"""What is told in addition to the answer: plain lines on stderr."""

import sys
from collections.abc import Sequence

from gptcli.text import shortened, visible

_MOST_NOTICES = 20


def notice(message: str) -> None:
    """Tell the user something in addition to the answer: one plain line on stderr."""
    print(visible(message), file=sys.stderr, flush=True)


def notices(messages: Sequence[str]) -> None:
    """Tell the user several things in addition to the answer; of very many the first few, and how many are left."""
    for message in messages[:_MOST_NOTICES]:
        notice(shortened(message))
    if len(messages) > _MOST_NOTICES:
        notice(f"... and {len(messages) - _MOST_NOTICES:,} more remarks like these")
