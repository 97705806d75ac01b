"""One program with one model in a process of its own, asked to generate again and again.

    python -m tests.benchmarks.peers PROGRAM WEIGHTS FOLDER THREADS

Runs in the peers' environment (gptcli in its own). It prints a JSON line when the model is loaded, and then one for
each request ``{"ids": [...], "new": N}`` on stdin: seconds to read the ids and write N tokens greedily, by each
program's own way of generating, the tokens, and the most memory that the process has held.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from tests.benchmarks.neutral import read, shape_of

Generate = Callable[[list[int], int], list[int]]
# Tokens of context that programs are to make room for; a model with fewer gets its own number.
CONTEXT = 1024
# Set where llama.cpp crashes with weights that it rearranges for the processor: a virtual machine may promise AMX and
# not have it.
LLAMA_PLAIN = "GPTCLI_BENCH_LLAMA_PLAIN"
GGUF = {"float32": "f32", "float16": "f16", "int8": "q8_0", "int4": "q4_0"}


def gptcli(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """The loop behind ``gptcli generate``, on whichever engine it takes."""
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.weights.placement import Placement
    from gptcli.generation.loop import Limits, generate, new_samples
    from gptcli.sampling.settings import Sampling

    quantize: Any = weights if weights in ("int8", "int4") else "none"
    dtype = weights if quantize == "none" else "auto"
    opened = open_checkpoint(str(folder), Placement(device="cpu", dtype=dtype, quantize=quantize), inside=False)
    engine = opened.engine

    def run(ids: list[int], new: int) -> list[int]:
        steps = generate(engine, new_samples([ids], scored=False), Sampling(temperature=0), Limits(new), seed=0)
        return [step.token for step in steps]  # as the command does: nothing of a step is held

    facts = engine.facts()
    about = {"weight_bytes": facts.weight_bytes} if facts.weights == weights else {}
    return run, {"version": f"{version('gptcli')}, {facts.name}", **about}


def transformers(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """Its own ``generate``, eager."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def run(ids: list[int], new: int) -> list[int]:
        prompt = torch.tensor([ids])
        with torch.inference_mode():
            written = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                min_new_tokens=new,
                max_new_tokens=new,
                pad_token_id=0,
            )
        ids_: list[int] = written[0, len(ids) :].tolist()
        return ids_

    return run, {"version": f"{version('transformers')}, torch {torch.__version__}"}


