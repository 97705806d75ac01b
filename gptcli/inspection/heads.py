"""The kind of each head, measured by its attention while the model reads random tokens twice.

On random tokens a head can only use position and repetition, so its kind shows: it looks at the previous token, the
first one, the same one, or, for an induction head, the one that followed the same token before
(Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, "In-context Learning and
Induction Heads", whose prefix-matching score is the induction score here, with two repeats).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.inspection.head_label import THRESHOLD as THRESHOLD
from gptcli.inspection.head_label import HeadKind as HeadKind
from gptcli.inspection.head_label import HeadLabel as HeadLabel
from gptcli.inspection.looking import look

# Tokens to repeat, if the context holds them twice.
REPEATED = 50
_SEED = 2022


def label_heads(checkpoint: OpenCheckpoint) -> list[list[HeadLabel]] | None:
    """Name the heads of a model, as it is without changes: [layer][head].

    Returns:
        None where no two tokens can be repeated: the context, or the vocabulary, is too small.
    """
    ids = repeated_tokens(checkpoint.n_vocab, checkpoint.config.n_positions)
    if len(ids) < 4:
        return None
    seen = look(checkpoint, ids, unchanged=True)
    return [labels(seen.pattern(layer)) for layer in range(checkpoint.config.n_layer)]


def repeated_tokens(n_vocab: int, n_positions: int) -> list[int]:
    """Different random tokens, twice in a row; the same ones on every call.

    They come from the first tenth of the ids without the first hundredth: byte-pair vocabularies are in the order of
    their merges, so these are frequent, but not the most frequent ones. A small vocabulary is used whole.
    """
    count = min(REPEATED, n_positions // 2, n_vocab)
    some = range(n_vocab // 100, n_vocab // 10)
    pool = some if len(some) >= count else range(n_vocab)
    drawn = np.random.Generator(np.random.Philox(key=_SEED)).choice(len(pool), size=count, replace=False)
    return [pool[index] for index in drawn.tolist()] * 2


def labels(pattern: NDArray[np.float32]) -> list[HeadLabel]:
    """Name heads by their attention on ``n`` different tokens that come twice.

    Args:
        pattern: [H, 2n, 2n], each row a query.
    """
    length = pattern.shape[-1]
    half = length // 2
    weights = pattern.astype(np.float64)
    before = weights.diagonal(-1, 1, 2)  # [H, 2n - 1]: from each query but the first
    first = weights[:, 1:, 0]  # [H, 2n - 1]
    own = weights.diagonal(0, 1, 2)[:, 1:]  # [H, 2n - 1]
    earlier = weights.diagonal(-half, 1, 2)  # [H, n]: from the second round
    behind = weights.diagonal(1 - half, 1, 2)[:, 1:]  # [H, n]: n - 1 back, from the second round
    same = (own.sum(-1) + earlier.sum(-1)) / (length - 1)
    scores = np.stack([before.mean(-1), first.mean(-1), same, behind.mean(-1)], axis=-1)  # [H, 4]
    return [_label(row) for row in scores.clip(0, 1).tolist()]


def _label(scores: Sequence[float]) -> HeadLabel:
    kinds: tuple[HeadKind, ...] = ("previous token", "first token", "same token", "induction")
    score, nearest = max(zip(scores, kinds, strict=True), key=lambda pair: pair[0])
    return HeadLabel(nearest if score >= THRESHOLD else None, score, nearest, *scores)
