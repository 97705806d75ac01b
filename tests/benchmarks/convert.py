"""A checkpoint in the hub's format, written once more in a peer's own.

    python -m tests.benchmarks.convert FORMAT WEIGHTS FOLDER [MORE]

FORMAT is ``ctranslate2`` or ``llama.cpp``; ``tokenizer`` (MORE: tiktoken's ranks); or ``random``, which makes the
checkpoint itself (MORE: a published shape). Runs in the peers' environment and imports nothing of gptcli. Made straight
from the numbers, without the programs' own converters, which ask for a tokenizer's files and for certain versions of
transformers. Ids stand for themselves: no text is needed.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.neutral import Shape, Weights, read, shape_of

END = "<|endoftext|>"

# llama.cpp's name for each family that it has, and its numbers for the file types that it can make from float32.
_ARCHITECTURES = {"gpt2": "gpt2", "gpt_neox": "gptneox", "llama": "llama", "qwen2": "qwen2"}
_TYPES = {"float16": ("f16", 1), "int4": ("q4_0", 2), "int8": ("q8_0", 7)}
_OUTER = {"embed": "token_embd", "positions": "position_embd", "final_norm": "output_norm", "unembed": "output"}
_INNER = {
    **{"attn_norm": "attn_norm", "qkv": "attn_qkv", "out": "attn_output"},
    **{"mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"},
}
# What a published shape is to transformers, which makes its random weights.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "pythia-160m": (
        "gpt_neox",
        {
            **{"vocab_size": 50_304, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
            **{"intermediate_size": 3072, "max_position_embeddings": 2048, "rotary_pct": 0.25},
        },
    ),
    "gpt-neo-125m": (
        "gpt_neo",
        {
            **{"vocab_size": 50_257, "hidden_size": 768, "num_layers": 12, "num_heads": 12, "window_size": 256},
            **{"max_position_embeddings": 2048, "attention_types": [[["global", "local"], 6]]},
        },
    ),
    "smollm2-135m": (
        "llama",
        {
            **{"vocab_size": 49_152, "hidden_size": 576, "num_hidden_layers": 30, "intermediate_size": 1536},
            **{"num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192},
            **{"rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "tie_word_embeddings": True},
        },
    ),
    "qwen2.5-0.5b": (
        "qwen2",
        {
            **{"vocab_size": 151_936, "hidden_size": 896, "num_hidden_layers": 24, "intermediate_size": 4864},
            **{"num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32_768},
            **{"rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "tie_word_embeddings": True},
        },
    ),
}


def to_random(folder: Path, name: str) -> None:
    """Write a checkpoint of a published shape in float32, with random weights, by transformers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    family, fields = PUBLISHED[name]
    AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **fields)).float().save_pretrained(folder)


def to_ctranslate2(folder: Path, kind: str) -> None:
    """Write ``ct2-KIND/``; the token of id 5 is called t5."""
    from ctranslate2.specs import common_spec, transformer_spec

    shape, weights = read(folder)
    if shape.windows:
        raise SystemExit("CTranslate2 has no layers that look back in turn to the start and a part of the way")
    activations = {
        **{"gelu": common_spec.Activation.GELU, "gelu_tanh": common_spec.Activation.GELUTanh},
        "silu": common_spec.Activation.SWISH,
    }
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        pre_norm=True,
        activation=activations[shape.activation],
        ffn_glu=shape.gated,
        rms_norm=shape.rms,
        parallel_residual=shape.parallel,
        num_heads_kv=shape.kv_heads if shape.kv_heads < shape.heads else None,
        **({"rotary_dim": shape.rotary, "rotary_base": shape.base, "rotary_interleave": False} if shape.rotary else {}),
    )

    def norm(part: Any, name: str) -> None:
        part.gamma = weights[f"{name}.weight"]
        if f"{name}.bias" in weights:
            part.beta = weights[f"{name}.bias"]

    def linear(part: Any, name: str) -> None:
        part.weight = weights[f"{name}.weight"]
        if f"{name}.bias" in weights:
            part.bias = weights[f"{name}.bias"]

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight, decoder.projection.weight = weights["embed.weight"], weights["unembed.weight"]
    if "positions.weight" in weights:
        decoder.position_encodings.encodings = weights["positions.weight"]
    norm(decoder.layer_norm, "final_norm")
    for index, layer in enumerate(decoder.layer):
        norm(layer.input_layer_norm if shape.parallel else layer.self_attention.layer_norm, f"{index}.attn_norm")
        norm(layer.post_attention_layer_norm if shape.parallel else layer.ffn.layer_norm, f"{index}.mlp_norm")
        linear(layer.self_attention.linear[0], f"{index}.qkv")
        linear(layer.self_attention.linear[1], f"{index}.out")
        linear(layer.ffn.linear_0, f"{index}.gate" if shape.gated else f"{index}.up")
        if shape.gated:
            linear(layer.ffn.linear_0_noact, f"{index}.up")
        linear(layer.ffn.linear_1, f"{index}.down")
    tokens = [f"t{token}" for token in range(shape.vocab)]
    spec.register_vocabulary(tokens)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = tokens[-1]
    spec.config.layer_norm_epsilon = shape.eps
    spec.validate()
    spec.optimize(quantization=None if kind == "float32" else kind)
    made = folder / f"ct2-{kind}"
    made.mkdir(exist_ok=True)
    spec.save(str(made))


