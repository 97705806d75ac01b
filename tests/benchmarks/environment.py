"""What the benchmarks need on disk: the peers in an environment of their own, and the models in each one's form."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from gptcli.system.bundled import bundled_folder
from tests.benchmarks.bench_load import write_checkpoint
from tests.benchmarks.convert import PUBLISHED

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Installed one after another, so that one that fails takes no other with it.
INSTALLED = {
    "transformers": ["torch>=2.6,<2.14", "transformers", "tiktoken"],
    "ctranslate2": ["ctranslate2"],
    "llama.cpp": ["llama-cpp-python", "gguf"],
    "gensim": ["gensim"],
}
_IMPORTED = {"llama.cpp": "llama_cpp, gguf"}


def say(what: str) -> None:
    """Where the benchmark is, on stderr."""
    print(what, file=sys.stderr, flush=True)


def python_of(peers: Path) -> str:
    """The peers' interpreter."""
    return str((peers / "bin" / "python").absolute())


def install(peers: Path) -> None:
    """Make the environment where it is not; peers that do not install are left out."""
    if (peers / "bin" / "python").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(peers)], check=True)
    for name, packages in INSTALLED.items():
        say(f"installing {name}")
        done = subprocess.run([python_of(peers), "-m", "pip", "install", "-q", *packages], check=False)
        if done.returncode:
            say(f"{name} does not install here")


def missing(peers: Path) -> dict[str, str]:
    """The peers that cannot be imported, each with the last line of what Python says about it."""
    found = {}
    for name in INSTALLED:
        command = [python_of(peers), "-c", f"import {_IMPORTED.get(name, name)}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            found[name] = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return found


def model_folder(name: str, peers: Path) -> Path:
    """A checkpoint in float32: the bundled one, or one of a published shape with random weights. Kept for next time."""
    folder = peers / "models" / name
    if (folder / "done").is_file():
        return folder
    say(f"making {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name == "tales":
        _in_float32(bundled_folder() / "tales", folder)
    elif name not in PUBLISHED:
        write_checkpoint(folder, name, "float32")  # GPT-2's shape, whatever the preset
    elif not convert(peers, "random", "-", folder, name):
        raise SystemExit(f"{name} needs transformers in {peers}, which makes its weights")
    with_tokenizer(folder, peers)
    return folder


def with_tokenizer(folder: Path, peers: Path) -> None:
    """Give a checkpoint GPT-2's tokenizer, or one with as many tokens as it has; it is then whole."""
    ranks = bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken"
    convert(peers, "tokenizer", "-", folder, str(ranks))
    (folder / "done").touch()


def convert(peers: Path, form: str, weights: str, folder: Path, *more: str) -> bool:
    """Write a checkpoint in the form that a program has for such weights, once; whether that is possible."""
    mark = folder / f"{form}-{weights}.done"
    if form == "gptcli" or not mark.is_file():  # gptcli keeps its own elsewhere, and knows it again
        say(f"{folder.name}: {form} {weights}")
        command = [python_of(peers), "-m", "tests.benchmarks.convert", form, weights, str(folder), *more]
        if form == "gptcli":
            command = [sys.executable, "-m", "gptcli", "models", "quantize", str(folder), weights]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            say(f"{form} {weights} cannot be made:\n" + "\n".join(done.stderr.strip().splitlines()[-5:]))
            return False
        mark.touch()
    return True


def _in_float32(source: Path, folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    weights = {name: array.astype(np.float32) for name, array in load_file(source / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
