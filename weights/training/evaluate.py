"""How well a model predicts the held-out documents."""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch.nn import functional as F

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.gpt import GPT
from gptcli.tokenizer import Tokenizer, gpt2_tokenizer
from weights.training.data import held_out_texts
from weights.training.vocabulary import END, compact_tokenizer


def evaluate(
    model: Annotated[str, typer.Argument(help="An exported folder, or anything gptcli's --model takes.")],
    data: Annotated[Path, typer.Argument(help="What prepare wrote, with the compact vocabulary.")],
    simple: Annotated[str, typer.Option(help="The files whose held-out documents are reported first.")] = (
        "tinystories storybooks_ccby"
    ),
) -> None:
    """Bits a byte on the held-out documents, with the compact and with GPT-2's own tokenization."""
    gpt = open_checkpoint(model, Placement("cpu", "float32")).model
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
