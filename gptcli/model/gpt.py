"""The GPT itself, from token ids to logits. Read it from top to bottom.

Shapes, here and in comments at line ends:

    B  rows of the batch          H  heads of the queries
    T  positions of the input     K  heads of the keys and values, of which H / K queries share one; K = H in GPT-2
    S  positions attended to      D  head size, C / H unless the configuration sets another
    C  width of the residual stream, V  vocabulary

Modules carry GPT-2's own names (Radford et al. 2019; its code calls the embeddings ``wte`` and ``wpe``), so that a
checkpoint's keys and the paper use the same names. One implementation serves every family; families differ only in
their ``GPTConfig``. To inspect activations, put a hook on a module: ``h.3`` for the residual stream after layer 3
(from 0), ``h.3.attn.attend`` for queries, keys and values, ``ln_f`` for the input of the unembedding. Attention and
norms are in ``attention`` and ``norm``.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcli.model.attention import Attention, Places
from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.norm import make_norm
from gptcli.model.positions import alibi_slopes, query_growth, rotary_table, sinusoids

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "silu": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class MLP(nn.Module):
    """Two linear layers with a non-linearity between them, applied to each position separately; optionally gated."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()

        def linear(name: str) -> nn.Linear:
            rows, columns = config.mlp_shapes[name]
            return nn.Linear(columns, rows, bias=config.mlp_bias)

        self.c_gate = linear("c_gate") if config.gated else None
        self.c_fc = linear("c_fc")
        self.activation = _ACTIVATIONS[config.activation]
        self.c_proj = linear("c_proj")

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        up = self.c_fc(x)
        hidden = self.activation(up) if self.c_gate is None else self.activation(self.c_gate(x)) * up
        out: Tensor = self.c_proj(hidden)
        return out


