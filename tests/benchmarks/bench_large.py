"""A model of Llama 2's 7B shape in 4 bits: how soon a process writes its first token, and in how much memory.

Weights are random, 13.5 GB in bfloat16; `gptcli models quantize` writes the 4-bit form once. A first run
does not count and brings it into the page cache: a warm start. Memory is the most that the process held, pages of the
mapped file among them.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.bench_load import write_random
from tests.benchmarks.bench_startup import PROMPT, run, surroundings
from tests.benchmarks.environment import say, with_tokenizer
from tests.benchmarks.machine import Watch

WIDTH, INNER, LAYERS, HEADS, VOCAB = 4096, 11_008, 32, 32, 32_000


@dataclass
class Large:
    """What was measured: the bytes of the kept form, and of each run seconds and the most memory held, in bytes."""

    file: int
    seconds: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)


def measure(peers: Path, *, runs: int, threads: int, watch: Watch) -> Large:
    """Make the model and its 4-bit form where they are not, and start it again and again; the first run warms up.

    Raises:
        SystemExit: it cannot be quantized, or does not run.
    """
    folder = _model(peers)
    environment = surroundings(threads) | {"GPTCLI_CACHE": str(folder / "cache")}
    gptcli = [sys.executable, "-m", "gptcli"]
    if not (folder / "cache").is_dir():
        say("llama-7b: gptcli int4")
        subprocess.run([*gptcli, "models", "quantize", str(folder), "int4"], env=environment, check=True)
    found = Large(sum(file.stat().st_size for file in (folder / "cache").rglob("*.safetensors")))
    for number in range(runs + 1):
        watch.pause()
        command = [*gptcli, "generate", "-n", "1", "-m", str(folder), "--quantize", "int4", PROMPT]
        seconds, peak = run(command, environment)
        if peak is None:
            raise SystemExit("gptcli does not run a model of 7B shape here")
        if number:
            found.seconds.append(seconds)
            found.peak.append(peak)
    return found


def _model(peers: Path) -> Path:
    folder = peers / "models" / "llama-7b"
    if not (folder / "done").is_file():
        say(f"making {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_random(folder, _CONFIG, _shapes(), "bfloat16")
        with_tokenizer(folder, peers)
    return folder


_CONFIG = {
    **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", "hidden_act": "silu"},
    **{"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "vocab_size": VOCAB},
    **{"num_attention_heads": HEADS, "num_key_value_heads": HEADS, "max_position_embeddings": 4096},
    **{"rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "tie_word_embeddings": False},
}


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, WIDTH)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}"
        shapes |= {f"{block}.self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        shapes |= {f"{block}.mlp.{part}_proj.weight": (INNER, WIDTH) for part in ("gate", "up")}
        shapes[f"{block}.mlp.down_proj.weight"] = (WIDTH, INNER)
        shapes |= {f"{block}.{norm}_layernorm.weight": (WIDTH,) for norm in ("input", "post_attention")}
    return shapes | {"model.norm.weight": (WIDTH,), "lm_head.weight": (VOCAB, WIDTH)}
