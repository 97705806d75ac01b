"""A run -> an ordinary Hugging Face folder."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from safetensors.torch import save_file

from gptcli.model.config import GPTConfig
from weights.training.checkpoint import model_of
from weights.training.data import held_out_texts, token_shares
from weights.training.new_tokens import with_vocab
from weights.training.vocabulary import END, N_VOCAB


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