class Block(nn.Module):
    """One layer: attention and MLP, each added to the residual stream. A norm that the layer lacks is an identity."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()

        def norm(name: str) -> nn.Module:
            return make_norm(config) if name in config.block_norms else nn.Identity()

        self.config = config
        self.ln_1 = norm("ln_1")
        self.attn = Attention(config, layer)
        self.ln_1_out = norm("ln_1_out")
        self.ln_2 = norm("ln_2")
        self.mlp = MLP(config)
        self.ln_2_out = norm("ln_2_out")

    def forward(self, x: Tensor, places: Places, cache: KeyValueCache | None) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        if self.config.post_norm:
            x = self.ln_1(x + self.scaled(self.ln_1_out(self.attn(x, places, cache))))
            return self.ln_2(x + self.scaled(self.ln_2_out(self.mlp(x))))  # type: ignore[no-any-return]
        normed = self.ln_1(x)
        attention = self.scaled(self.ln_1_out(self.attn(normed, places, cache)))
        if self.config.parallel_residual:
            other = normed if self.config.shared_norm else self.ln_2(x)
            return x + attention + self.scaled(self.ln_2_out(self.mlp(other)))
        x = x + attention
        return x + self.scaled(self.ln_2_out(self.mlp(self.ln_2(x))))

    def scaled(self, x: Tensor) -> Tensor:
        """The output of attention or MLP times ``residual_scale``: [B, T, C] -> [B, T, C]."""
        return x if self.config.residual_scale == 1 else x * self.config.residual_scale


class GPT(nn.Module):
    """A GPT: embeddings, layers, final norm, unembedding.

    Args:
        config: the configuration. Weights have torch's default initialization until a checkpoint replaces them.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.embedding_width)
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.n_positions + config.position_offset, config.n_embd)
        if config.embedding_width != config.n_embd:
            self.project_in = nn.Linear(config.embedding_width, config.n_embd, bias=False)
            self.project_out = nn.Linear(config.n_embd, config.embedding_width, bias=False)
        if config.embedding_norm:
            self.ln_0 = make_norm(config)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = make_norm(config) if config.final_norm else nn.Identity()
        self.lm_head = nn.Linear(config.embedding_width, config.vocab_size, bias=config.unembedding_bias)
        if config.tied:
            self.lm_head.weight = self.wte.weight
        self._tables: dict[tuple[int, int], Tensor] = {}  # angles, by index of the table and epoch (``Rotary.epoch``)
        self.heads = slice(None)  # the query heads that this process has (see ``parallel``)

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Logits for the token after each position.

        Args:
            ids: token ids, [B, T].
            cache: keys and values of the positions before ``ids``; the new ones are written to it, and its lengths do
                not change.

        Returns:
            [B, T, V].
        """
        return self.unembed(self.transform(ids, cache))

    def transform(
        self, ids: Tensor, cache: KeyValueCache | None = None, lengths: Sequence[int] | None = None
    ) -> Tensor:
        """The residual stream after the last layer, before the final norm: [B, T] -> [B, T, C].

        Args:
            ids: token ids.
            cache: as for ``forward``.
            lengths: of each row's whole text, where ``ids`` are a part of it or padded: some rotary tables depend on
                it. None: the texts end with ``ids``.
        """
        past = cache.lengths if cache is not None else [0]
        positions = torch.tensor(past, device=ids.device)[:, None] + torch.arange(ids.shape[1], device=ids.device)
        x = self.embed(ids, positions)  # [B, T, C]
        for block, places in zip(self.h, self.places(positions, past, lengths), strict=True):
            x = block(x, places, cache)
        return x

    def places(self, positions: Tensor, past: list[int], lengths: Sequence[int] | None = None) -> list[Places]:
        """The position-dependent inputs of each layer's attention.

        Args:
            positions: of the input, [B, T].
            past: number of cached positions before them, for each row.
            lengths: as for ``transform``.
        """
        ends = [length + positions.shape[1] for length in past]
        layers = range(self.config.n_layer)
        tables = {self.config.rotary_table(layer) for layer in layers}
        turns = {table: self._turns(table, positions, ends, lengths or ends) for table in tables}
        masks = {window: self._mask(positions, past, window) for window in map(self.config.window, layers)}
        growth = self._growth(positions)
        return [
            Places(masks[self.config.window(layer)], turns[self.config.rotary_table(layer)], growth) for layer in layers
        ]

    def _turns(
        self, place: int | None, positions: Tensor, ends: Sequence[int], lengths: Sequence[int]
    ) -> Tensor | None:
        """Rotary cosines and sines of positions below ``ends``: [B, T] -> [B, 1 for the heads, T, R / 2, 2]."""
        if place is None:
            return None
        epochs = [self.config.rotary[place].epoch(length) for length in lengths]
        tables = {
            epoch: self._table(place, length, max(ends), positions.device)
            for epoch, length in dict(zip(epochs, lengths, strict=True)).items()
        }
        self._tables |= {(place, epoch): table for epoch, table in tables.items()}
        if len(tables) == 1:
            return tables[epochs[0]][positions].unsqueeze(1)
        rows = [tables[epoch][row] for epoch, row in zip(epochs, positions, strict=True)]
        return torch.stack(rows).unsqueeze(1)

    def _table(self, place: int, length: int, rows: int, device: torch.device) -> Tensor:
        """The rotary table of texts of a length, with at least so many rows. It is cached and grows by doubling."""
        epoch = self.config.rotary[place].epoch(length)
        table = self._tables.get((place, epoch), torch.empty(0))
        if len(table) >= rows and table.device == device:
            return table
        self._tables = {key: kept for key, kept in self._tables.items() if key[0] != place or epoch < 2}
        rows = max(rows, min(2 * len(table), self.config.n_positions))  # up to the context
        with torch.inference_mode(False):
            return torch.from_numpy(rotary_table(self.config, rows, place=place, sequence=length)).to(device)

    def _growth(self, positions: Tensor) -> Tensor | None:
        """Factor of the queries, if there is one: [B, T] -> [B, 1 for the heads, T, 1 for the head size]."""
        if self.config.query_growth == 0:
            return None
        growth = torch.from_numpy(query_growth(self.config, int(positions.max()) + 1)).to(positions.device)
        return growth[positions][:, None, :, None]

    def _mask(self, positions: Tensor, past: list[int], window: int | None) -> Tensor | None:
        """The mask argument of ``Attend``."""
        if self.config.positions != "alibi":
            return sight(positions, past, window)
        distance, seen = _distances(positions, past, window)
        slopes = torch.from_numpy(alibi_slopes(self.config)).to(positions.device)[self.heads]
        biases = -slopes[:, None, None] * distance.unsqueeze(1)  # [B, H, T, S]
        return biases.masked_fill(~seen, -torch.inf).to(self.wte.weight.dtype)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Token embeddings plus position embeddings, if any: [B, T] and [B or 1, T] -> [B, T, C]."""
        x = self.add_positions(self.embed_tokens(ids), positions)
        return self.ln_0(x) if self.config.embedding_norm else x

    def add_positions(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add position embeddings, if there are any: [B, T, C] and [B or 1, T] -> [B, T, C]."""
        if self.config.positions == "learned":
            return x + self.wpe(positions + self.config.position_offset)  # type: ignore[no-any-return]
        if self.config.positions == "sinusoidal":
            return x + sinusoids(positions, self.config.n_embd).to(x.dtype)
        return x

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token embeddings, projected and scaled to the residual stream: [...] -> [..., C]."""
        config = self.config
        x: Tensor = self.wte(ids)
        if config.embedding_width != config.n_embd:
            x = self.project_in(x)
        if config.embedding_scale_rounded:
            x = x * torch.tensor(config.embedding_scale, dtype=x.dtype, device=x.device)
        elif config.embedding_scale != 1:
            x = x * config.embedding_scale
        return x

    def unembed(self, x: Tensor) -> Tensor:
        """Final norm and unembedding: [..., C] -> logits [..., V]."""
        x = self.ln_f(x)
        if self.config.embedding_width != self.config.n_embd:
            x = self.project_out(x)
        logits: Tensor = self.lm_head(x)
        if self.config.logit_scale != 1:
            logits = logits * self.config.logit_scale
        cap = self.config.logit_cap
        return logits if cap is None else torch.tanh(logits / cap) * cap


def sight(positions: Tensor, past: list[int], window: int | None) -> Tensor | None:
    """The causal mask: True where a query attends to a key, which is itself or an earlier position in the window.

    Args:
        positions: of the queries, [B or 1, T].
        past: number of cached positions before the queries, for each row.
        window: size of the attention window, the query's own position included; None for no window.

    Returns:
        [B or 1, 1, T, S], or None where ``Attend`` without a mask does the same.
    """
    new, end = positions.shape[1], max(past) + positions.shape[1]
    plain = max(past) == 0 if new > 1 else len(set(past)) == 1
    if plain and (window is None or end <= window):
        return None
    return _distances(positions, past, window)[1]


def _distances(positions: Tensor, past: list[int], window: int | None) -> tuple[Tensor, Tensor]:
    """Distance from each key to its query in positions, [B, T, S], and whether it is attended to, [B, 1, T, S]."""
    keys = torch.arange(max(past) + positions.shape[1], device=positions.device)
    distance = positions.unsqueeze(-1) - keys
    seen = distance >= 0
    return distance, (seen if window is None else seen & (distance < window)).unsqueeze(1)