def pytorch(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """The shortest loop that wastes nothing: plain functions over a preallocated cache."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    shape, arrays = read(folder)
    w = {name: torch.from_numpy(array) for name, array in arrays.items()}
    H, K, D, T = shape.heads, shape.kv_heads, shape.head_width, min(shape.positions, CONTEXT)
    keys, values = torch.zeros(2, shape.layers, 1, K, T, D)
    angles = torch.arange(T)[:, None] * shape.base ** -(torch.arange(0, shape.rotary, 2) / max(shape.rotary, 1))
    cosines, sines = (part.repeat(1, 2) for part in (angles.cos(), angles.sin()))
    activate: Any = {"silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}[
        shape.activation
    ]
    seen_by = torch.arange(T)[:, None] - torch.arange(T)  # how far back each position is from each other one
    windowed = {size: (seen_by >= 0) & (seen_by < size) for size in set(shape.windows) if size}

    def norm(x: Any, name: str) -> Any:
        if shape.rms:
            return F.rms_norm(x, (shape.width,), w[f"{name}.weight"], shape.eps)
        return F.layer_norm(x, (shape.width,), w[f"{name}.weight"], w[f"{name}.bias"], shape.eps)

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def turned(x: Any, start: int, end: int) -> Any:
        if not shape.rotary:
            return x
        part, rest = x[..., : shape.rotary], x[..., shape.rotary :]
        low, high = part.chunk(2, dim=-1)
        part = part * cosines[start:end] + torch.cat((-high, low), dim=-1) * sines[start:end]
        return torch.cat((part, rest), dim=-1) if rest.shape[-1] else part

    def attention(x: Any, layer: int, start: int) -> Any:
        end = start + len(x)
        q, k, v = linear(x, f"{layer}.qkv").view(len(x), -1, D).transpose(0, 1).split((H, K, K))
        keys[layer, 0, :, start:end], values[layer, 0, :, start:end] = turned(k, start, end), v
        seen = keys[layer, :, :, :end], values[layer, :, :, :end]
        window = windowed.get(shape.windows[layer]) if shape.windows else None
        y = F.scaled_dot_product_attention(
            turned(q, start, end)[None],
            *seen,
            attn_mask=None if window is None else window[start:end, :end],
            is_causal=window is None and len(x) > 1,
            scale=None if shape.scaled else 1.0,
            enable_gqa=K < H,
        )
        return linear(y[0].transpose(0, 1).reshape(len(x), -1), f"{layer}.out")

    def mlp(x: Any, layer: int) -> Any:
        up = linear(x, f"{layer}.up")
        return linear(activate(linear(x, f"{layer}.gate")) * up if shape.gated else activate(up), f"{layer}.down")

    def step(ids: list[int], start: int) -> int:
        x = w["embed.weight"][ids]
        if "positions.weight" in w:
            x = x + w["positions.weight"][start : start + len(ids)]
        for layer in range(shape.layers):
            added = attention(norm(x, f"{layer}.attn_norm"), layer, start)
            after = x + added
            x = after + mlp(norm(x if shape.parallel else after, f"{layer}.mlp_norm"), layer)
        return int(F.linear(norm(x[-1:], "final_norm"), w["unembed.weight"]).argmax())

    def run(ids: list[int], new: int) -> list[int]:
        with torch.inference_mode():
            written = [step(ids, 0)]
            while len(written) < new:
                written.append(step(written[-1:], len(ids) + len(written) - 1))
        return written

    return run, {"version": torch.__version__}


def ctranslate2(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """Its generator, which reads the whole prompt at once where it is not to be part of the result."""
    import ctranslate2

    generator = ctranslate2.Generator(
        str(folder / f"ct2-{weights}"), device="cpu", compute_type=weights, intra_threads=threads, inter_threads=1
    )

    def run(ids: list[int], new: int) -> list[int]:
        prompt = [f"t{token}" for token in ids]
        (said,) = generator.generate_batch([prompt], max_length=new, min_length=new, include_prompt_in_result=False)
        return list(said.sequences_ids[0])

    return run, {"version": version("ctranslate2")}


def llama_cpp(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """Its Python package, token by token."""
    from llama_cpp import Llama, llama_cpp

    plain = LLAMA_PLAIN in os.environ
    if plain:
        defaults = llama_cpp.llama_model_default_params

        def without() -> Any:
            options = defaults()
            options.use_extra_bufts = False
            return options

        llama_cpp.llama_model_default_params = without

    model = Llama(
        str(folder / f"model-{GGUF[weights]}.gguf"),
        n_ctx=min(shape_of(folder).positions, CONTEXT),
        n_batch=512,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )

    def run(ids: list[int], new: int) -> list[int]:
        model.reset()  # or it would remember the prompt
        return list(islice(model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0), new))

    said = ", without its repacked weights (AMX among them), which crash here" if plain else ""
    return run, {"version": f"llama-cpp-python {version('llama-cpp-python')}{said}"}


PROGRAMS = {
    "gptcli": gptcli,
    "transformers": transformers,
    "pytorch loop": pytorch,
    "ctranslate2": ctranslate2,
    "llama.cpp": llama_cpp,
}


def peak_memory() -> int:
    """Bytes; not ``ru_maxrss``, which on Linux starts from what the parent process held."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def requests() -> Iterator[dict[str, Any]]:
    """What is asked on stdin, until it is closed."""
    for line in sys.stdin:
        yield json.loads(line)


def main() -> None:
    """Load, say so, then answer."""
    program, weights, folder, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    started = time.perf_counter()
    run, about = PROGRAMS[program](Path(folder), weights, int(threads))
    print(json.dumps({"load_s": time.perf_counter() - started, **about}), file=answers)
    for request in requests():
        started = time.perf_counter()
        written = run(request["ids"], request["new"])
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "written": written, "peak": peak_memory()}), file=answers)


if __name__ == "__main__":
    main()
