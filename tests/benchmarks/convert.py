"""A GPT-2 in the hub's format, written once more in a peer's own: ``python convert.py FORMAT WEIGHTS FOLDER [FILE]``.

FORMAT is ``ctranslate2``, ``llama.cpp`` or ``tokenizer`` (whose FILE holds tiktoken's ranks). Runs in the peers'
environment and imports nothing of the project. Made straight from the numbers, without the programs' own converters,
which ask for a tokenizer's files and for certain versions of transformers. Ids stand for themselves: no text is needed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# llama.cpp's names for GPT-2's parts, and its numbers for the file types that it can make from float32.
_TENSORS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_OUTER = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
_TYPES = {"float16": ("f16", 1), "int4": ("q4_0", 2), "int8": ("q8_0", 7)}

Weights = dict[str, NDArray[Any]]


def read(folder: Path) -> tuple[dict[str, Any], Weights]:
    """The configuration, and every tensor with matrices as [out, in]."""
    from safetensors.numpy import load_file

    weights = {name.removeprefix("transformer."): a for name, a in load_file(folder / "model.safetensors").items()}
    for name, array in weights.items():
        if name.startswith("h.") and array.ndim == 2:
            weights[name] = np.ascontiguousarray(array.T)
    return json.loads((folder / "config.json").read_text()), weights


def to_ctranslate2(folder: Path, kind: str) -> None:
    """Write ``ct2-KIND/``; the token of id 5 is called t5."""
    from ctranslate2.specs import common_spec, transformer_spec

    config, weights = read(folder)
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config["n_layer"], config["n_head"], pre_norm=True, activation=common_spec.Activation.GELUTanh
    )

    def fill(part: Any, name: str, *, norm: bool = False) -> None:
        if norm:
            part.gamma, part.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
        else:
            part.weight, part.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = decoder.projection.weight = weights["wte.weight"]
    decoder.position_encodings.encodings = weights["wpe.weight"]
    fill(decoder.layer_norm, "ln_f", norm=True)
    for index, layer in enumerate(decoder.layer):
        fill(layer.self_attention.layer_norm, f"h.{index}.ln_1", norm=True)
        fill(layer.self_attention.linear[0], f"h.{index}.attn.c_attn")
        fill(layer.self_attention.linear[1], f"h.{index}.attn.c_proj")
        fill(layer.ffn.layer_norm, f"h.{index}.ln_2", norm=True)
        fill(layer.ffn.linear_0, f"h.{index}.mlp.c_fc")
        fill(layer.ffn.linear_1, f"h.{index}.mlp.c_proj")
    tokens = [f"t{token}" for token in range(config["vocab_size"])]
    spec.register_vocabulary(tokens)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = tokens[-1]
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

    config, weights = read(folder)
    writer = GGUFWriter(path, "gpt2")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config.get("layer_norm_epsilon", 1e-5))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for name, array in weights.items():
        module, what = name.rsplit(".", 1)
        if module.startswith("h."):
            _, layer, part = module.split(".", 2)
            if part not in _TENSORS:  # a causal mask that old files hold
                continue
            made = f"blk.{layer}.{_TENSORS[part]}"
        else:
            made = _OUTER[module]
        writer.add_tensor(f"{made}.{what}", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def to_tokenizer(folder: Path, ranks: str) -> None:
    """Write ``tokenizer/`` from tiktoken's ranks, for transformers."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    made = TikTokenConverter(vocab_file=ranks, extra_special_tokens=["<|endoftext|>"]).converted()
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>").save_pretrained(folder / "tokenizer")


if __name__ == "__main__":
    target, kind, place = sys.argv[1:4]
    if target == "tokenizer":
        to_tokenizer(Path(place), sys.argv[4])
    else:
        {"ctranslate2": to_ctranslate2, "llama.cpp": to_llama_cpp}[target](Path(place), kind)
