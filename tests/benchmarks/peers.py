"""One program with one model in a process of its own, asked to generate again and again.

    python tests/benchmarks/peers.py PROGRAM WEIGHTS FOLDER THREADS

Runs in the peers' environment (gptcli in its own) and imports nothing of the project's tests. It prints a JSON line
when the model is loaded, and then one for each request ``{"ids": [...], "new": N}`` on stdin: seconds to read the ids
and write N tokens greedily, by each program's own way of generating, and the most memory that the process has held.
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

Generate = Callable[[list[int], int], object]
# Set where llama.cpp crashes with weights that it rearranges for the processor: a virtual machine may promise AMX and
# not have it.
LLAMA_PLAIN = "GPTCLI_BENCH_LLAMA_PLAIN"
GGUF = {"float32": "f32", "float16": "f16", "int8": "q8_0", "int4": "q4_0"}


def gptcli(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """The loop behind ``gptcli generate``, on whichever engine it takes."""
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.generation.loop import Limits, generate, new_samples
    from gptcli.sampling.settings import Sampling

    quantize: Any = weights if weights in ("int8", "int4") else "none"
    dtype = weights if quantize == "none" else "auto"
    opened = open_checkpoint(str(folder), device="cpu", dtype=dtype, quantize=quantize, to="run")
    engine = opened.engine

    def run(ids: list[int], new: int) -> object:
        steps = generate(engine, new_samples([ids], scored=False), Sampling(temperature=0), Limits(new), seed=0)
        return [step.token for step in steps]  # as the command does: nothing of a step is held

    facts = engine.facts()
    about = {"weight_bytes": facts.weight_bytes} if facts.weights == weights else {}
    return run, {"version": f"{version('gptcli')}, {facts.name}", **about}


def transformers(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """Its own ``generate``, eager."""
    import torch
    from transformers import GPT2LMHeadModel

    torch.set_num_threads(threads)
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()

    def run(ids: list[int], new: int) -> object:
        prompt = torch.tensor([ids])
        with torch.inference_mode():
            return model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                min_new_tokens=new,
                max_new_tokens=new,
                pad_token_id=0,
            )

    return run, {"version": f"{version('transformers')}, torch {torch.__version__}"}


def pytorch(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """The shortest loop that wastes nothing: plain functions over a preallocated cache."""
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    w = {name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    config = json.loads((folder / "config.json").read_text())
    H, C, T = config["n_head"], config["n_embd"], config["n_positions"]
    for name in list(w):  # Conv1D keeps matrices the other way round
        if name.startswith("h.") and w[name].dim() == 2:
            w[name] = w[name].T.contiguous()
    keys, values = torch.zeros(2, config["n_layer"], 1, H, T, C // H)

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (C,), w[f"{name}.weight"], w[f"{name}.bias"], config.get("layer_norm_epsilon", 1e-5))

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def read(ids: list[int], start: int) -> int:
        end = start + len(ids)
        x = w["wte.weight"][ids] + w["wpe.weight"][start:end]
        for layer in range(config["n_layer"]):
            h = f"h.{layer}"
            q, k, v = linear(norm(x, f"{h}.ln_1"), f"{h}.attn.c_attn").view(-1, 3, H, C // H).permute(1, 2, 0, 3)
            keys[layer, 0, :, start:end], values[layer, 0, :, start:end] = k, v
            seen = keys[layer, :, :, :end], values[layer, :, :, :end]
            y = F.scaled_dot_product_attention(q[None], *seen, is_causal=start == 0 and len(ids) > 1)
            x = x + linear(y[0].transpose(0, 1).reshape(-1, C), f"{h}.attn.c_proj")
            hidden = F.gelu(linear(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc"), approximate="tanh")
            x = x + linear(hidden, f"{h}.mlp.c_proj")
        return int(F.linear(norm(x[-1:], "ln_f"), w["wte.weight"]).argmax())

    def run(ids: list[int], new: int) -> object:
        with torch.inference_mode():
            written = [read(ids, 0)]
            while len(written) < new:
                written.append(read(written[-1:], len(ids) + len(written) - 1))
        return written

    return run, {"version": torch.__version__}


def ctranslate2(folder: Path, weights: str, threads: int) -> tuple[Generate, dict[str, Any]]:
    """Its generator, which reads the whole prompt at once where it is not to be part of the result."""
    import ctranslate2

    generator = ctranslate2.Generator(
        str(folder / f"ct2-{weights}"), device="cpu", compute_type=weights, intra_threads=threads, inter_threads=1
    )

    def run(ids: list[int], new: int) -> object:
        prompt = [f"t{token}" for token in ids]
        return generator.generate_batch([prompt], max_length=new, min_length=new, include_prompt_in_result=False)

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

    n_positions = json.loads((folder / "config.json").read_text())["n_positions"]
    model = Llama(
        str(folder / f"model-{GGUF[weights]}.gguf"),
        n_ctx=n_positions,
        n_batch=512,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )

    def run(ids: list[int], new: int) -> object:
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
        run(request["ids"], request["new"])
        print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak_memory()}), file=answers)


if __name__ == "__main__":
    main()
