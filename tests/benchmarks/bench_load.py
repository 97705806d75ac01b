"""How fast and in how much memory gptcli and transformers load the same checkpoint of gpt2-xl's shape.

    python -m tests.benchmarks.bench_load [--runs 3] [--preset gpt2-xl] [--folder KEEP]

Writes 1.5 billion random weights in bfloat16 (3.1 GB), one tensor at a time, and loads them in a fresh process for each
measurement, the two programs in turn, so that a machine that slows down slows both. The file is read once before, so
that all find it in the page cache: what is compared is the loading, not the disk.

What a row means: ``seconds`` from the call to a model that has given the logits of one token (so that memory-mapped
weights have really been read), imports not counted; ``peak`` the most memory that the process held at once (RSS, pages
of the mapped file included), imports counted; ``above imports`` what of it came after the imports.
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Kind = Literal["bfloat16", "float32"]
SUBJECTS = {
    f"{program} {dtype}": (program, dtype)
    for dtype in ("bfloat16", "float32")
    for program in ("gptcli", "transformers")
}

CHILD = """
import json, resource, sys, time
program, dtype, folder = sys.argv[1:]
import torch
if program == "gptcli":
    from gptcli.checkpoint.families import read_blueprint
    from gptcli.checkpoint.files.shards import read_header
    from gptcli.checkpoint.weights.torch_loader import load_gpt
    from gptcli.checkpoint.source import find
else:
    from transformers import GPT2LMHeadModel
def peak():  # not Linux's ru_maxrss, which starts from what the process's parent had
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
before, started = peak(), time.perf_counter()
if program == "gptcli":
    source = find(folder)
    header = read_header(source.weights)
    model = load_gpt(read_blueprint(source, header), header, torch.device("cpu"), getattr(torch, dtype))
else:
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
loaded = time.perf_counter() - started
with torch.inference_mode():
    model(torch.tensor([[1]]))
print(json.dumps({"load": loaded, "seconds": time.perf_counter() - started, "before": before, "peak": peak()}))
"""


def write_checkpoint(folder: Path, preset: str, dtype: Kind = "bfloat16") -> int:
    """A random GPT-2 under the hub's names; returns the file's size in bytes."""
    from gptcli.model.presets import PRESETS
    from gptcli.model.shapes import parameter_shapes

    config = PRESETS[preset]
    fields = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "torch_dtype": dtype}
    sizes = {name: getattr(config, name) for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")}
    shapes = parameter_shapes(config)
    for name, shape in shapes.items():  # Conv1D keeps the blocks' matrices the other way round
        shapes[name] = shape[::-1] if name.startswith("h.") else shape
    return write_random(folder, fields | sizes, shapes, dtype)


def write_random(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: Kind) -> int:
    """config.json, and random tensors of these names and shapes, one in memory at a time; returns the file's size."""
    import torch

    (folder / "config.json").write_text(json.dumps(config))
    kind, kept = getattr(torch, dtype), {"bfloat16": "BF16", "float32": "F32"}[dtype]
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + kind.itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": kept, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % 8)
    path = folder / "model.safetensors"
    torch.manual_seed(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            weight = torch.empty(shape, dtype=kind).normal_(std=0.02)
            file.write(weight.view(torch.uint8).numpy().tobytes())
    return path.stat().st_size


def measure(program: str, dtype: str, folder: Path) -> dict[str, float]:
    """Load in a process of its own."""
    command = [sys.executable, "-c", CHILD, program, dtype, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, stdin=subprocess.DEVNULL)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Make the checkpoint, measure in turn, print medians."""
    parser = argparse.ArgumentParser(description="Load time and peak memory, gptcli and transformers.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--preset", default="gpt2-xl")
    parser.add_argument("--folder", type=Path, help="where to put the checkpoint; it is kept, and used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "model.safetensors"
        size = weights.stat().st_size if weights.is_file() else write_checkpoint(folder, given.preset)
        with weights.open("rb") as file:  # into the page cache
            while file.read(1 << 24):
                pass
        results: dict[str, list[dict[str, float]]] = {subject: [] for subject in SUBJECTS}
        for run in range(given.runs):
            for subject, (program, dtype) in SUBJECTS.items():
                results[subject].append(measure(program, dtype, folder))
                print(f"run {run + 1}: {subject}: {results[subject][-1]['seconds']:.2f} s", file=sys.stderr)
    print(f"{given.preset}, {size / 1e9:.2f} GB of bfloat16, medians of {given.runs} runs\n")
    print(f"{'':<22}{'load':>9}{'seconds':>9}{'peak':>10}{'above imports':>15}")
    for subject, runs in results.items():
        load, seconds, peak, before = (
            statistics.median(run[key] for run in runs) for key in ("load", "seconds", "peak", "before")
        )
        print(f"{subject:<22}{load:>7.2f} s{seconds:>7.2f} s{peak / 1e9:>7.2f} GB{(peak - before) / 1e9:>12.2f} GB")


if __name__ == "__main__":
    main()
