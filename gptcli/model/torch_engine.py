"""The PyTorch GPT as an engine: a batch of rows, each with its own length, over one key/value cache."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gptcli.memory import cached, explained, free_memory
from gptcli.model.cache import KeyValueCache
from gptcli.model.gpt import GPT


class TorchEngine:
    """The PyTorch GPT behind the ``Engine`` protocol.

    Args:
        model: in eval mode, on its device, in its dtype.
    """

    # Prompts are read in pieces of this many tokens, which bounds the memory that the activations take.
    _PIECE = 512

    def __init__(self, model: GPT) -> None:
        self.model = model
        self._cache: KeyValueCache | None = None

    def beside(self) -> "TorchEngine":
        """Another engine of the same model (see ``SharedEngine.beside``)."""
        return TorchEngine(self.model)

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self.model.config.n_positions

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes: its cache, again while rows are selected, activations, and its logits."""
        config, weight = self.model.config, self.model.wte.weight
        activations = 4 * min(capacity, self._PIECE) * (config.mlp_width + 4 * config.n_embd)
        numbers = 2 * cached(config, 1, capacity) + activations
        return weight.element_size() * numbers + 4 * 4 * config.vocab_size

    def free_bytes(self) -> int | None:
        """The memory that is left for batches, where that can be told."""
        device = self.model.wte.weight.device
        if device.type == "cuda":
            return int(torch.cuda.mem_get_info(device)[0])
        return free_memory() if device.type == "cpu" else None

    @torch.inference_mode()
    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        weight = self.model.wte.weight
        dtype = str(weight.dtype).removeprefix("torch.")
        with explained(self.model.config, weight.device.type, dtype, rows=len(rows), capacity=capacity, to_run=True):
            self._cache = None  # before the memory of the next one is taken
            self._cache = self._new_cache(len(rows), capacity)
            return self._read(rows, self._cache)

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        assert self._cache is not None, "prefill comes first"
        return self._read([[token] for token in ids], self._cache)

    @torch.inference_mode()
    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row and read these ids in its place (see ``Engine.refill``)."""
        assert self._cache is not None, "prefill comes first"
        single = self._cache.row(row)
        if ids:
            self._read([ids], single)
        self._cache.lengths[row] = len(ids)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        assert self._cache is not None, "prefill comes first"
        if list(rows) != list(range(len(self._cache.lengths))):
            self._cache.select(rows)

    @torch.inference_mode()
    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row: logits after each, [len(ids), V]."""
        assert self._cache is not None, "prefill comes first"
        x = self.model.transform(torch.tensor([list(ids)], device=self.model.wte.weight.device), self._cache)
        self._cache.advance([len(ids)])
        return np.asarray(self.model.unembed(x[0]).float().cpu().numpy())

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row."""
        assert self._cache is not None, "prefill comes first"
        self._cache.advance([-count])

    def _new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        weight = self.model.wte.weight
        return KeyValueCache(self.model.config, batch, capacity, weight.device, weight.dtype)

    def _read(self, rows: Sequence[Sequence[int]], cache: KeyValueCache) -> NDArray[np.float32]:
        """Run ids through the model, rows padded on the right: logits [B, V] after each row's last id."""
        longest = max(map(len, rows))
        padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        last = torch.empty(len(rows), self.model.config.n_embd)
        for start in range(0, longest, self._PIECE):
            piece = padded[:, start : start + self._PIECE].to(self.model.wte.weight.device)
            x = self.model.transform(piece, cache)  # [B, T, C]
            # Padding never shows: a causal model's earlier positions do not see it, a row that ends in this piece
            # hands over its state here, and what the cache holds beyond a row's end is not looked at.
            cache.advance([piece.shape[1]] * len(rows))
            for index, row in enumerate(rows):
                if start < len(row) <= start + piece.shape[1]:
                    last[index] = x[index, len(row) - 1 - start]
        cache.advance([len(row) - longest for row in rows])
        weight = self.model.lm_head.weight
        logits = self.model.unembed(last.to(weight.device, weight.dtype))  # [B, V]
        return np.asarray(logits.float().cpu().numpy())
