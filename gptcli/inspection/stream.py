"""Both ends of the residual stream by a model's weights, in numpy: no run, no torch.

What a layer reads of a token's embedding, and what a vector that it writes does to the logits. A norm on the way from a
layer to the logits is linear but for its scale, the same positive number for all tokens: (x - mean) times the norm's
weight. Without a run this scale is left out, so logits then have an unknown unit but the right signs and order; with
one it is held at its value in the run, as direct logit attribution does (Elhage et al. 2021). Biases of norms and of
the unembedding do not depend on the vector and are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.read import Checkpoint
from gptcli.checkpoint.weights.arrays import Arrays
from gptcli.inspection.activations import ACTIVATIONS
from gptcli.inspection.token_scores import TokenScore, Top
from gptcli.model.native.shape import sine_positions

Floats = NDArray[np.float32]
Sublayer = Literal["attention", "mlp"]

# Rows of the vocabulary in memory at a time, and numbers of them: 4 million float32 are 16 MB.
_ROWS, _NUMBERS = 4096, 4_000_000
# Neurons of an MLP at a time.
_NEURONS = 1024
# Tokens of a sample of the vocabulary are drawn with this seed, the same ones on every call.
_SEED = 2021


"""The non-linearities of ``model.gpt``, in numpy."""


class StreamWeights:
    """A checkpoint's embedding, norms and unembedding.

    Args:
        checkpoint: what it is; its files are read as they are needed.

    Attributes:
        arrays: all of its weights.
        config: its shape.
        n_vocab: ids below this stand for text.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.arrays = Arrays(checkpoint.header, checkpoint.blueprint)
        self.config, self.n_vocab = checkpoint.config, checkpoint.n_vocab
        self.used = np.ones(self.n_vocab, bool)
        self.used[list(checkpoint.unused)] = False
        self._vectors: dict[str, Floats | None] = {}

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The vocabulary in blocks: the first id, and the one after the last."""
        rows = max(min(_ROWS, _NUMBERS // self.config.embedding_width), 1)
        for start in range(0, self.n_vocab, rows):
            yield start, min(start + rows, self.n_vocab)

    def sample(self, count: int) -> list[int]:
        """Some frequent tokens, in order, the same ones on every call; all tokens for 0.

        They come from the first tenth of the ids without the first hundredth, as in ``heads``: byte-pair vocabularies
        are in the order of their merges. A vocabulary that is too small for that is used whole.
        """
        ids = np.flatnonzero(self.used)
        if count == 0 or len(ids) <= count:
            return ids.tolist()
        some = ids[len(ids) // 100 : len(ids) // 10]
        pool = some if len(some) >= count else ids[: max(len(ids) // 10, count)]
        return sorted(np.random.Generator(np.random.Philox(key=_SEED)).choice(pool, count, replace=False).tolist())

    def tokens(self, ids: Sequence[int], scores: Sequence[float]) -> list[TokenScore]:
        """Tokens with their scores."""
        data = self.checkpoint.tokenizer.token_bytes
        return [TokenScore(token, data(token), score) for token, score in zip(ids, scores, strict=True)]

    # From the embedding to what a layer reads

    def embedded(self, ids: Sequence[int] | range) -> Floats:
        """Tokens as they enter the residual stream, without positions: [ids, C]."""
        x = self.embeddings(ids)
        return self.norm("ln_0", x) if self.config.embedding_norm else x

    def embeddings(self, ids: Sequence[int] | range) -> Floats:
        """Rows of the embedding in the width of the residual stream, before a norm behind it: [ids, C]."""
        config = self.config
        x = (
            self.arrays.rows("wte.weight", ids.start, ids.stop)
            if isinstance(ids, range)
            else self.arrays.pick("wte.weight", ids)
        )
        if config.embedding_width != config.n_embd:
            x = x @ self.matrix("project_in.weight").T
        if config.embedding_scale != 1:
            x = x * np.float32(config.embedding_scale)
        return x

    def positions(self, length: int) -> Floats:
        """What is added to the stream at the first positions: [length, C]; zeros where positions are not added."""
        config = self.config
        if config.positions == "learned":
            return self.arrays.rows("wpe.weight", config.position_offset, config.position_offset + length)
        if config.positions == "sinusoidal":
            return sine_positions(config)[:length]
        return np.zeros((length, config.n_embd), np.float32)

    def read_by(self, layer: int, sublayer: Sublayer, x: Floats, first: int = 0) -> Floats:
        """What attention or the MLP of a layer (from 0) reads of a stream to which the layers between added nothing.

        Args:
            layer: which, from 0.
            sublayer: the reader.
            x: the stream before the layer ``first``, [n, C].
            first: from 0.
        """
        config = self.config
        if config.post_norm:  # norms on the stream itself
            last = 2 * layer + (sublayer == "mlp")
            names = [f"h.{index // 2}.ln_{index % 2 + 1}" for index in range(2 * first, last)]
        else:
            name = "ln_1" if sublayer == "attention" or config.shared_norm else "ln_2"
            names = [f"h.{layer}.{name}"] if name in config.block_norms else []
        for name in names:
            x = self.norm(name, x)
        return x

    def alone(self, layers: int, x: Floats) -> Floats:
        """The stream after the first layers where each row of ``x`` is a text of one token: [n, C] -> [n, C].

        A token alone looks at itself only, whatever its query: attention is its values and the output projection.
        Some rows go through at a time.
        """
        if len(x) > _ROWS and layers:
            return np.concatenate([self.alone(layers, x[start : start + _ROWS]) for start in range(0, len(x), _ROWS)])
        config = self.config
        for layer in range(layers):
            name = f"h.{layer}."
            if config.post_norm:
                x = self.norm(name + "ln_1", x + self._own_attention(name, x))
                x = self.norm(name + "ln_2", x + self._mlp(name, x))
                continue
            added = self._own_attention(name, self.read_by(layer, "attention", x))
            if config.parallel_residual:
                x = x + added + self._mlp(name, self.read_by(layer, "mlp", x))
            else:
                x = x + added
                x = x + self._mlp(name, self.read_by(layer, "mlp", x))
        return x

    def _own_attention(self, name: str, x: Floats) -> Floats:
        config = self.config
        first = sum(config.qkv_widths[:2])
        values = x @ self.arrays.rows(f"{name}attn.c_attn.weight", first).T
        bias = self.vector(f"{name}attn.c_attn.bias")
        values = values if bias is None else values + bias[first:]
        if config.qkv_clip is not None:
            values = np.clip(values, -config.qkv_clip, config.qkv_clip)
        by_head = values.reshape(len(x), config.kv_heads, 1, config.head_size)
        gathered = np.repeat(by_head, config.n_head // config.kv_heads, axis=2).reshape(len(x), -1)
        return self._out(
            f"{name}attn.c_proj", f"{name}ln_1_out", gathered @ self.arrays.rows(f"{name}attn.c_proj.weight").T
        )

    def _mlp(self, name: str, x: Floats) -> Floats:
        """The MLP, some neurons at a time."""
        made = np.zeros_like(x)
        for start in range(0, self.config.mlp_width, _NEURONS):
            part = range(start, min(start + _NEURONS, self.config.mlp_width))
            made += self.activations(name, x, part) @ self.arrays.columns(f"{name}mlp.c_proj.weight", part).T
        return self._out(f"{name}mlp.c_proj", f"{name}ln_2_out", made)

    def activations(self, name: str, x: Floats, neurons: range | Sequence[int]) -> Floats:
        """What the last matrix of an MLP reads, of some neurons: [n, C] -> [n, neurons].

        Args:
            name: of the layer, such as ``h.3.``.
            x: what the MLP reads.
            neurons: which, from 0.
        """

        def linear(matrix: str) -> Floats:
            weight = f"{name}mlp.{matrix}.weight"
            rows = (
                self.arrays.rows(weight, neurons.start, neurons.stop)
                if isinstance(neurons, range)
                else self.arrays.pick(weight, neurons)
            )
            bias = self.vector(f"{name}mlp.{matrix}.bias")
            made: Floats = x @ rows.T
            return made if bias is None else made + bias[list(neurons)]

        activation = ACTIVATIONS[self.config.activation]
        if not self.config.gated:
            return activation(linear("c_fc"))
        return activation(linear("c_gate")) * linear("c_fc")

    def _out(self, matrix: str, norm: str, x: Floats) -> Floats:
        """The output of a sub-layer: its bias, its norm if it has one, and the scale of the residual sum."""
        bias = self.vector(f"{matrix}.bias")
        x = x if bias is None else x + bias
        if norm.rpartition(".")[2] in self.config.block_norms:
            x = self.norm(norm, x)
        return x * np.float32(self.config.residual_scale)

    def norm(self, name: str, x: Floats) -> Floats:
        """A norm of the stream: [n, C] -> [n, C]."""
        config = self.config
        if config.norm_kind == "layer":
            x = x - x.mean(-1, keepdims=True)
        size = np.sqrt(np.einsum("...i,...i->...", x, x) / x.shape[-1] + config.layer_norm_epsilon)
        x = self._scaled(name, x / size[..., None])
        bias = self.vector(f"{name}.bias")
        return x if bias is None else x + bias

    def _scaled(self, name: str, x: Floats) -> Floats:
        weight = self.vector(f"{name}.weight")
        if weight is None:
            return x
        scaled: Floats = x * (1 + weight if self.config.norm_plus_one else weight)
        return scaled

    # From what a layer writes to the logits

    def norms_behind(self, layer: int, sublayer: Sublayer) -> list[str]:
        """The norms that what attention or the MLP of a layer (from 0) writes goes through, in order."""
        config = self.config
        number = 1 if sublayer == "attention" else 2
        out = f"ln_{number}_out"
        names = [f"h.{layer}.{out}"] if out in config.block_norms else []
        if config.post_norm:
            names += [
                f"h.{index // 2}.ln_{index % 2 + 1}" for index in range(2 * layer + number - 1, 2 * config.n_layer)
            ]
        return [*names, *(["ln_f"] if config.final_norm else [])]

    def to_unembedding(
        self, layer: int, sublayer: Sublayer, x: Floats, scales: Mapping[str, Floats] | None = None
    ) -> Floats:
        """Vectors that attention or the MLP of a layer writes, as the unembedding reads them: [n, C] -> [n, E].

        Args:
            layer: which, from 0.
            sublayer: the writer.
            x: outputs of its last matrix.
            scales: what each norm on the way divides by, [n], by its name; None: 1.
        """
        config = self.config
        x = x * np.float32(config.residual_scale)
        for name in self.norms_behind(layer, sublayer):
            if config.norm_kind == "layer":
                x = x - x.mean(-1, keepdims=True)
            x = self._scaled(name, x)
            if scales is not None:
                x = x / scales[name][:, None]
        if config.embedding_width != config.n_embd:
            x = x @ self.matrix("project_out.weight").T
        scaled: Floats = (x * config.logit_scale).astype(np.float32)
        return scaled

    def unembedding(self, start: int, stop: int) -> Floats:
        """Rows of the unembedding, [stop - start, E]."""
        return self.arrays.rows(self._unembedding, start, stop)

    def unembedding_blocks(self) -> Iterator[tuple[int, Floats]]:
        """All rows that stand for text, in blocks: the first id, and [block, E]."""
        for start, stop in self.blocks():
            yield start, self.unembedding(start, stop)

    def unembedding_of(self, ids: Sequence[int]) -> Floats:
        """The rows of some tokens, [ids, E]."""
        return self.arrays.pick(self._unembedding, ids)

    @property
    def _unembedding(self) -> str:
        return "lm_head.weight" if self.arrays.has("lm_head.weight") else "wte.weight"

    def raised(self, x: Floats, top: int) -> list[tuple[list[TokenScore], list[TokenScore]]]:
        """The tokens whose logits vectors raise and lower most.

        A number that is added to all logits changes no probability: logits are given less their mean over all tokens.

        Args:
            x: as the unembedding reads them, [n, E].
            top: how many tokens at each end.
        """
        best, worst, total = Top(len(x), top), Top(len(x), top), np.zeros(len(x))
        for start, rows in self.unembedding_blocks():
            used = self.used[start : start + len(rows)]
            scores = x @ rows.T
            total += scores[:, used].sum(-1)
            best.add(start, np.where(used, scores, -np.inf))
            worst.add(start, np.where(used, -scores, -np.inf))
        means = total / max(int(self.used.sum()), 1)
        return [
            (self.tokens(up, (above - mean).tolist()), self.tokens(down, (-below - mean).tolist()))
            for (up, above), (down, below), mean in zip(best.rows(), worst.rows(), means, strict=True)
        ]

    # The small tensors are kept

    def vector(self, name: str) -> Floats | None:
        """A bias or the weight of a norm; None where the model has none of this name."""
        if name not in self._vectors:
            self._vectors[name] = self.arrays.vector(name)
        return self._vectors[name]

    def matrix(self, name: str) -> Floats:
        """A matrix that is used again and again, kept."""
        found = self.vector(name)
        assert found is not None
        return found
