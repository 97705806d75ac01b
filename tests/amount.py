"""How much of a long search the tests do: a part of it, or all with ``GPTCLI_THOROUGH=1`` (``make thorough``)."""

import os
from typing import TypeVar

Amount = TypeVar("Amount")


def amount(usual: Amount, thorough: Amount) -> Amount:
    """A number of examples, or a size: ``usual``, or ``thorough`` in a thorough run."""
    return thorough if os.environ.get("GPTCLI_THOROUGH") == "1" else usual
