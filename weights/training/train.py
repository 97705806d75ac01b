"""Train, from the command line."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gptcli.model.config import GPTConfig
from weights.training.data import Stream, held_out_texts, ids_of, token_shares
from weights.training.trainer import Plan, Trainer


def train(
    data: Annotated[Path, typer.Argument(help="What prepare wrote.")],
    run: Annotated[Path, typer.Option(help="Folder for checkpoint and log; goes on where its checkpoint stands.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps in all.")],
    start: Annotated[Path | None, typer.Option(help="Begin with a run's checkpoint or an exported folder.")] = None,
    mix: Annotated[str, typer.Option(help="How often an epoch reads each file: 'tinystories=4 tales=0.5'.")] = "",
    layers: Annotated[int, typer.Option(help="Blocks; those that --start lacks are added, saying nothing yet.")] = 6,
    width: Annotated[int, typer.Option(help="Numbers of the residual stream.")] = 256,
    heads: Annotated[int, typer.Option(help="Attention heads of a block.")] = 4,
    positions: Annotated[int, typer.Option(help="Longest context, in tokens.")] = 512,
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
    if (run / "checkpoint.safetensors").exists():
        trainer.restore(run / "checkpoint.safetensors")
    elif start is not None:
        trainer.begin_with(start, held_out_texts(data), token_shares(data))
    stream = Stream(ids_of(data), _shares(mix), sequence, seed)
    trainer.run(run, stream, compiled=compiled, minutes=minutes)


def _shares(mix: str) -> dict[str, float]:
    return {name: float(share) for name, share in (item.split("=") for item in mix.split())}
