"""A head by its weights: what it moves (OV) and what it looks for (QK), after Elhage et al. 2021.

"A Mathematical Framework for Transformer Circuits" takes a head apart into two circuits. OV, W_U W_O W_V W_E: which
logits it raises when it looks at a token. QK, W_E^T W_Q^T W_K W_E: how much a token wants to look at another one. Here
a token is the stream after the first layer of a text of this token alone (Wang et al. 2022, "Interpretability in the
Wild", section 3.1), or its embedding; it goes through the norm of the head's layer, as if the layers between added
nothing, and what the head writes goes through the norms behind it (see ``stream``). Shares are measured on a sample of
tokens, and the vocabulary goes through in blocks, so that nothing of its square is ever in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.inspection.stream import Floats, StreamWeights
from gptcli.model.positions import alibi_slopes, query_growth, rotary_table

# Positions of the text on which attention by distance is measured.
MOST_DISTANCES = 128
# Sampled tokens whose scores are in memory at a time, next to a block of the vocabulary; its square is how many scores.
AT_ONCE = 2048


class HeadWeights:
    """The matrices of one head.

    Args:
        stream: the model's weights.
        layer, head: from 0.
    """

    def __init__(self, stream: StreamWeights, layer: int, head: int) -> None:
        config, self._stream = stream.config, stream
        self.layer, self.head = layer, head
        self.key_head = head if (shared := config.key_head(head)) is None else shared
        self._name, size = f"h.{layer}.attn", config.head_size
        q_width, k_width, _ = config.qkv_widths
        whole = config.qk_norm == "whole"  # a norm over all heads needs them all
        self._q_rows = range(q_width) if whole else range(head * size, (head + 1) * size)
        keys = range(k_width) if whole else range(self.key_head * size, (self.key_head + 1) * size)
        self._k_rows = range(q_width + keys.start, q_width + keys.stop)
        first = q_width + k_width + self.key_head * size
        self._v_rows = range(first, first + size)
        self._q, self._k, self._v = (self._rows(rows) for rows in (self._q_rows, self._k_rows, self._v_rows))
        self.o = stream.arrays.columns(f"{self._name}.c_proj.weight", range(head * size, (head + 1) * size))  # [C, D]

    def _rows(self, rows: range) -> Floats:
        return self._stream.arrays.rows(f"{self._name}.c_attn.weight", rows.start, rows.stop)

    def queries(self, x: Floats) -> Floats:
        """What it looks for, before the rotation: what its layer's attention reads, [n, C] -> [n, D]."""
        return self._normed("q_norm", self._projected(x, self._q, self._q_rows), self.head)

    def keys(self, x: Floats) -> Floats:
        """What it is matched with, before the rotation: [n, C] -> [n, D]."""
        return self._normed("k_norm", self._projected(x, self._k, self._k_rows), self.key_head)

    def values(self, x: Floats) -> Floats:
        """What it takes from a token: [n, C] -> [n, D]."""
        return self._projected(x, self._v, self._v_rows)

    def _projected(self, x: Floats, weight: Floats, rows: range) -> Floats:
        bias = self._stream.vector(f"{self._name}.c_attn.bias")
        made = x @ weight.T if bias is None else x @ weight.T + bias[rows.start : rows.stop]
        clip = self._stream.config.qkv_clip
        return made if clip is None else np.clip(made, -clip, clip)

    def _normed(self, name: str, x: Floats, head: int) -> Floats:
        """The norm on queries or keys, where the model has one; then this head's part."""
        config, size = self._stream.config, self._stream.config.head_size
        if config.qk_norm == "none":
            return x
        if config.norm_kind == "layer":
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + config.layer_norm_epsilon)
        weight, bias = (self._stream.vector(f"{self._name}.{name}.{each}") for each in ("weight", "bias"))
        if config.qk_norm == "each head":
            weight, bias = (None if part is None else part[head] for part in (weight, bias))
        if weight is not None:
            x = x * (1 + weight if config.norm_plus_one else weight)
        if bias is not None:
            x = x + bias
        return x[..., head * size : (head + 1) * size] if config.qk_norm == "whole" else x


