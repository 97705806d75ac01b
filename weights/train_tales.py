"""Train a small GPT-2 on two CPU cores: how ``weights/tales`` was made.

    python weights/train_tales.py prepare corpus/*.txt --out data --held-out weights/tales/held_out.tsv
    python weights/train_tales.py train data --run run --steps 1600 --sequence 256
    python weights/train_tales.py train data --run last --start run/checkpoint.safetensors --sequence 512 --steps 400
    python weights/train_tales.py export last data --out my-tales
    python weights/train_tales.py evaluate my-tales data

A corpus is text files whose documents are separated by ``<|endoftext|>``. ``prepare`` encodes them with the part of
GPT-2's vocabulary that they use, which makes the unembedding, a third of the work, several times smaller; ``export``
puts the rows back among the 50,257. ``train`` may be stopped at any time: the same command goes on where it was.
"""

import csv
import hashlib
import json
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.tokenizer import AddedToken, Tokenizer, gpt2_tokenizer

END = 50256  # <|endoftext|>: comes before each document, and so between them
N_VOCAB = 50257
RUN = 10  # words in the runs by which near-duplicates are known
Tensors = dict[str, Tensor]
Ids = NDArray[np.uint16]

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


# --- prepare ---------------------------------------------------------------------------------------------------------


@app.command()
def prepare(
    corpus: Annotated[list[Path], typer.Argument(help="Text files, documents separated by <|endoftext|>.")],
    out: Annotated[Path, typer.Option(help="Folder for the encoded corpus.")],
    held_out: Annotated[Path | None, typer.Option(help="Table of what to hold out: sha256 in the last column.")] = None,
    min_count: Annotated[int, typer.Option(help="Keep the tokens seen at least so often.")] = 80,
    vocab_from: Annotated[Path | None, typer.Option(help="Keep the tokens of this checkpoint instead.")] = None,
    duplicate: Annotated[float, typer.Option(help="Leave out documents that share more 10-word runs than this.")] = 0.1,
) -> None:
    """Encode a corpus; hold out what the table lists, and leave out what nearly repeats it."""
    documents = {path.stem: read_documents(path) for path in corpus}
    known = _sha256s(held_out) if held_out else drawn(documents)
    held = [(name, text) for name, texts in documents.items() for text in texts if sha256(text) in known]
    runs = set[int]().union(*(word_runs(text) for _, text in held))
    kept = {
        name: [text for text in texts if sha256(text) not in known and shared(text, runs) <= duplicate]
        for name, texts in documents.items()
    }
    dropped = sum(map(len, documents.values())) - sum(map(len, kept.values())) - len(held)
    counts = token_counts(kept)
    tokens = stored_vocab(vocab_from) if vocab_from else frequent_tokens(counts, min_count)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "counts.npy", counts)
    np.save(out / "vocab.npy", tokens)
    (out / "held_out.jsonl").write_text("".join(json.dumps({"file": f, "text": t}) + "\n" for f, t in held))
    tokenizer, row_of = compact_tokenizer(tokens), rows(tokens)
    for name, texts in kept.items():
        ids = row_of[[i for text in texts for i in (END, *tokenizer.encode(text))]].astype(np.uint16)
        np.save(out / f"{name}.npy", ids)
        print(f"{name}: {len(texts):,} documents, {len(ids):,} tokens")
    print(f"{len(tokens):,} tokens kept; held out {len(held)} documents, left out {dropped} that nearly repeat them")


def read_documents(path: Path) -> list[str]:
    """The documents of a text file, stripped."""
    texts = path.read_text(encoding="utf-8").split("<|endoftext|>")
    return [text.strip() for text in texts if text.strip()]


def sha256(text: str) -> str:
    """How held-out documents are known."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256s(table: Path) -> set[str]:
    with table.open(newline="", encoding="utf-8") as file:
        return {row[-1] for row in csv.reader(file, delimiter="\t")}


def drawn(documents: dict[str, list[str]]) -> set[str]:
    """One document in a hundred, at least one: those of the lowest hashes, so that the same ones are drawn again."""
    hashes = sorted({sha256(text) for texts in documents.values() for text in texts})
    return set(hashes[: max(len(hashes) // 100, 1)])


def word_runs(text: str) -> set[int]:
    """Hashes of all runs of ten words."""
    words = text.lower().split()
    return {hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1)}


def shared(text: str, runs: set[int]) -> float:
    """Which share of a text's runs is among ``runs``."""
    own = word_runs(text)
    return len(own & runs) / max(len(own), 1)


