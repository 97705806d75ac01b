"""The training loop: a batch, its gradients, a step of both optimizers, a line of the log; and checkpoints."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from gptcli.model.attention import Attention
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from weights.training.checkpoint import Tensors, config_of, metadata, model_of
from weights.training.data import Ids, Stream
from weights.training.deepen import deepen
from weights.training.kernels import TrainingAttend, block_loss, mean_loss
from weights.training.new_tokens import with_vocab
from weights.training.optimizer import Muon

# What says which shape is trained.
_OPTIONS = {"n_layer": "--layers", "n_embd": "--width", "n_head": "--heads", "n_positions": "--positions"}


@dataclass(frozen=True)
class Plan:
    """What fixes a run besides its data.

    Attributes:
        steps: how many there are in all.
        sequence: tokens of a sequence.
        batch: sequences of a step.
        micro: sequences that are computed at once.
        warm_up: steps over which the learning rates rise from zero.
        decay: share of the steps over which they fall to zero again, in a straight line.
        matrix_rate: Muon's learning rate.
        rate: AdamW's learning rate.
        matrix_decay: Muon's weight decay, a share of its learning rate.
        dropout: share of the channels of each sub-layer's output that a sequence goes without.
        bfloat16: multiply matrices in bfloat16.
        seed: of the first weights and the order of the data.
    """

    steps: int
    sequence: int = 256
    batch: int = 48
    micro: int = 16
    warm_up: int = 60
    decay: float = 0.5
    matrix_rate: float = 0.02
    rate: float = 3e-3
    matrix_decay: float = 0.01
    dropout: float = 0.0
    bfloat16: bool = False
    seed: int = 0

    def schedule(self, step: int) -> float:
        """What the learning rates are multiplied by: warm-up, constant, straight down to zero."""
        return min(1.0, (step + 1) / max(self.warm_up, 1), (self.steps - step) / max(self.decay * self.steps, 1))


class Trainer:
    """The model, its two optimizers, and how far they have come."""

    def __init__(self, config: GPTConfig, plan: Plan, vocab: NDArray[np.int32]) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.vocab = plan, vocab
        self.model = GPT(config)
        initialise(self.model)
        for module in self.model.modules():
            if isinstance(module, Attention):
                module.attend = TrainingAttend(config, module.layer)
        named = dict(self.model.named_parameters())
        matrices = {name: p for name, p in named.items() if name.startswith("h.") and p.ndim == 2}
        self.muon = Muon(matrices, torch.bfloat16 if plan.bfloat16 else torch.float32, plan.matrix_decay)
        self.rest = {name: p for name, p in named.items() if name not in self.muon.matrices}
        self.adam = torch.optim.AdamW(self.rest.values(), betas=(0.9, 0.95), weight_decay=0.0)
        self.states_of, self.block_of = self.states, block_loss
        self.step = self.position = self.tokens = 0
        self.seconds = 0.0
        if plan.dropout:
            for name, module in self.model.named_modules():
                if name.endswith((".attn", ".mlp")):
                    module.register_forward_hook(self._drop)

    def _drop(self, module: torch.nn.Module, inputs: Any, x: Tensor) -> Tensor:
        """Set channels of a sub-layer's output [B, T, C] to zero, the same at all positions of a sequence.

        Variational dropout (Gal and Ghahramani 2016). One random number a channel, not one an activation: those take
        a third of the time of a step on a CPU.
        """
        kept = 1 - self.plan.dropout
        mask = torch.rand(len(x), 1, x.shape[2]) < kept
        return x * (mask.to(x.dtype) / kept)

    def run(self, folder: Path, stream: Stream, *, compiled: bool, minutes: float) -> None:
        """Train up to the plan's last step, with a checkpoint every few minutes, at the end, and when asked to stop."""
        asked: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
        if compiled:
            self.states_of, self.block_of = torch.compile(self.states), torch.compile(block_loss)
        sequences = stream.sequences(self.position)
        saved = time.monotonic()
        with _log(folder / "log.jsonl", self.step) as log:
            while self.step < self.plan.steps and not asked:
                line = self.one_step(sequences)
                print(json.dumps(line), file=log, flush=True)
                if time.monotonic() - saved > 60 * minutes:
                    self.save(folder / "checkpoint.safetensors")
                    saved = time.monotonic()
        self.save(folder / "checkpoint.safetensors")
        signal.signal(signal.SIGTERM, before)

    def states(self, ids: Tensor) -> Tensor:
        """What the unembedding reads: [B, T] -> [B, T, C]."""
        with torch.autocast("cpu", torch.bfloat16) if self.plan.bfloat16 else nullcontext():
            x: Tensor = self.model.ln_f(self.model.transform(ids))
        return x

    def loss(self, batch: Tensor) -> Tensor:
        """Mean negative log-likelihood, nats a token, of the sequences [B, T + 1]."""
        x = self.states_of(batch[:, :-1]).flatten(0, 1)
        dtype = torch.bfloat16 if self.plan.bfloat16 else torch.float32
        return mean_loss(x, self.model.wte.weight, batch[:, 1:].flatten(), dtype, self.block_of)

    def one_step(self, sequences: Iterator[Ids]) -> dict[str, float]:
        """Gradients of one batch, piece by piece, and one step of both optimizers; returns its line of the log."""
        began = time.monotonic()
        ids = torch.from_numpy(np.stack([next(sequences) for _ in range(self.plan.batch)]).astype(np.int64))
        self.model.zero_grad(set_to_none=True)
        torch.manual_seed(hash((self.plan.seed, self.step)))  # so that dropout is the same after a restart
        total = 0.0
        for piece in torch.split(ids, self.plan.micro):
            loss = self.loss(piece) * (len(piece) / len(ids))
            torch.autograd.backward(loss)
            total += loss.item()
        factor = self.plan.schedule(self.step)
        torch.nn.utils.clip_grad_norm_(self.rest.values(), 1.0)
        self.adam.param_groups[0]["lr"] = factor * self.plan.rate
        self.adam.step()
        self.muon.step(factor * self.plan.matrix_rate)
        self.step += 1
        self.position += len(ids)
        self.tokens += ids[:, 1:].numel()
        self.seconds += time.monotonic() - began
        return {
            "step": self.step,
            "tokens": self.tokens,
            "loss": round(total, 4),
            "factor": round(factor, 4),
            "seconds": round(self.seconds, 2),
        }

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the old file stays until the new one is whole."""
        tensors = {f"model.{name}": tensor.detach() for name, tensor in self.model.named_parameters()}
        tensors |= {f"muon.{name}": tensor for name, tensor in self.muon.buffers.items()}
        for name, parameter in self.rest.items():
            tensors |= {f"adam.{key}.{name}": value for key, value in self.adam.state[parameter].items()}
        tensors["vocab"] = torch.from_numpy(self.vocab)
        counts = {"step": self.step, "position": self.position, "tokens": self.tokens, "seconds": self.seconds}
        about = {**counts, "plan": asdict(self.plan), "config": asdict(self.model.config)}
        whole = path.with_suffix(".part")
        save_file(tensors, whole, {key: json.dumps(value) for key, value in about.items()})
        os.replace(whole, path)

    def restore(self, path: Path) -> None:
        """Go on exactly where ``save`` was called (with another sequence length: at the start of the data)."""
        tensors, about = load_file(path), metadata(path)
        self._check(config_of(about), "run", tuple(_OPTIONS))
        self._take(tensors, "model.", dict(self.model.named_parameters()))
        self._take(tensors, "muon.", self.muon.buffers)
        for name, parameter in self.rest.items():
            keys = ("step", "exp_avg", "exp_avg_sq")
            self.adam.state[parameter] = {
                key: tensors[stored] for key in keys if (stored := f"adam.{key}.{name}") in tensors
            }
        self.step, self.tokens, self.seconds = about["step"], about["tokens"], about["seconds"]
        self.position = about["position"] if about["plan"]["sequence"] == self.plan.sequence else 0

    def begin_with(self, path: Path, held_out: list[str], shares: NDArray[np.float64]) -> None:
        """Take the weights of another run; tokens and layers that it did not have are added.

        See ``with_vocab`` and ``deepen``.
        """
        weights, config, vocab = model_of(path)
        self._check(config, "start", ("n_embd", "n_head", "n_positions"))
        weights = with_vocab(weights, config, vocab, self.vocab, held_out, shares)
        weights = deepen(weights, config.n_layer, self.model.config.n_layer)
        self._take(weights, "", dict(self.model.named_parameters()))

    def _check(self, theirs: GPTConfig, whose: str, fields: tuple[str, ...]) -> None:
        """Refuse weights of another shape; with other heads they would fit, and mean something else."""
        for field in fields:
            ours, has = getattr(self.model.config, field), getattr(theirs, field)
            if ours != has:
                raise typer.BadParameter(f"{_OPTIONS[field]} {ours}: the {whose} has {has}")

    @staticmethod
    @torch.no_grad()
    def _take(tensors: Tensors, prefix: str, into: Any) -> None:
        for name, target in into.items():
            target.copy_(tensors[prefix + name])


def _log(path: Path, steps: int) -> TextIO:
    """The log, open for its next line; lines after the checkpoint's last step go, as those steps are done again."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    path.write_text("".join(line for line in lines if json.loads(line)["step"] <= steps))
    return path.open("a")


def initialise(model: GPT) -> None:
    """Small random weights; those that write into the residual stream are smaller the more of them there are."""
    writers = 2 * model.config.n_layer
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            if name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
        elif name.startswith("h."):
            scale = 0.6 / math.sqrt(parameter.shape[1])
            torch.nn.init.normal_(parameter, std=scale / math.sqrt(writers) if "c_proj" in name else scale)
        else:
            torch.nn.init.normal_(parameter, std=0.02)