def rotated(stream: StreamWeights, layer: int, x: Floats, positions: Sequence[int]) -> Floats:
    """Queries or keys at their positions: [n, D] -> [n, D]; unchanged where the layer has no rotary positions.

    Args:
        stream: the model.
        layer: from 0.
        x: a row for each position.
        positions: from 0, one for each row, or one for all.
    """
    config = stream.config
    place = config.rotary_table(layer)
    if place is None:
        return x
    turns = rotary_table(config, max(positions) + 1, place=place)[list(positions)]  # [n or 1, R / 2, 2]
    cos, sin = turns[..., 0], turns[..., 1]
    half = turns.shape[-2]
    turned = x.copy()
    first, second = (
        (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
        if config.rotary_interleaved
        else (slice(half), slice(half, 2 * half))
    )
    turned[:, first] = x[:, first] * cos - x[:, second] * sin
    turned[:, second] = x[:, second] * cos + x[:, first] * sin
    return turned


class Circuits:
    """The two circuits of a head on a sample of tokens.

    Args:
        stream: the model's weights.
        head: of the head.
        ids: the sampled tokens.
        x: what attention of its layer reads of each, [n, C].
        distance: from query to key, in positions.
    """

    def __init__(self, stream: StreamWeights, head: HeadWeights, ids: Sequence[int], x: Floats, distance: int) -> None:
        config = stream.config
        self.stream, self.head, self.ids, self.distance = stream, head, np.array(ids), distance
        self.out = stream.to_unembedding(head.layer, "attention", np.ascontiguousarray(head.o.T))  # [D, E]
        values = head.values(x)
        self.mean = values.mean(0)
        self.values = values - self.mean  # [n, D]
        growth = query_growth(config, distance + 1)[distance] if config.query_growth else 1.0
        scale = np.float32(config.scale(head.layer) * growth)
        self.q = rotated(stream, head.layer, head.queries(x), [distance]) * scale
        self.k = rotated(stream, head.layer, head.keys(x), [0])

    def copying_score(self) -> float:
        """See ``Moves``. Both sides are taken less their mean: that adds the same to all logits, or to every token."""
        written = self.stream.unembedding_of(self.ids.tolist()) @ self.out.T  # [n, D]
        return eigenvalue_score(written - written.mean(0), self.values)

    def matching_score(self) -> float:
        """See ``Looks``. Both sides are taken less their mean."""
        return eigenvalue_score(self.k - self.k.mean(0), self.q - self.q.mean(0))

    def matches(self, places: Sequence[int]) -> Floats:
        """Scaled scores of some sampled tokens as queries with each as a key, less their mean over the keys.

        Args:
            places: of the queries in the sample.

        Returns:
            [queries, n].
        """
        scores: Floats = self.q[list(places)] @ (self.k - self.k.mean(0)).T
        return scores

    def mean_matches(self) -> Floats:
        """The same for the mean of the queries: [n]."""
        scores: Floats = self.q.mean(0) @ (self.k - self.k.mean(0)).T
        return scores

    def match_ranks(self) -> NDArray[np.int64]:
        """The rank of each sampled token among those that it matches: [n]."""
        count = len(self.ids)
        ranks = np.ones(count, np.int64)
        step = max(AT_ONCE * AT_ONCE // count, 1)
        for start in range(0, count, step):
            places = range(start, min(start + step, count))
            scores = self.matches(places)
            own = scores[np.arange(len(places)), places]
            ranks[start : places.stop] += np.count_nonzero(scores > own[:, None], axis=1)
        return ranks


def own_ranks(heads: Sequence[Circuits]) -> list[tuple[NDArray[np.int64], Floats]]:
    """Where tokens stand for themselves, over the whole vocabulary, which goes once through all the heads.

    Args:
        heads: on the same sample of the same model.

    Returns:
        For each head, of each sampled token: its rank among all tokens that it raises, and by how much it raises the
        best of them beyond the mean: [n].
    """
    stream, ids = heads[0].stream, heads[0].ids
    rows = stream.unembedding_of(ids.tolist())
    counts = [_Ranks(head, np.einsum("nd,nd->n", head.values, rows @ head.out.T)) for head in heads]
    for start, rows in stream.unembedding_blocks():
        used = stream.used[start : start + len(rows)]
        inside = np.flatnonzero((ids >= start) & (ids < start + len(rows)))
        for each in counts:
            each.add(rows, used, inside, ids[inside] - start)
    total = int(stream.used.sum())
    return [(each.ranks, each.best - each.head.values @ (each.sum / np.float32(total))) for each in counts]


class _Ranks:
    """The ranks of one head while the vocabulary goes through.

    Args:
        head: its circuits.
        own: the logit of each sampled token for itself, [n].
    """

    def __init__(self, head: Circuits, own: Floats) -> None:
        self.head, self.own = head, own
        self.ranks, self.best = np.ones(len(own), np.int64), own.copy()
        self.sum = np.zeros(head.values.shape[1], np.float32)

    def add(self, rows: Floats, used: NDArray[np.bool_], inside: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Take a block of the unembedding.

        Args:
            rows: [block, E].
            used: which of them stand for text.
            inside: which sampled tokens are in the block.
            columns: where in the block these are.
        """
        written = rows @ self.head.out.T  # [block, D]
        self.sum += written[used].sum(0)
        for start in range(0, len(self.own), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            scores = self.head.values[some] @ written.T  # [n, block]
            if not used.all():
                scores[:, ~used] = -np.inf
            here = (inside >= start) & (inside < start + AT_ONCE)
            scores[inside[here] - start, columns[here]] = -np.inf  # itself does not count, whatever the rounding
            self.ranks[some] += np.count_nonzero(scores > self.own[some, None], axis=1)
            np.maximum(self.best[some], scores.max(axis=1), out=self.best[some])


def eigenvalue_score(left: Floats, right: Floats) -> float:
    """The sum of the eigenvalues of right left^T over the sum of their absolute values, -1 to 1.

    The matrix is [n, n], but of the rank of a head: its eigenvalues that are not 0 are those of left^T right, [D, D].

    Args:
        left, right: [n, D].
    """
    values = np.linalg.eigvals(left.T.astype(np.float64) @ right.astype(np.float64))
    total = float(np.abs(values).sum())
    return float(values.real.sum()) / total if total else 0.0


@dataclass(frozen=True)
class Distances:
    """Where a head looks by positions alone: its attention in a text in which every token is the mean of the sample.

    Attributes:
        positions: ``learned``, ``sinusoidal``, ``rotary``, ``alibi`` or ``none``.
        slope: by how much ALiBi lowers the score for each position of distance; None with other positions.
        length: of that text.
        first: the share of attention on its first position, averaged over all others.
        preferred: the distance with the largest share.
        shares: of attention by distance, from 0, averaged over the positions that can look so far back.
    """

    positions: str
    slope: float | None
    length: int
    first: float
    preferred: int
    shares: list[float]


def equal_tokens(stream: StreamWeights, layer: int, mean: Floats, through: int) -> Floats:
    """What attention of a layer (from 0) reads at each position of a text whose tokens are all the same: [T, C].

    Args:
        stream: the model's weights.
        layer: which.
        mean: the token as it enters the stream, [C].
        through: layers that each position goes through alone first.
    """
    length = min(stream.config.n_positions, MOST_DISTANCES)
    x = stream.alone(through, np.broadcast_to(mean, (length, len(mean))) + stream.positions(length))
    return stream.read_by(layer, "attention", x, through)


def by_distance(stream: StreamWeights, head: HeadWeights, x: Floats) -> Distances:
    """How a head's attention depends on the distance, by its weights.

    Args:
        stream: the model's weights.
        head: of the head.
        x: the result of ``equal_tokens``.
    """
    config, layer, length = stream.config, head.layer, len(x)
    q, k = (rotated(stream, layer, each, range(length)) for each in (head.queries(x), head.keys(x)))
    if config.query_growth:
        q = q * query_growth(config, length)[:, None]
    scores = q @ k.T * np.float32(config.scale(layer))
    if config.attention_cap is not None:
        scores = np.tanh(scores / config.attention_cap) * config.attention_cap
    distance = np.arange(length)[:, None] - np.arange(length)
    slope = float(alibi_slopes(config)[head.head]) if config.positions == "alibi" else None
    if slope is not None:
        scores = scores - slope * distance
    window = config.window(layer)
    seen = (distance >= 0) & (distance < (length if window is None else window))
    scores = np.where(seen, scores, -np.inf)
    pattern = np.exp(scores - scores.max(-1, keepdims=True))
    pattern /= pattern.sum(-1, keepdims=True)
    # A position that can hardly look back spreads its attention over few: the second half of the text counts.
    half = length // 2
    shares = [float(np.diagonal(pattern, -each)[max(half - each, 0) :].mean()) for each in range(length - half)]
    rotary = config.positions == "rotary" and config.rotary_table(layer) is None
    return Distances(
        positions="none" if rotary else config.positions,
        slope=slope,
        length=length,
        first=float(pattern[1:, 0].mean()) if length > 1 else 1.0,
        preferred=int(np.argmax(shares)),
        shares=shares,
    )
