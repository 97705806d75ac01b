"""The draw: one of the tokens that the filters left, by a generator keyed by the seed and the sample's number."""

import os

import numpy as np

from gptcli.errors import InputError
from gptcli.sampling.settings import Kept
from gptcli.sampling.softmax import softmax
from gptcli.text import clipped


def draw_token(kept: Kept, generator: np.random.Generator) -> int:
    """One token from the distribution that the kept logits describe, by inverting the cumulative sum.

    Takes exactly one uniform number from the generator, also when only one token is left, so that the draws of a
    sample do not depend on the filters.
    """
    uniform = generator.random()
    if kept.ids.size == 1:
        return int(kept.ids[0])
    cumulative = np.cumsum(softmax(kept.logits))
    index = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    return int(kept.ids[min(index, kept.ids.size - 1)])


def generator_for(seed: int, sample: int) -> np.random.Generator:
    """The generator of one sample: Philox, keyed by the seed and the sample's number (Salmon et al. 2011)."""
    # The type must be named: numpy would make floats of integers of which only some exceed 2^63.
    return np.random.Generator(np.random.Philox(key=np.array([seed, sample], dtype=np.uint64)))


def seed_or_drawn(seed: int | None) -> int:
    """The seed that was asked for, or a fresh one; it is reported, so that any result can be repeated.

    Raises:
        InputError: it does not fit into 64 bits.
    """
    if seed is not None and not 0 <= seed < 2**64:
        raise InputError(f"--seed {clipped(str(seed))}: it must be from 0 to 2^64 - 1")
    return int.from_bytes(os.urandom(4), "little") if seed is None else seed
