"""Whole processes, from the start of Python to its end: gptcli's commands beside scripts that do the same.

Each script is what somebody would write with transformers (or the peer named) for that one purpose, imports included.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.bench_decode import start
from tests.benchmarks.environment import ROOT, convert, model_folder, python_of, say
from tests.benchmarks.machine import Watch
from tests.benchmarks.peers import GGUF, LLAMA_PLAIN

HELP = """
import argparse
from transformers import AutoModelForCausalLM, AutoTokenizer
argparse.ArgumentParser(description="generate").parse_args(["--help"])
"""
TOKENIZE = """
import sys
from transformers import AutoTokenizer
print(AutoTokenizer.from_pretrained(sys.argv[1] + "/tokenizer")("Once upon a time there was a little girl").input_ids)
"""
PARAMS = """
import sys
from transformers import AutoModelForCausalLM
print(sum(weight.numel() for weight in AutoModelForCausalLM.from_pretrained(sys.argv[1]).parameters()))
"""
ANALOGY = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1] + "/tokenizer")
vectors = torch.nn.functional.normalize(AutoModelForCausalLM.from_pretrained(sys.argv[1]).get_input_embeddings().weight)
king, man, woman = (vectors[tokenizer(word).input_ids[0]] for word in (" king", " man", " woman"))
print(tokenizer.convert_ids_to_tokens((vectors @ (king - man + woman)).topk(10).indices))
"""
GENERATE = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1] + "/tokenizer")
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
prompt = tokenizer("Once upon a time there was a", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=1, do_sample=True, top_k=40, pad_token_id=0)[0]))
"""
PROMPT = "Once upon a time there was a"
# The ids of the same prompt, where a program is given no tokenizer.
IDS = [7454, 2402, 257, 640, 612, 373, 257]
CTRANSLATE2 = f"""
import sys
import ctranslate2
model = ctranslate2.Generator(sys.argv[1] + "/ct2-" + sys.argv[2], compute_type=sys.argv[2])
prompt = [f"t{{token}}" for token in {IDS}]
print(model.generate_batch([prompt], max_length=1, sampling_topk=40, include_prompt_in_result=False)[0].sequences_ids)
"""
LLAMA_CPP = f"""
import os
import sys
from llama_cpp import Llama, llama_cpp
if {LLAMA_PLAIN!r} in os.environ:
    options = llama_cpp.llama_model_default_params()
    options.use_extra_bufts = False
    llama_cpp.llama_model_default_params = lambda: options
model = Llama(sys.argv[1] + "/model-" + sys.argv[2] + ".gguf", n_ctx=512, verbose=False)
ids = model.tokenize({PROMPT.encode()!r}, add_bos=False) if os.path.exists(sys.argv[1] + "/tokenizer.json") else {IDS}
print(next(model.generate(ids, top_k=40)))
"""
# Which models write a first token, and with which weights.
_FIRST_TOKENS = {
    "tales": ("float32", "int8"),
    "gpt2": ("float32", "int8"),
    "smollm2-135m": ("float32", "int8", "int4"),
    "qwen2.5-0.5b": ("int8", "int4"),
}
# A small process that starts the one to measure: Linux counts a child's memory from what its parent held.
_LAUNCHER = """
import os, sys, time
import subprocess
nowhere = subprocess.DEVNULL
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdin=nowhere, stdout=nowhere, stderr=nowhere)
_, status, usage = os.wait4(process.pid, 0)
print([time.perf_counter() - started, usage.ru_maxrss, status])
os._exit(sys.stdout.flush() or 0)
"""


@dataclass
class Timed:
    """A whole process: seconds of each run, and the most memory that it held, in bytes."""

    task: str
    program: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)


def measure(peers: Path, without: Sequence[str], *, runs: int, threads: int, watch: Watch) -> list[Timed]:
    """Run every process in turn, one round more than counts; processes that fail are left out."""
    subjects = _subjects(peers, without, threads)
    environment = surroundings(threads)
    watch.spin()
    for number in range(runs + 1):
        for subject in list(subjects):
            watch.pause()
            seconds, peak = run(subject.command, environment)
            if peak is None:
                say(f"{subject.program} cannot do '{subject.task}'")
                subjects.remove(subject)
            elif number:
                subject.seconds.append(seconds)
                subject.peak.append(peak)
        say(f"start-up: round {number} of {runs}")
    return subjects


def surroundings(threads: int) -> dict[str, str]:
    """The environment of a process that is measured."""
    # Compiled modules are kept, as where people work: the peers' were compiled when they were installed.
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT),
    }


def run(command: list[str], environment: dict[str, str]) -> tuple[float, int | None]:
    """Seconds from start to end, and the most memory held in bytes; None: it failed."""
    started = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(started, env=environment, stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    seconds, held, code = json.loads(done.stdout)
    held *= 1 if sys.platform == "darwin" else 1024
    return seconds, held if code == 0 else None


def _subjects(peers: Path, without: Sequence[str], threads: int) -> list[Timed]:
    gpt2 = model_folder("gpt2", peers)
    gptcli = [sys.executable, "-m", "gptcli"]
    small = ["tokenize", "Once upon a time there was a little girl"]
    found = [
        Timed("--help", "gptcli", [*gptcli, "--help"]),
        Timed("tokenize", "gptcli", [*gptcli, *small]),
        Timed("params", "gptcli", [*gptcli, "params", str(gpt2)]),
        Timed("analogy king-man+woman", "gptcli", [*gptcli, "analogy", "king-man+woman", "-m", str(gpt2)]),
    ]
    if "transformers" not in without:
        scripts = {"--help": HELP, "tokenize": TOKENIZE, "params": PARAMS, "analogy king-man+woman": ANALOGY}
        found += [Timed(task, "transformers", _script(peers, text, gpt2)) for task, text in scripts.items()]
    for name, kinds in _FIRST_TOKENS.items():
        folder = model_folder(name, peers)
        for weights in kinds:
            found += _first_token(peers, without, folder, weights, threads)
    return found


def _first_token(peers: Path, without: Sequence[str], folder: Path, weights: str, threads: int) -> list[Timed]:
    """The programs that write one token with such weights."""
    task, found = f"first token, {folder.name}, {weights}", []
    quantize = [] if weights == "float32" else ["--quantize", weights]
    if not quantize or convert(peers, "gptcli", weights, folder):
        command = [sys.executable, "-m", "gptcli", "generate", "-n", "1", "-m", str(folder), PROMPT, *quantize]
        found.append(Timed(task, "gptcli", command))
    if weights == "float32" and "transformers" not in without:
        found.append(Timed(task, "transformers", _script(peers, GENERATE, folder)))
    if weights != "int4" and "ctranslate2" not in without and convert(peers, "ctranslate2", weights, folder):
        found.append(Timed(task, "ctranslate2", _script(peers, CTRANSLATE2, folder, weights)))
    if "llama.cpp" not in without and (able := start("llama.cpp", weights, folder, peers, threads)):
        able.end()
        found.append(Timed(task, "llama.cpp", _script(peers, LLAMA_CPP, folder, GGUF[weights])))
    return found


def _script(peers: Path, text: str, folder: Path, *more: str) -> list[str]:
    return [python_of(peers), "-c", text, str(folder), *more]