def to_llama_cpp(folder: Path, kind: str) -> None:
    """Write ``model-TYPE.gguf``, by llama.cpp's own quantisation where it is not float32."""
    first = folder / "model-f32.gguf"
    if not first.is_file():
        _write_gguf(folder, first)
    if kind == "float32":
        return
    import llama_cpp

    name, number = _TYPES[kind]
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = number
    made = folder / f"model-{name}.gguf"
    if llama_cpp.llama_model_quantize(str(first).encode(), str(made).encode(), options):
        raise SystemExit(f"llama.cpp cannot make {made}")


def _write_gguf(folder: Path, path: Path) -> None:
    from gguf import GGUFWriter

    shape, weights = read(folder)
    if shape.family not in _ARCHITECTURES:
        raise SystemExit(f"llama.cpp has no {shape.family}")
    writer = GGUFWriter(path, _ARCHITECTURES[shape.family])
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.inner)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    (writer.add_layer_norm_rms_eps if shape.rms else writer.add_layer_norm_eps)(shape.eps)
    if shape.rotary:
        writer.add_rope_dimension_count(shape.rotary)
        writer.add_rope_freq_base(shape.base)
    if shape.family == "gpt_neox":
        writer.add_parallel_residual(shape.parallel)
    writer.add_vocab_size(shape.vocab)
    _add_tokenizer(writer, folder)
    for name, array in _named_for_llama_cpp(shape, weights).items():
        writer.add_tensor(name, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: Any, folder: Path) -> None:
    """The vocabulary of ``tokenizer.json``, which llama.cpp then reads at each start as gptcli does; or none."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        writer.add_tokenizer_model("no_vocab")
        return
    from gguf import TokenType

    model = json.loads(file.read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token == END else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def _named_for_llama_cpp(shape: Shape, weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Tensors under llama.cpp's names; the Llamas' queries, keys and values are three, others have them in one."""
    found = {}
    for name, array in weights.items():
        module, what = name.rsplit(".", 1)
        if module == "unembed" and shape.tied:
            continue
        layer, _, part = module.rpartition(".")
        if not layer:
            found[f"{_OUTER[module]}.{what}"] = array
        elif part == "qkv" and shape.gated:
            sizes = np.cumsum([shape.heads * shape.head_width, shape.kv_heads * shape.head_width])
            for letter, piece in zip("qkv", np.split(array, sizes), strict=True):
                turned = shape.family == "llama" and letter != "v"
                found[f"blk.{layer}.attn_{letter}.{what}"] = _neighbours(piece, shape) if turned else piece
        else:
            found[f"blk.{layer}.{_INNER[part]}.{what}"] = array
    return found


def _neighbours(rows: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Rows of queries or keys with the pairs that are rotated next to each other, as llama.cpp keeps Llama's."""
    halves = rows.reshape(-1, 2, shape.head_width // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def to_tokenizer(folder: Path, ranks: str) -> None:
    """Write ``tokenizer/`` from tiktoken's ranks, for transformers; for another vocabulary also ``tokenizer.json``."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    made = TikTokenConverter(vocab_file=ranks, extra_special_tokens=[END]).converted()
    vocab = shape_of(folder).vocab
    if vocab != made.get_vocab_size():
        made = _with_vocab(made, vocab)
        made.save(str(folder / "tokenizer.json"))
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END).save_pretrained(folder / "tokenizer")


def _with_vocab(tokenizer: Any, size: int) -> Any:
    """A tokenizer with another number of tokens: GPT-2's first ones, then random pairs; the last one ends a text.

    What matters for time is that there are so many of them, and as many merges.
    """
    from tokenizers import Tokenizer

    made = json.loads(tokenizer.to_str())
    tokens = sorted((id_, token) for token, id_ in made["model"]["vocab"].items() if token != END)
    kept = [token for _, token in tokens][: size - 1]
    known, draw = set(kept), random.Random(0)
    merges = [tuple(pair) for pair in made["model"]["merges"] if known.issuperset((*pair, "".join(pair)))]
    while len(kept) < size - 1:
        pair = draw.choice(kept), draw.choice(kept)
        if "".join(pair) not in known:
            known.add("".join(pair))
            kept.append("".join(pair))
            merges.append(pair)
    made["model"]["vocab"] = {token: id_ for id_, token in enumerate([*kept, END])}
    made["model"]["merges"] = [list(pair) for pair in merges]
    for added in made["added_tokens"]:
        added["id"] = size - 1
    return Tokenizer.from_str(json.dumps(made))


if __name__ == "__main__":
    target, kind, place, *more = sys.argv[1:]
    if target in ("tokenizer", "random"):
        {"tokenizer": to_tokenizer, "random": to_random}[target](Path(place), *more)
    else:
        {"ctranslate2": to_ctranslate2, "llama.cpp": to_llama_cpp}[target](Path(place), kind)
