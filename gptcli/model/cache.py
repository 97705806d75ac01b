"""The key/value cache: keys and values of the positions that were already computed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gptcli.model.config import GPTConfig


class KeyValueCache:
    """Keys and values of every layer for a batch of rows, each row with its own length.

    The memory is allocated once. Rows start at column 0 and grow to the right. Data beyond a row's length is stale and
    is never attended to.

    Args:
        config: gives the numbers of layers and key/value heads and the head size.
        batch: number of rows.
        capacity: positions that a row can hold.
        device, dtype: of the tensors.
        processes: number of processes that divide the heads; the cache holds the heads of this one.

    Attributes:
        lengths: positions filled in each row.
        rows: the rows of the batch that it holds.
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
        self.rows = list(range(batch))

    @property
    def capacity(self) -> int:
        """Positions that a row can hold."""
        return self._store.shape[4]

    @property
    def uniform(self) -> bool:
        """Whether all rows have the same length."""
        return len(set(self.lengths)) <= 1

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append new keys and values to each row.

        The lengths do not change until ``advance``: all layers of one forward pass write to the same positions.

        Args:
            layer: index of the layer.
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
        """Add the number of new positions to each row's length (for a padded row, fewer than were written)."""
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once (samples of one prompt)."""
        index = torch.tensor(rows, device=self._store.device)
        self._store = self._store.index_select(2, index)
        self.lengths = [self.lengths[row] for row in rows]
        self.rows = list(range(len(rows)))

    def row(self, row: int) -> "KeyValueCache":
        """A view of one row, with length 0; it shares this cache's memory."""
        view = object.__new__(KeyValueCache)
        view._store = self._store[:, :, row : row + 1]
        view.lengths, view.rows = [0], [row]
        return view
