"""What is told in addition to the answer: plain lines on stderr."""

import sys
from collections.abc import Iterable

from gptcli.text import visible


def notice(message: str) -> None:
    """Tell the user something beside the answer: one plain line on stderr."""
    print(visible(message), file=sys.stderr, flush=True)


def notices(messages: Iterable[str]) -> None:
    """Tell the user several things beside the answer."""
    for message in messages:
        notice(message)
