"""Read a text with a model, position by position: what it expected, and how surprised it was."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.model.gpt import GPT

# Rows of logits that are held at a time: 128 x 50,257 float32 are 26 MB.
_ROWS = 128


@dataclass(frozen=True)
class Reading:
    """What a model said at one position of a text.

    Attributes:
        id: the token that stands there.
        best: the token it would have put next.
        best_probability: the probability it gave to that.
        entropy_bits: how undecided it was.
        next: the token that really came next; None at the end.
        next_logprob: natural logarithm of the probability it gave to that.
        next_rank: that token's rank; 1 is the most probable, and equal ones rank by id.
    """

    id: int
    best: int
    best_probability: float
    entropy_bits: float
    next: int | None
    next_logprob: float | None
    next_rank: int | None

    @property
    def next_probability(self) -> float | None:
        """The probability it gave to the token that came."""
        return None if self.next_logprob is None else math.exp(self.next_logprob)


@torch.inference_mode()
def next_logits(model: GPT, ids: Sequence[int], n_vocab: int) -> NDArray[np.float32]:
    """Logits for the token after ``ids``: [n_vocab] in float32.

    Raises:
        InputError: there is no token, or more than the context holds.
    """
    hidden = model.transform(token_batch(model, ids))  # [1, T, C]
    return np.asarray(model.unembed(hidden[0, -1])[:n_vocab].float().cpu().numpy())


@torch.inference_mode()
def read(model: GPT, ids: Sequence[int], n_vocab: int) -> Iterator[Reading]:
    """Go through a text position by position, and say what the model expected at each.

    Args:
        model: in eval mode.
        ids: the text, at most the context long.
        n_vocab: ids from here on are padding and left out.

    Raises:
        InputError: there is no token, or more than the context holds.
    """
    hidden = model.transform(token_batch(model, ids))[0]  # [T, C]
    for start in range(0, len(ids), _ROWS):
        logprobs = model.unembed(hidden[start : start + _ROWS])[:, :n_vocab].double().log_softmax(-1).cpu()
        best_logprobs, best = logprobs.max(-1)
        entropies = -(logprobs.exp() * logprobs).sum(-1) / np.log(2)
        for row in range(len(logprobs)):
            place = start + row
            following = ids[place + 1] if place + 1 < len(ids) else None
            yield Reading(
                id=ids[place],
                best=int(best[row]),
                best_probability=float(best_logprobs[row].exp()),
                entropy_bits=float(entropies[row]),
                next=following,
                next_logprob=None if following is None else float(logprobs[row, following]),
                next_rank=None if following is None else rank_of(logprobs[row], following),
            )


def rank_of(logprobs: torch.Tensor, token: int) -> int:
    """A token's place among all, [V]; 1 is the most probable, and equal ones rank by id."""
    before = (logprobs > logprobs[token]).sum() + (logprobs[:token] == logprobs[token]).sum()
    return int(before) + 1


def token_batch(model: GPT, ids: Sequence[int]) -> torch.Tensor:
    """[1, T] on the model's device, or an error that names both lengths."""
    if not ids:
        raise InputError("there is no token to read: the text is empty")
    if len(ids) > model.config.n_positions:
        raise InputError(
            f"the text has {len(ids):,} tokens and the model's context is {model.config.n_positions:,}: shorten it"
        )
    return torch.tensor([list(ids)], device=model.wte.weight.device)
