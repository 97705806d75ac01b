"""What a model does while it reads one text, in numpy: recorded by the engine in C, or of the PyTorch model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.reading import check_fits


@dataclass(frozen=True)
class Looking:
    """One run; the attention of each layer is computed when it is asked for.

    Attributes:
        stream: gives the residual stream before the first layer and after each, [L + 1, T, C].
        pattern: of a layer, from 0, the attention weights, [H, T, T]; each row (a query) sums to 1.
        scores: of a layer what stands before the softmax, [H, T, T]; -inf where the mask is.
    """

    stream: Callable[[], NDArray[np.float32]]
    pattern: Callable[[int], NDArray[np.float32]]
    scores: Callable[[int], NDArray[np.float32]]


def look(checkpoint: OpenCheckpoint, ids: Sequence[int], *, unchanged: bool = False) -> Looking:
    """Read a text.

    Args:
        checkpoint: the model.
        ids: the text.
        unchanged: without the checkpoint's changes.

    Raises:
        InputError: there is no token, or more than the context holds; or the text lacks what the changes name.
    """
    check_fits(ids, checkpoint.config.n_positions)
    engine = checkpoint.native_for(ids, unchanged=unchanged)
    if engine is not None:
        seen = engine.record(ids)
        return Looking(lambda: seen.stream, seen.pattern, lambda layer: seen.pattern(layer, scores=True))
    from gptcli.inspection.record import record

    run = record(checkpoint.model, ids, None if unchanged else checkpoint.changes)
    layers = run.layers
    return Looking(
        lambda: run.stream.float().cpu().numpy(),
        lambda layer: layers[layer].pattern.cpu().numpy(),
        lambda layer: layers[layer].scores.cpu().numpy(),
    )


def unembed(checkpoint: OpenCheckpoint, stream: NDArray[np.float32]) -> NDArray[np.float32]:
    """The final norm and the unembedding of rows of the residual stream: [N, C] -> logits [N, V]."""
    engine = checkpoint.native_for((), unchanged=True)
    if engine is not None:
        return engine.unembed(stream)
    import torch

    with torch.inference_mode():
        found = checkpoint.model.unembed(torch.from_numpy(stream).to(checkpoint.model.wte.weight))
    return np.asarray(found.float().cpu().numpy())
