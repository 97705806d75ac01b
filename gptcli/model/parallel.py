"""One GPT over several processes: tensor parallelism (Shoeybi et al. 2019, Megatron-LM) with torch's own DTensor.

Each process ("rank") holds a shard of every large matrix and computes with it; ``parallelize_module`` inserts the
collectives. Each of N ranks holds

    attn.c_attn           the q, k and v rows of 1/N of the heads, so that attention needs no communication; with fewer
                          key heads than ranks, the ranks whose queries share a key head each hold a copy of it
    attn.c_proj, mlp.c_proj   the columns for its own heads or hidden units; an all-reduce sums the outputs, then the
                          bias is added
    mlp.c_fc, mlp.c_gate  the rows of 1/N of the hidden layer
    wte, lm_head          its part of the vocabulary; the logits are gathered
    everything else       replicated: norms (a rank uses the part for its heads), positions, OPT-350m's two projections

Rank 0 leads. It alone reads the prompt, samples and prints. It broadcasts each call of its engine to the other ranks
(``Leader``), which make the same call (``Group.follow``): every rank reads the ids that rank 0 chose.
"""

import atexit
import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from gptcli.errors import GptcliError, InputError
from gptcli.model import ranks
from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.engine import EngineFacts, Take, read_by_blocks
from gptcli.model.gpt import GPT, Block
from gptcli.model.meeting import meet
from gptcli.model.norm import Norm
from gptcli.model.torch_engine import TorchEngine
from gptcli.model.wrapped import Wrapped

# Timeout of collectives. A rank waits while rank 0 prints, and a pager can block rank 0 for long. When a rank dies, its
# connections break, and torchrun ends the rest.
_PATIENCE = timedelta(days=7)

Share = tuple[int, list[tuple[int, int]]]
"""A dimension of a tensor, and the (start, stop) ranges of it that a rank holds."""


