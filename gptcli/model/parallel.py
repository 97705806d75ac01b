"""One GPT over several processes: tensor parallelism (Shoeybi et al. 2019, Megatron-LM) with torch's own DTensor.

Each process ("rank") keeps a share of every large matrix and computes with it; ``parallelize_module`` puts the
communication between the layers. Of N ranks, rank r has

    attn.c_attn           the q, k and v rows of 1/N of the heads, so that attention needs no other; where there are
                          fewer key heads than ranks, several ranks have the one that their queries share
    attn.c_proj, mlp.c_proj   the columns that read what it has computed; an all-reduce sums the outputs, then the bias
    mlp.c_fc, mlp.c_gate  its 1/N of the hidden layer
    wte, lm_head          its part of the vocabulary; the logits are gathered
    everything else       whole: norms (a rank uses what belongs to its heads), positions, OPT-350m's two projections

Rank 0 leads. It alone reads the prompt, draws and prints. Whatever it asks of its engine it first tells the others
(``Leader``), which do the same on theirs (``Group.follow``): so every rank reads the ids that rank 0 chose.
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
from gptcli.model.engine import EngineFacts
from gptcli.model.gpt import GPT, Block
from gptcli.model.meeting import meet
from gptcli.model.norm import Norm
from gptcli.model.torch_engine import TorchEngine

# A rank waits as long as rank 0 takes to print, and a pager may keep that one waiting. Where a rank dies, the
# connection tells, and torchrun ends the rest.
_PATIENCE = timedelta(days=7)

Share = tuple[int, list[tuple[int, int]]]
"""A dimension of a tensor, and the ranges of it, start and stop, that a rank has."""


class Group:
    """The processes that hold one GPT together.

    Args:
        rank: this process's number.
        size: how many there are.
        device: where this process computes.

    Raises:
        InputError: the environment does not say where they meet.
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
        """Whether this is the rank that reads and prints."""
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
        """The shape that the ranks build together: key heads that are fewer than the ranks are there several times.

        Raises:
            InputError: it does not divide.
        """
        self._check(config)
        return replace(config, n_kv_head=self.size) if config.kv_heads < self.size else config

    def shard(self, model: GPT) -> None:
        """Make a GPT of a ``divided`` shape on the meta device one whose large matrices are DTensors over all ranks."""
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
        """Tell what has a number for each head which of them are this rank's."""
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
        """Over all ranks, each of which has as many numbers."""
        mean = x.square().mean(-1, keepdim=True)
        dist.all_reduce(mean)
        return mean / self.size

    def share(self, config: GPTConfig, name: str, parameter: Tensor) -> Share | None:
        """Which part of a parameter this rank has; None for all of it.

        Args:
            config: of the checkpoint, before it was ``divided``.
            name: of the parameter.
            parameter: as ``shard`` left it.
        """
        placement = parameter.placements[0] if isinstance(parameter, DTensor) else Replicate()
        if not isinstance(placement, Shard):
            return None
        length = parameter.shape[placement.dim]
        if name.endswith(("c_attn.weight", "c_attn.bias")):  # q, k and v on top of each other: a part of each
            ends = accumulate(config.qkv_widths)
            parts = [
                (end - width, width // config.head_size) for end, width in zip(ends, config.qkv_widths, strict=True)
            ]
            return placement.dim, [self._rows(start, heads, config.head_size) for start, heads in parts]
        width = -(-length // self.size)  # the last ranks of a vocabulary have less, as torch.chunk does it
        start = min(self.rank * width, length)
        return placement.dim, [(start, min(start + width, length))]

    def _rows(self, start: int, heads: int, head_size: int) -> tuple[int, int]:
        """This rank's rows of so many heads from a row on; of fewer heads than ranks, the one that it shares."""
        first, count = self.rank * heads // self.size, max(heads // self.size, 1)
        return start + first * head_size, start + (first + count) * head_size

    def place(self, parameter: Tensor, local: Tensor) -> Tensor:
        """This rank's part as the tensor that stands in for ``parameter``."""
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
        """The weight of a norm on keys for each of the ranks that share a key head (see ``divided``)."""
        if times == 1:
            return local
        by_head = local.reshape(self.size // times, -1, *local.shape[1:])
        return by_head.repeat_interleave(times, dim=0).flatten(0, 1)

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """Do something on every rank, and go on only where all could.

        Raises:
            GptcliError: on the leading rank: its own error, or the message of the first that had one.
            SystemExit: on the others, with its exit code; the leading rank tells.
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
        """What generation talks to on the leading rank."""
        return Leader(self, model)

    def follow(self, model: GPT) -> None:
        """Do what the leading rank asks for, until it ends.

        Raises:
            SystemExit: the leading rank is gone.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every rank; the leading one ends the others
        engine = _ShardEngine(model, self.size)
        while call := json.loads(self.tell("")):
            with suppress(IndexError):  # as on the leading rank: an engine checks before it computes
                getattr(engine, call[0])(*call[1:])

    def tell(self, message: str) -> str:
        """The leading rank's message, on every rank.

        Raises:
            GptcliError: on the leading rank, when another is gone.
            SystemExit: on another, when the leading rank is gone.
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
        """What torch raises when a connection breaks, as an end that needs no traceback."""
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            if not self.leads:
                raise SystemExit(1) from error
            raise GptcliError(f"another of the {self.size} processes ended: torchrun reports which") from error


class Leader:
    """The engine of the leading rank (see ``Engine``): whatever it does, all ranks do.

    An interrupt waits until a call is done: the ranks must not part in the middle of one.

    Args:
        group: of which this process is rank 0.
        model: this rank's part.
    """

    def __init__(self, group: Group, model: GPT) -> None:
        self._group = group
        self._engine = _ShardEngine(model, group.size)
        self._together = True  # False from an error on: the ranks wait at different places
        atexit.register(self.end)

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self._engine.n_positions

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def facts(self) -> EngineFacts:
        """What it is (see ``Engine.facts``): the whole model's, whose bytes the ranks read together."""
        return replace(self._engine.facts(), name=f"PyTorch, {self._group.size} processes", why_not_c=None)

    def new_session(self) -> "Leader":
        """There is none (see ``Engine.new_session``)."""
        raise InputError("several processes hold this model, and read one batch at a time: leave out torchrun")

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes on one rank; a little less, as the ranks share the heads."""
        return self._engine.row_bytes(capacity)

    def free_bytes(self) -> int | None:
        """The memory that is left for batches on this rank."""
        return self._engine.free_bytes()

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        logits: NDArray[np.float32] = self._call("prefill", [[int(token) for token in row] for row in rows], capacity)
        return logits

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
        """Forget one row and read these ids in its place (see ``Engine.refill``)."""
        self._call("refill", row, [int(token) for token in ids])

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        self._call("select", [int(row) for row in rows])

    def end(self) -> None:
        """Let the other ranks go; nothing can be asked for any more."""
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
    """Meet the other processes that torchrun started.

    Args:
        device: of which kind each is to use; of several GPUs each process takes its own.

    Raises:
        InputError: there are fewer GPUs than processes, or the device is one that cannot be shared.
        GptcliError: the others cannot be reached.
    """
    if ranks.is_worker():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it loads: end at once, wherever it is
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
    """Bytes of the parameters that this process holds itself."""
    held = (p.to_local() if isinstance(p, DTensor) else p for p in model.parameters())
    return sum(parameter.numel() * parameter.element_size() for parameter in held)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Raise KeyboardInterrupt after the block instead of in it."""
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
    # Gloo's threads drop the last tensors of finished work, for which they need the interpreter's lock; one that asks
    # for it while Python shuts down would abort the process. They need no more than to be let run.
    time.sleep(0.2)
