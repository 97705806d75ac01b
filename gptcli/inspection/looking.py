"""Where all heads look while a model reads one text: by the engine in C, or by the PyTorch model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.reading import check_fits


@dataclass(frozen=True)
class Looking:
    """The attention of one run; each layer's is computed when it is asked for.

    Attributes:
        pattern: of a layer, from 0, the attention weights, [H, T, T]; each row (a query) sums to 1.
        scores: of a layer what stands before the softmax, [H, T, T]; -inf where the mask is.
    """

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
    engine = checkpoint.native
    if engine is not None:
        seen = engine.record(ids)
        return Looking(seen.pattern, lambda layer: seen.pattern(layer, scores=True))
    from gptcli.inspection.record import record

    layers = record(checkpoint.model, ids, None if unchanged else checkpoint.changes).layers
    return Looking(
        lambda layer: layers[layer].pattern.cpu().numpy(),
        lambda layer: layers[layer].scores.cpu().numpy(),
    )
