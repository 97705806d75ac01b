"""The residual stream of a recorded run at each stage, and what the PyTorch model would predict from it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gptcli.errors import OverflowedError
from gptcli.inspection.record import Record
from gptcli.model.gpt import GPT


def streams(run: Record, model: GPT, *, sublayers: bool = False) -> Iterator[tuple[int, str, Tensor]]:
    """The residual stream at each stage: layer, sublayer, [T, C].

    The stage between attention and MLP is the MLP's residual input: the layer's input plus attention's output, and the
    norm of that in a post-norm model.
    """
    yield 0, "embedding", run.embedded
    for number, layer in enumerate(run.layers, start=1):
        if sublayers:
            yield number, "attention", layer.mlp_in if model.config.post_norm else layer.before + layer.attention
        yield number, "layer", layer.after


def finite(logits: Tensor) -> Tensor:
    """Return the logits [..., V], which must be finite.

    Raises:
        OverflowedError: one is.
    """
    if not logits.isfinite().all():
        raise OverflowedError
    return logits


@torch.inference_mode()
def stage_logprobs(model: GPT, stream: Tensor, n_vocab: int) -> Tensor:
    """Final norm, unembedding, log-softmax: [T, C] -> [T, n_vocab] in float64 on the CPU."""
    logits = finite(model.unembed(stream)[:, :n_vocab])
    return logits.cpu().double().log_softmax(-1)
