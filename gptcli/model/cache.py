"""The key/value cache: what attention has already computed for the positions behind it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gptcli.model.config import GPTConfig


class KeyValueCache:
    """Keys and values of every layer for a batch of rows, each row with its own length.

    The memory is taken once. Rows start at column 0 and grow to the right; what lies right of a row's length is stale
    and never seen.

    Args:
        config: gives layers, key/value heads and head size.
        batch: rows.
        capacity: positions a row can hold.
        device, dtype: of the tensors.
        processes: that divide the heads among them; this one keeps its own.

    Attributes:
        lengths: positions filled in each row.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
        processes: int = 1,
    ) -> None:
        shape = (config.n_layer, 2, batch, config.kv_heads // processes, capacity, config.head_size)
        self._store = torch.zeros(shape, device=device, dtype=dtype)  # [L, 2, B, K, S, D]
        self.lengths = [0] * batch

    @property
    def capacity(self) -> int:
        """Positions that a row can hold."""
        return self._store.shape[4]

    @property
    def uniform(self) -> bool:
        """Whether all rows have the same length."""
        return len(set(self.lengths)) <= 1

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put new keys and values behind those of each row.

        The lengths do not change until ``advance``: every layer of one forward pass writes to the same places.

        Args:
            layer: which block.
            k, v: [B, K, T, D].

        Returns:
            Keys and values [B, K, S, D] up to the longest row's new end S.
        """
        keys, values = self._store[layer]
        new = k.shape[2]
        end = max(self.lengths) + new
        if self.uniform:
            keys[:, :, end - new : end], values[:, :, end - new : end] = k, v
        else:
            rows = torch.arange(len(self.lengths), device=k.device)[:, None]
            columns = torch.tensor(self.lengths, device=k.device)[:, None] + torch.arange(new, device=k.device)
            keys[rows, :, columns] = k.transpose(1, 2)
            values[rows, :, columns] = v.transpose(1, 2)
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, counts: Sequence[int]) -> None:
        """Count the positions that were written to each row (a padded row: fewer than were written)."""
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once (samples of one prompt)."""
        index = torch.tensor(rows, device=self._store.device)
        self._store = self._store.index_select(2, index)
        self.lengths = [self.lengths[row] for row in rows]

    def row(self, row: int) -> "KeyValueCache":
        """An emptied view of one row: what is written to it is written here."""
        view = object.__new__(KeyValueCache)
        view._store = self._store[:, :, row : row + 1]
        view.lengths = [0]
        return view