def token_counts(documents: dict[str, list[str]]) -> NDArray[np.int64]:
    """How often each of GPT-2's tokens stands in the documents: [50257]."""
    counts = np.zeros(N_VOCAB, np.int64)
    for texts in documents.values():
        for text in texts:
            np.add.at(counts, [END, *gpt2_tokenizer().encode(text)], 1)
    return counts


def frequent_tokens(counts: NDArray[np.int64], min_count: int) -> NDArray[np.int32]:
    """The ids seen at least ``min_count`` times, all single bytes, and the end of a text: ascending."""
    tokenizer = gpt2_tokenizer()
    single = [token for token in range(END) if len(tokenizer.token_bytes(token)) == 1]
    return np.unique([*np.flatnonzero(counts >= min_count), *single, END]).astype(np.int32)


def compact_tokenizer(tokens: Iterable[int]) -> Tokenizer:
    """GPT-2's byte-pair encoding with some of its ranks only: it still encodes any text, in more tokens."""
    full = gpt2_tokenizer()
    ranks = {full.token_bytes(int(token)): int(token) for token in tokens if token != END}
    return Tokenizer("compact", ranks, full.pattern, added=[AddedToken("<|endoftext|>", END)])


def rows(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """GPT-2 token -> row of the compact embedding, -1 where it has none: [50257]."""
    row_of = np.full(N_VOCAB, -1)
    row_of[tokens] = np.arange(len(tokens))
    return row_of


# --- train -----------------------------------------------------------------------------------------------------------


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


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="What prepare wrote.")],
    run: Annotated[Path, typer.Option(help="Folder for checkpoint and log; goes on where its checkpoint stands.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps in all.")],
    start: Annotated[Path | None, typer.Option(help="Begin with a run's checkpoint or an exported folder.")] = None,
    mix: Annotated[str, typer.Option(help="How often an epoch reads each file: 'tinystories=4 tales=0.5'.")] = "",
    layers: int = 6,
    width: int = 256,
    heads: int = 4,
    positions: int = 512,
    sequence: Annotated[int, typer.Option(help="Tokens a sequence.")] = 256,
    batch: Annotated[int, typer.Option(help="Sequences a step.")] = 48,
    micro: Annotated[int, typer.Option(help="Sequences computed at once.")] = 16,
    warm_up: Annotated[int, typer.Option(help="Steps of rising learning rate.")] = 60,
    decay: Annotated[float, typer.Option(help="Last share of the steps, of falling learning rate.")] = 0.5,
    matrix_rate: Annotated[float, typer.Option(help="Learning rate of Muon.")] = 0.02,
    rate: Annotated[float, typer.Option(help="Learning rate of AdamW.")] = 3e-3,
    matrix_decay: Annotated[float, typer.Option(help="Weight decay of Muon.")] = 0.01,
    dropout: Annotated[float, typer.Option(help="Share of each sub-layer's channels a sequence goes without.")] = 0.0,
    bfloat16: Annotated[bool, typer.Option(help="Matrix products in bfloat16 (slow on CPUs without it).")] = False,
    compiled: Annotated[bool, typer.Option(help="Use torch.compile (needs a C++ compiler).")] = False,
    minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 4.0,
    seed: int = 0,
) -> None:
    """Train, or go on training; every few minutes a checkpoint, every step a line in log.jsonl."""
    plan = Plan(steps, sequence, batch, micro, warm_up, decay, matrix_rate, rate, matrix_decay, dropout, bfloat16, seed)
    vocab = np.load(data / "vocab.npy")
    config = GPTConfig(vocab_size=len(vocab), n_positions=positions, n_embd=width, n_layer=layers, n_head=heads)
    trainer = Trainer(config, plan, vocab)
    run.mkdir(parents=True, exist_ok=True)
    files: dict[str, NDArray[Any]] = {name: np.load(data / f"{name}.npy", mmap_mode="r") for name in _files(data)}
    if (run / "checkpoint.safetensors").exists():
        trainer.restore(run / "checkpoint.safetensors")
    elif start is not None:
        trainer.begin_with(start, held_out_texts(data), token_shares(data))
    stream = Stream(files, _shares(mix), plan)
    trainer.run(run, stream, compiled=compiled, minutes=minutes)