class Group:
    """The processes that hold one GPT together.

    Args:
        rank: of this process.
        size: number of processes.
        device: where this process computes.

    Raises:
        InputError: the environment does not give the address of the rendezvous.
        GptcliError: the others cannot be reached.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device
        store = meet(rank, size)
        try:
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
            atexit.register(_leave)
            self._mesh = init_device_mesh(device.type, (size,))
        except (RuntimeError, ValueError) as error:
            raise GptcliError(f"process {rank} of {size} cannot reach the others: {error}") from error

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which reads and prints."""
        return self.rank == 0

    def _check(self, config: GPTConfig) -> None:
        counts = {"n_head": config.n_head, "n_kv_head": config.kv_heads, "the MLP's hidden width": config.mlp_width}
        for name, count in counts.items():
            repeated = name == "n_kv_head" and self.size % count == 0
            if count % self.size and not repeated:
                groups = "" if config.kv_heads == config.n_head else f", n_kv_head {config.kv_heads}"
                raise InputError(
                    f"{name} {count} does not divide by the {self.size} processes that torchrun started: use a "
                    f"--nproc-per-node that divides n_head {config.n_head}{groups} and the MLP's {config.mlp_width}"
                )

    def divided(self, config: GPTConfig) -> GPTConfig:
        """The configuration that the ranks build together: with fewer key heads than ranks, key heads are repeated.

        Raises:
            InputError: a dimension is not divisible by the number of ranks.
        """
        self._check(config)
        return replace(config, n_kv_head=self.size) if config.kv_heads < self.size else config

    def shard(self, model: GPT) -> None:
        """Shard a GPT of a ``divided`` configuration on the meta device: its large matrices become DTensors."""
        plan: dict[str, ParallelStyle] = {
            "wte": RowwiseParallel(input_layouts=Replicate()),
            "h.*.attn.c_attn": ColwiseParallel(),
            "h.*.attn.c_proj": RowwiseParallel(),
            **{f"h.*.mlp.{name}": ColwiseParallel() for name in model.config.mlp_shapes if name != "c_proj"},
            "h.*.mlp.c_proj": RowwiseParallel(),
            "lm_head": ColwiseParallel(output_layouts=Replicate()),
        }
        parallelize_module(model, self._mesh, plan)
        self._share_heads(model)

    def _share_heads(self, model: GPT) -> None:
        """Set the slice of this rank's heads in every module that has parameters for each head."""
        config = model.config
        model.heads = self._own(config.n_head)
        for block in model.h:
            assert isinstance(block, Block)
            for norm, heads in ((block.attn.q_norm, config.n_head), (block.attn.k_norm, config.kv_heads)):
                if isinstance(norm, Norm) and config.qk_norm != "head":
                    norm.part = self._own(heads * (config.head_size if config.qk_norm == "whole" else 1))
                if isinstance(norm, Norm) and config.qk_norm == "whole":
                    norm.mean_square = self._mean_square

    def _own(self, count: int) -> slice:
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def _mean_square(self, x: Tensor) -> Tensor:
        """The mean square over all ranks, each of which holds equally many numbers."""
        mean = x.square().mean(-1, keepdim=True)
        dist.all_reduce(mean)
        return mean / self.size

    def share(self, config: GPTConfig, name: str, parameter: Tensor) -> Share | None:
        """Which part of a parameter this rank holds; None for all of it.

        Args:
            config: of the checkpoint, before ``divided``.
            name: of the parameter.
            parameter: the parameter after ``shard``.
        """
        placement = parameter.placements[0] if isinstance(parameter, DTensor) else Replicate()
        if not isinstance(placement, Shard):
            return None
        length = parameter.shape[placement.dim]
        if name.endswith(("c_attn.weight", "c_attn.bias")):  # q, k and v are concatenated: a part of each
            ends = accumulate(config.qkv_widths)
            parts = [
                (end - width, width // config.head_size) for end, width in zip(ends, config.qkv_widths, strict=True)
            ]
            return placement.dim, [self._rows(start, heads, config.head_size) for start, heads in parts]
        width = -(-length // self.size)  # the last rank may have fewer rows of the vocabulary, as with torch.chunk
        start = min(self.rank * width, length)
        return placement.dim, [(start, min(start + width, length))]

    def _rows(self, start: int, heads: int, head_size: int) -> tuple[int, int]:
        """This rank's (start, stop) rows of ``heads`` heads that begin at row ``start``: at least one, maybe shared."""
        first, count = self.rank * heads // self.size, max(heads // self.size, 1)
        return start + first * head_size, start + (first + count) * head_size

    def place(self, parameter: Tensor, local: Tensor) -> Tensor:
        """Wrap this rank's part as the tensor that replaces ``parameter``."""
        if not isinstance(parameter, DTensor):
            return self._repeated(local, parameter.shape[0] // local.shape[0])
        return DTensor.from_local(
            local.contiguous(),
            self._mesh,
            parameter.placements,
            run_check=False,
            shape=parameter.shape,
            stride=parameter.stride(),
        )

    def _repeated(self, local: Tensor, times: int) -> Tensor:
        """Repeat the weight of a norm on keys for the ranks that share a key head (see ``divided``)."""
        if times == 1:
            return local
        by_head = local.reshape(self.size // times, -1, *local.shape[1:])
        return by_head.repeat_interleave(times, dim=0).flatten(0, 1)

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """Run the body of the ``with`` statement on every rank, and continue only if it succeeded on all.

        Raises:
            GptcliError: on rank 0: its own error, or the message of the first rank that had one.
            SystemExit: on the others, with that error's exit code; only rank 0 prints it.
        """
        error: GptcliError | None = None
        try:
            yield
        except GptcliError as raised:
            error = raised
        report = "" if error is None else f"{error.exit_code} {error}"
        failed = next(filter(None, (self._tell(report, source) for source in range(self.size))), None)
        if failed is None:
            return
        code, _, message = failed.partition(" ")
        if not self.leads:
            raise SystemExit(int(code))
        raise error or GptcliError(message)

    def engine(self, model: GPT) -> "Leader":
        """The engine that generation uses on rank 0."""
        return Leader(self, model)

    def follow(self, model: GPT) -> None:
        """Execute the calls of rank 0 until it ends.

        Raises:
            SystemExit: rank 0 is gone.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every rank; the leading one ends the others
        engine = _ShardEngine(model, self.size)
        while call := json.loads(self.tell("")):
            with suppress(IndexError):  # as on the leading rank: an engine checks before it computes
                getattr(engine, call[0])(*call[1:])

    def tell(self, message: str) -> str:
        """Broadcast a message of rank 0; returns it on every rank.

        Raises:
            GptcliError: on rank 0, when another rank is gone.
            SystemExit: on another rank, when rank 0 is gone.
        """
        return self._tell(message, 0)

    def _tell(self, message: str, source: int) -> str:
        body = torch.tensor(list(message.encode()), dtype=torch.uint8)
        size = torch.tensor([len(body)])
        with self.talk():
            dist.broadcast(size, source)
            if self.rank != source:
                body = torch.empty(int(size), dtype=torch.uint8)
            if len(body):
                dist.broadcast(body, source)
        return body.numpy().tobytes().decode()

    @contextmanager
    def talk(self) -> Iterator[None]:
        """Turn torch's errors about broken connections into an exit without a traceback."""
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            if not self.leads:
                raise SystemExit(1) from error
            raise GptcliError(f"another of the {self.size} processes ended: torchrun reports which") from error


class Leader(Wrapped["_ShardEngine"]):
    """The engine of rank 0 (see ``Engine``): all ranks execute each of its calls.

    The bytes of a row are an upper bound of those on one rank, as the ranks divide the heads.
    Ctrl-C takes effect after the current call: the ranks must not diverge in the middle of one.

    Args:
        group: the group in which this process is rank 0.
        model: this rank's part.
    """

    def __init__(self, group: Group, model: GPT) -> None:
        super().__init__(_ShardEngine(model, group.size))
        self._group = group
        self._together = True  # False during a call and after an error in it: the ranks are out of step
        atexit.register(self.end)

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def facts(self) -> EngineFacts:
        """Facts about the whole model, whose bytes the ranks read together (see ``Engine.facts``)."""
        return replace(self._engine.facts(), name=f"PyTorch, {self._group.size} processes", why_not_c=None)

    def new_session(self) -> "Leader":
        """Not supported (see ``Engine.new_session``)."""
        raise InputError("several processes hold this model, and read one batch at a time: leave out torchrun")

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        logits: NDArray[np.float32] = self._call("prefill", [[int(token) for token in row] for row in rows], capacity)
        return logits

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``)."""
        ids = [[int(token) for token in row] for row in rows]
        logits: NDArray[np.float32] = self._call("read_texts", ids, capacity)
        return logits

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``)."""
        read_by_blocks(self, ids, take, first)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        logits: NDArray[np.float32] = self._call("step", [int(token) for token in ids])
        return logits

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        logits: NDArray[np.float32] = self._call("extend", [int(token) for token in ids])
        return logits

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        self._call("rewind", count)

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row by these ids (see ``Engine.refill``)."""
        self._call("refill", row, [int(token) for token in ids])

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        self._call("select", [int(row) for row in rows])

    def end(self) -> None:
        """Let the other ranks end; after this, no method may be called."""
        if self._together:
            self._together = False
            with suppress(GptcliError):
                self._group.tell("null")

    def _call(self, name: str, *arguments: Any) -> Any:
        with _interrupts_wait():
            together, self._together = self._together, False
            assert together, "the other ranks were let go"
            self._group.tell(json.dumps([name, *arguments]))
            try:
                with self._group.talk():
                    result = getattr(self._engine, name)(*arguments)
            except IndexError:  # refused before anything was computed, by every rank (see ``Group.follow``)
                self._together = True
                raise
            self._together = True
        return result


class _ShardEngine(TorchEngine):
    """One rank's engine: its cache holds the rank's own heads."""

    def __init__(self, model: GPT, size: int) -> None:
        super().__init__(model)
        self._size = size

    def _new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        weight = self.model.wte.weight
        return KeyValueCache(self.model.config, batch, capacity, weight.device, weight.dtype, self._size)


def join(device: torch.device) -> Group:
    """Join the group of the processes that torchrun started.

    Args:
        device: the kind of device; each process takes its own GPU.

    Raises:
        InputError: there are fewer GPUs than processes, or the processes cannot share the device.
        GptcliError: the others cannot be reached.
    """
    if ranks.is_worker():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it loads, Ctrl-C ends it at once
    if device.type == "mps":
        raise InputError("--device mps: one machine has one; with torchrun use --device cpu")
    if device.type == "cuda":
        place, there = ranks.local_rank(), torch.cuda.device_count()
        if place >= there:
            raise InputError(f"torchrun started process {place + 1} on a machine with {there} GPUs: one process a GPU")
        device = torch.device("cuda", place)
        torch.cuda.set_device(device)
    return Group(ranks.rank(), ranks.world_size(), device)


def local_bytes(model: nn.Module) -> int:
    """Bytes of the parameters that this process holds."""
    held = (p.to_local() if isinstance(p, DTensor) else p for p in model.parameters())
    return sum(parameter.numel() * parameter.element_size() for parameter in held)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Delay KeyboardInterrupt until the body of the ``with`` statement is done."""
    interrupted: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if interrupted:
            raise KeyboardInterrupt


def _leave() -> None:
    with suppress(RuntimeError, ValueError):
        dist.destroy_process_group()
    # Gloo's threads free the last tensors of finished work, for which they need the GIL. A thread that requests it
    # while Python shuts down aborts the process. The sleep gives them time to finish.
    time.sleep(0.2)
