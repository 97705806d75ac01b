"""The PyTorch GPT as an engine: a batch of rows, each with its own length, over one key/value cache."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gptcli.model.bounds import check_extend, check_prefill, check_refill, check_rewind, check_select, check_step
from gptcli.model.cache import KeyValueCache
from gptcli.model.engine import EngineFacts, Take, read_by_blocks
from gptcli.model.gpt import GPT
from gptcli.model.memory import explain_out_of_memory, free_memory
from gptcli.model.native.weights import why_not


class TorchEngine:
    """The PyTorch GPT behind the ``Engine`` protocol.

    Args:
        model: in eval mode, on its device, in its dtype.
    """

    # Prompts are read in chunks of this many tokens, which bounds the memory of the activations.
    _PIECE = 512

    def __init__(self, model: GPT) -> None:
        self.model = model
        self._cache: KeyValueCache | None = None
        # The ids of each row, which ``_turn_long`` reads again.
        self._texts: list[list[int]] = []

    def new_session(self) -> "TorchEngine":
        """Another engine that shares the model (see ``Engine.new_session``)."""
        return TorchEngine(self.model)

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self.model.config.n_positions

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def facts(self) -> EngineFacts:
        """Its name, device and precision (see ``Engine.facts``)."""
        model, weight = self.model, self.model.lm_head.weight
        # A step reads one row of the positions, and of the embedding unless that is tied.
        looked_up = [] if model.config.tied else [model.wte.weight]
        looked_up += [model.wpe.weight] if model.config.positions == "learned" else []
        read = sum(parameter.nbytes for parameter in model.parameters()) - sum(table.nbytes for table in looked_up)
        dtype, device = str(weight.dtype).removeprefix("torch."), weight.device.type
        why = why_not(model.config) if device == "cpu" else None
        return EngineFacts("PyTorch", device, dtype, dtype, torch.get_num_threads(), read, weight.itemsize, why)

    def row_bytes(self, capacity: int) -> int:
        """Bytes of a row of a batch: its cache (twice, for ``select`` copies it), activations, and its logits."""
        config, weight = self.model.config, self.model.wte.weight
        activations = 4 * min(capacity, self._PIECE) * (config.mlp_width + 4 * config.n_embd)
        numbers = 2 * capacity * config.cached_per_token + activations
        return weight.element_size() * numbers + 4 * 4 * config.vocab_size

    def free_bytes(self) -> int | None:
        """The memory that is left for batches, where it is known."""
        device = self.model.wte.weight.device
        if device.type == "cuda":
            return int(torch.cuda.mem_get_info(device)[0])
        return free_memory() if device.type == "cpu" else None

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        return self._start(rows, capacity, each=False)

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``)."""
        return self._start(rows, capacity, each=True)

    @torch.inference_mode()
    def _start(self, rows: Sequence[Sequence[int]], capacity: int, *, each: bool) -> NDArray[np.float32]:
        """Read the rows of a new batch; logits after each row's last token, or after each token."""
        check_prefill(rows, capacity, self.n_positions, self.model.config.vocab_size)
        weight = self.model.wte.weight
        dtype = str(weight.dtype).removeprefix("torch.")
        with explain_out_of_memory(
            self.model.config, weight.device.type, dtype, rows=len(rows), capacity=capacity, to_run=True
        ):
            self._cache = None  # free the old cache before the new one is allocated
            cache = self._new_cache(len(rows), capacity)
            logits = self._read(rows, cache, each=each)
            self._cache = cache
            self._texts = [list(row) for row in rows]
            return logits

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``)."""
        read_by_blocks(self, ids, take, first)

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        check_step(ids, self._lengths, self._capacity, self.model.config.vocab_size)
        assert self._cache is not None
        for row, token in enumerate(ids):
            self._turn_long(row, 1)
            self._texts[row].append(token)
        return self._read([[token] for token in ids], self._cache)

    @torch.inference_mode()
    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        check_extend(ids, self._lengths, self._capacity, self.model.config.vocab_size)
        assert self._cache is not None
        self._turn_long(0, len(ids))
        self._texts[0] += ids
        x = self.model.transform(torch.tensor([list(ids)], device=self.model.wte.weight.device), self._cache)
        self._cache.advance([len(ids)])
        return np.asarray(self.model.unembed(x[0]).float().cpu().numpy())

    @torch.inference_mode()
    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        check_rewind(count, self._lengths)
        assert self._cache is not None
        self._turn_long(0, -count)
        self._cache.advance([-count])
        del self._texts[0][len(self._texts[0]) - count :]

    @torch.inference_mode()
    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row by these ids (see ``Engine.refill``)."""
        check_refill(row, ids, self._lengths, self._capacity, self.model.config.vocab_size)
        assert self._cache is not None
        single = self._cache.row(row)
        if len(ids):
            self._read([ids], single)
        self._cache.lengths[row] = len(ids)
        self._texts[row] = list(ids)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        check_select(rows, self._lengths)
        if self._cache is not None and list(rows) != list(range(len(self._cache.lengths))):
            self._cache.select(rows)
            self._texts = [list(self._texts[row]) for row in rows]

    @property
    def _lengths(self) -> list[int]:
        return [] if self._cache is None else self._cache.lengths

    @property
    def _capacity(self) -> int:
        return 0 if self._cache is None else self._cache.capacity

    def _new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        weight = self.model.wte.weight
        return KeyValueCache(self.model.config, batch, capacity, weight.device, weight.dtype)

    def _turn_long(self, row: int, more: int) -> None:
        """Recompute a row's cache where ``more`` tokens (negative: fewer) move its length across longrope's threshold.

        Longrope's frequencies depend on the length of the whole text: keys that were cached before have other angles.
        """
        before = self._lengths[row]
        if not before or not self.model.config.turns_long(before, before + more):
            return
        assert self._cache is not None
        self._read([self._texts[row]], self._cache.row(row), [before + more])

    def _read(
        self,
        rows: Sequence[Sequence[int]],
        cache: KeyValueCache,
        lengths: Sequence[int] | None = None,
        *,
        each: bool = False,
    ) -> NDArray[np.float32]:
        """Run ids through the model, rows padded on the right: logits [B, V] after each row's last id.

        Args:
            rows: ids to read.
            cache: keys and values of the positions before them.
            lengths: of each row's whole text, on which some rotary tables depend; None: the text ends with these ids.
            each: logits after every id instead, row by row.
        """
        longest = max(map(len, rows))
        if lengths is None:
            lengths = [before + len(row) for before, row in zip(cache.lengths, rows, strict=True)]
        padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        wanted: list[list[torch.Tensor]] = [[] for _ in rows]  # of each row: [T, C], piece by piece
        for start in range(0, longest, self._PIECE):
            piece = padded[:, start : start + self._PIECE].to(self.model.wte.weight.device)
            x = self.model.transform(piece, cache, lengths)  # [B, T, C]
            # Padding has no effect: the causal mask hides it from earlier positions, the state of a row that ends in
            # this chunk is taken here, and the cache beyond a row's end is never attended to.
            cache.advance([piece.shape[1]] * len(rows))
            for index, row in enumerate(rows):
                end = len(row) - start
                if each and end > 0:
                    wanted[index].append(x[index, :end])
                elif 0 < end <= piece.shape[1]:
                    wanted[index].append(x[index, end - 1 : end])
        cache.advance([len(row) - longest for row in rows])
        weight = self.model.lm_head.weight
        kept = torch.cat([part for row in wanted for part in row]).to(weight.device, weight.dtype)
        logits = self.model.unembed(kept)  # [B, V], or of each id
        return np.asarray(logits.float().cpu().numpy())