def _files(data: Path) -> list[str]:
    return sorted(path.stem for path in data.glob("*.npy") if path.stem not in ("vocab", "counts"))


def _shares(mix: str) -> dict[str, float]:
    return {name: float(share) for name, share in (item.split("=") for item in mix.split())}


class Stream:
    """The corpus as sequences in a random order that depends on the seed, the sequence length and the epoch only.

    Args:
        files: ids of each file.
        shares: how often an epoch reads each file (a fraction: of its sequences, drawn anew each epoch); without an
            entry once, or not at all where others have one.
        plan: for the sequence length and the seed.
    """

    def __init__(self, files: dict[str, NDArray[Any]], shares: dict[str, float], plan: Plan) -> None:
        if unknown := shares.keys() - files.keys():
            raise typer.BadParameter(f"the data has no {', '.join(sorted(unknown))}: it has {', '.join(files)}")
        self.shares = shares or dict.fromkeys(files, 1.0)
        self.files = [files[name] for name in self.shares]
        self.plan = plan

    def sequences(self, position: int) -> Iterator[Ids]:
        """Sequences of one token more than ``plan.sequence``, from ``position`` on, without end."""
        epoch = 0
        while True:
            order = self._order(epoch)
            if not len(order):
                raise typer.BadParameter(f"the data has no sequence of {self.plan.sequence + 1} tokens")
            for file, first in order[position:]:
                yield np.asarray(self.files[file][first : first + self.plan.sequence + 1])
            position = max(position - len(order), 0)
            epoch += 1

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """(file, first token) of each sequence of an epoch; every pass over a file cuts it at other places."""
        length = self.plan.sequence
        rng = np.random.default_rng([self.plan.seed, length, epoch])
        parts = []
        for file, (ids, share) in enumerate(zip(self.files, self.shares.values(), strict=True)):
            for done in range(math.ceil(share)):
                firsts = np.arange(rng.integers(length), len(ids) - length, length)
                firsts = rng.permutation(firsts)[: round(min(share - done, 1) * len(firsts))]
                parts.append(np.stack([np.full_like(firsts, file), firsts], axis=1))
        return rng.permutation(np.concatenate(parts))


class Muon:
    """Muon (Jordan 2024) for the matrices of the blocks: momentum, made orthogonal.

    Query, key and value matrices, which lie in one parameter, are made orthogonal apart. Matrices of one shape go
    through the iteration together.
    """

    momentum = 0.95

    def __init__(self, matrices: dict[str, torch.nn.Parameter], dtype: torch.dtype, decay: float) -> None:
        self.matrices, self.dtype, self.decay = matrices, dtype, decay
        self.buffers = {name: torch.zeros_like(matrix) for name, matrix in matrices.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step down the gradients."""
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for name, matrix in self.matrices.items():
            assert matrix.grad is not None
            buffer = self.buffers[name].lerp_(matrix.grad, 1 - self.momentum)
            update = matrix.grad.lerp(buffer, self.momentum)  # Nesterov: look one step ahead
            parts = 3 if "c_attn" in name else 1
            for part, weight in zip(update.chunk(parts), matrix.chunk(parts), strict=True):
                by_shape.setdefault(tuple(part.shape), []).append((part, weight))
        for (height, width), pairs in by_shape.items():
            scale = rate * math.sqrt(max(1.0, height / width))
            updates = orthogonalise(torch.stack([part for part, _ in pairs]).to(self.dtype))
            for update, (_, weight) in zip(updates, pairs, strict=True):
                weight.mul_(1 - rate * self.decay).sub_(update, alpha=scale)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring the singular values of some matrices near 1: five Newton-Schulz steps with Jordan's coefficients.

    Args:
        matrices: [n, height, width].

    Returns:
        The same shape; U V^T for U S V^T, roughly.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


class Trainer:
    """The model, its two optimizers, and how far they have come."""

    def __init__(self, config: GPTConfig, plan: Plan, vocab: NDArray[np.int32]) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.vocab = plan, vocab
        self.model = GPT(config)
        initialise(self.model)
        named = dict(self.model.named_parameters())
        matrices = {name: p for name, p in named.items() if name.startswith("h.") and p.ndim == 2}
        self.muon = Muon(matrices, torch.bfloat16 if plan.bfloat16 else torch.float32, plan.matrix_decay)
        self.rest = {name: p for name, p in named.items() if name not in self.muon.matrices}
        self.adam = torch.optim.AdamW(self.rest.values(), betas=(0.9, 0.95), weight_decay=0.0)
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
        loss_of = torch.compile(self.loss) if compiled else self.loss
        sequences = stream.sequences(self.position)
        saved = time.monotonic()
        with _log(folder / "log.jsonl", self.step) as log:
            while self.step < self.plan.steps and not asked:
                line = self.one_step(sequences, loss_of)
                print(json.dumps(line), file=log, flush=True)
                if time.monotonic() - saved > 60 * minutes:
                    self.save(folder / "checkpoint.safetensors")
                    saved = time.monotonic()
        self.save(folder / "checkpoint.safetensors")
        signal.signal(signal.SIGTERM, before)

    def loss(self, batch: Tensor) -> Tensor:
        """Mean negative log-likelihood, nats a token, of the sequences [B, T + 1]."""
        with torch.autocast("cpu", torch.bfloat16) if self.plan.bfloat16 else nullcontext():
            logits = self.model(batch[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())

    def one_step(self, sequences: Iterator[Ids], loss_of: Any) -> dict[str, float]:
        """Gradients of one batch, piece by piece, and one step of both optimizers; returns its line of the log."""
        began = time.monotonic()
        ids = torch.from_numpy(np.stack([next(sequences) for _ in range(self.plan.batch)]).astype(np.int64))
        self.model.zero_grad(set_to_none=True)
        torch.manual_seed(hash((self.plan.seed, self.step)))  # so that dropout is the same after a restart
        total = 0.0
        for piece in torch.split(ids, self.plan.micro):
            loss = loss_of(piece) * (len(piece) / len(ids))
            loss.backward()
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
        """Take the weights of another run; tokens that it did not have get rows (see ``with_vocab``)."""
        weights, config, vocab = model_of(path)
        weights = with_vocab(weights, config, vocab, self.vocab, held_out, shares)
        self._take(weights, "", dict(self.model.named_parameters()))

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


def metadata(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: config, plan, and how far it is."""
    with safe_open(checkpoint, "pt") as file:
        return {key: json.loads(value) for key, value in (file.metadata() or {}).items()}


def stored_vocab(checkpoint: Path) -> NDArray[np.int32]:
    """The tokens of a checkpoint's rows."""
    return np.asarray(load_file(checkpoint)["vocab"].numpy(), np.int32)


# --- export ----------------------------------------------------------------------------------------------------------


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[Path, typer.Argument(help="What prepare wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for config.json and model.safetensors.")],
) -> None:
    """Write a run's model as an ordinary Hugging Face GPT-2 folder in float16, with all of GPT-2's 50,257 tokens."""
    path = run / "checkpoint.safetensors"
    weights, config, vocab = model_of(path)
    everything = np.arange(N_VOCAB, dtype=np.int32)
    weights = with_vocab(weights, config, vocab, everything, held_out_texts(data), token_shares(data))
    turned = {
        name: (value.t() if name.startswith("h.") and value.ndim == 2 else value).half().contiguous()
        for name, value in weights.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(turned, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text(json.dumps(hugging_face_config(config), indent=2) + "\n")
    print(f"{out}: {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


def hugging_face_config(config: GPTConfig) -> dict[str, Any]:
    """The config.json of a GPT-2 of this shape."""
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_positions": config.n_positions,
        "n_ctx": config.n_positions,
        "n_inner": config.n_inner,
        "vocab_size": N_VOCAB,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "tie_word_embeddings": True,
        "bos_token_id": END,
        "eos_token_id": END,
        "torch_dtype": "float16",
    }


def model_of(checkpoint: Path) -> tuple[Tensors, GPTConfig, NDArray[np.int32]]:
    """Weights (by the GPT's own names), shape, and vocabulary of a run's checkpoint or of an exported folder."""
    if checkpoint.is_dir():
        model = open_checkpoint(str(checkpoint), Placement(device="cpu", dtype="float32")).model
        return dict(model.named_parameters()), model.config, np.arange(N_VOCAB, dtype=np.int32)
    tensors = load_file(checkpoint)
    weights = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    fields = metadata(checkpoint)["config"]
    config = GPTConfig(**{**fields, "windows": tuple(fields["windows"])})
    return weights, config, np.asarray(tensors["vocab"].numpy(), np.int32)


def token_shares(data: Path) -> NDArray[np.float64]:
    """How often each of GPT-2's tokens stands in the training text, as a share of all: [50257]."""
    counts = np.load(data / "counts.npy")
    return np.asarray(counts / counts.sum())


def held_out_texts(data: Path, among: str = "") -> list[str]:
    """The held-out documents (of the files named in ``among``)."""
    lines = [json.loads(line) for line in (data / "held_out.jsonl").read_text().splitlines()]
    return [line["text"] for line in lines if not among or line["file"] in among.split()]


def with_vocab(
    weights: Tensors,
    config: GPTConfig,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    texts: list[str],
    shares: NDArray[np.float64],
) -> Tensors:
    """A model's weights for another vocabulary; see ``lift`` and ``widen``."""
    if np.isin(new, old).all():
        return {**weights, "wte.weight": weights["wte.weight"][rows(old)[new]]}
    lifted = lift(weights, config, old, texts)
    return {**lifted, "wte.weight": widen(lifted, config, old, new, texts, shares[new])}


@torch.no_grad()
def lift(
    weights: Tensors, config: GPTConfig, vocab: NDArray[np.int32], texts: list[str], height: float = 1.0
) -> Tensors:
    """Weights that say nearly the same, with final states that all lie far along one direction.

    Tokens without training are kept from being predicted by rows that point against such a direction (see ``widen``).
    Training leaves one along which states lie a hundredth of their length, so that those rows would have to be ten
    times as long as the others, and would lose what they say of a token that is read. So the final norm's bias takes
    states up to ``height``, and the rows lose along the direction what the states win: on average, products stay.

    Args:
        weights, config, vocab: of the model.
        texts: those whose final states count.
        height: how far the states are to lie, on average.
    """
    states = final_states(weights, config, vocab, texts)
    direction = apart(states)
    mean = (states @ direction).mean()
    if mean > height / 2:
        return weights
    table = weights["wte.weight"]
    lower = table - (1 - mean / height) * (table @ direction)[:, None] * direction
    return {**weights, "wte.weight": lower, "ln_f.bias": weights["ln_f.bias"] + (height - mean) * direction}


def apart(states: Tensor) -> Tensor:
    """The direction along which states [N, C] vary least for their mean (Fisher's discriminant against zero): [C]."""
    noise = 1e-4 * torch.eye(states.shape[1])
    direction = torch.linalg.solve(torch.cov(states.T) + noise, states.mean(dim=0))
    return F.normalize(direction, dim=0)


@torch.no_grad()
def widen(
    weights: Tensors,
    config: GPTConfig,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    texts: list[str],
    shares: NDArray[np.float64] | None = None,
    rare: float = 5e-4,
) -> Tensor:
    """The embedding for a larger vocabulary: old rows stay, other tokens get rows made of what spells them.

    Such a token starts at the mean of the rows of the kept pieces that spell it, so that it can be read. The
    unembedding has the same rows and would predict it about as often as its pieces; so it is moved, against a
    direction along which every final state is positive, until on the held-out texts it gets its share of the
    probability. The tokens that never stand in the text are all moved equally far, to get ``rare`` together.

    Args:
        weights, config, old: of the model; row i of its embedding is GPT-2 token ``old[i]``.
        new: the tokens of the rows that are wanted.
        texts: the held-out texts.
        shares: how often each of ``new`` stands in the text, as a share of all tokens; None: never.
        rare: the share of tokens that are never seen.

    Returns:
        [len(new), width].
    """
    table = weights["wte.weight"]
    row_of, full = rows(old), gpt2_tokenizer()
    ranks = {full.token_bytes(int(token)): int(token) for token in old if token != END}
    spelled = [[token] if row_of[token] >= 0 else spell(full.token_bytes(int(token)), ranks) for token in new]
    wide = torch.stack([table[row_of[pieces]].mean(dim=0) for pieces in spelled])
    added = torch.from_numpy(row_of[new] < 0)
    if not added.any():
        return wide
    states = final_states(weights, replace(config, vocab_size=len(old)), old, texts)  # [N, C]
    direction = apart(states)
    states = states[:: len(states) // 512 + 1]
    others = torch.logsumexp(states @ table.T, dim=1, keepdim=True)
    ahead, along = states @ wide[added].T - others, states @ direction  # [N, added], [N]
    farthest = _shift(torch.logsumexp(ahead, dim=1, keepdim=True), along, torch.tensor([rare]))
    shifts = farthest.expand(ahead.shape[1]).clone()
    if shares is not None:
        wanted = torch.from_numpy(shares).float()[added]
        seen = wanted > 0
        shifts[seen] = torch.minimum(_shift(ahead[:, seen], along, wanted[seen]), farthest)
    wide[added] -= shifts[:, None] * direction
    return wide


def _shift(ahead: Tensor, along: Tensor, wanted: Tensor) -> Tensor:
    """How far to move each token so that its mean probability is the one that is wanted, by bisection.

    Args:
        ahead: logit of each token less the logsumexp of all others, by state: [N, n].
        along: how much one unit takes off that, [N].
        wanted: mean probabilities, [n].

    Returns:
        [n].
    """
    low, high = torch.full_like(wanted, -100.0), torch.full_like(wanted, 1000.0)
    for _ in range(40):
        shift = (low + high) / 2
        often = torch.sigmoid(ahead - shift * along[:, None]).mean(dim=0) > wanted
        low, high = torch.where(often, shift, low), torch.where(often, high, shift)
    return high


def spell(data: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding of some bytes: join the two neighbours of the lowest rank until none has one."""
    parts = [data[i : i + 1] for i in range(len(data))]
    while True:
        joined = [(ranks.get(a + b, END), i) for i, (a, b) in enumerate(pairwise(parts))]
        rank, i = min(joined, default=(END, 0))
        if rank == END:
            return [ranks[part] for part in parts]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def final_states(weights: Tensors, config: GPTConfig, vocab: NDArray[np.int32], texts: list[str]) -> Tensor:
    """What the model unembeds at up to 64 x 256 positions of some texts: [N, C]."""
    model = GPT(config)
    model.load_state_dict({**weights, "lm_head.weight": weights["wte.weight"]})
    tokenizer = compact_tokenizer(vocab)
    ids = rows(vocab)[[i for text in texts for i in (END, *tokenizer.encode(text))]]
    length = min(256, config.n_positions, len(ids))
    count = len(ids) // length
    chosen = np.linspace(0, count - 1, min(count, 64)).astype(int)  # from all parts of the held-out texts
    batch = torch.from_numpy(ids[: count * length].reshape(count, length)[chosen])
    return torch.cat([model.ln_f(model.transform(row[None]))[0] for row in batch])


# --- evaluate --------------------------------------------------------------------------------------------------------


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="An exported folder, or anything gptcli's --model takes.")],
    data: Annotated[Path, typer.Argument(help="What prepare wrote, with the compact vocabulary.")],
    simple: Annotated[str, typer.Option(help="The files whose held-out documents are reported first.")] = (
        "tinystories storybooks_ccby"
    ),
) -> None:
    """Bits a byte on the held-out documents, with the compact and with GPT-2's own tokenization."""
    gpt = open_checkpoint(model, Placement(device="cpu", dtype="float32")).model
    texts = held_out_texts(data)
    easy = held_out_texts(data, simple)
    compact = compact_tokenizer(np.load(data / "vocab.npy"))
    for name, tokenizer in {"compact": compact, "full": gpt2_tokenizer()}.items():
        for kind, part in {"simple": easy, "other": [text for text in texts if text not in set(easy)]}.items():
            if part:
                bits, nats = held_out_loss(gpt, tokenizer, part)
                print(f"{name:8}{kind:8}{bits:.4f} bits a byte{nats:8.4f} nats a token")


@torch.inference_mode()
def held_out_loss(model: GPT, tokenizer: Tokenizer, texts: list[str]) -> tuple[float, float]:
    """Bits a byte and nats a token of some texts, each read after ``<|endoftext|>``.

    A text longer than the context is read in windows that overlap by half; of each but the first, the second half
    counts.
    """
    length, half = model.config.n_positions, model.config.n_positions // 2
    total = count = 0.0
    for text in texts:
        ids = torch.tensor([END, *tokenizer.encode(text)])
        for start in range(0, max(len(ids) - 1 - half, 1), half):
            window = ids[start : start + length + 1]
            skip = half if start else 0
            x = model.transform(window[None, :-1])[0, skip:]
            total += F.cross_entropy(model.unembed(x), window[1 + skip :], reduction="sum").item()
            count += len(window) - 1 - skip
    return total / math.log(2) / sum(len(text.encode()) for text in texts), total / count


if __name__ == "__main__":
    app()
