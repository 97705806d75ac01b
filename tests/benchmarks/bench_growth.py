"""What costs as work grows: longer contexts, several samples at once, long texts, many word vectors.

Each is beside what it should be compared with: the shortest context, one sample, tiktoken alone, one matrix-vector
product of numpy's; the two sides in turn.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gptcli.checkpoint.weights.placement import Placement
from gptcli.system.bundled import bundled_folder
from tests.benchmarks.environment import model_folder, say
from tests.benchmarks.machine import Watch

TIKTOKEN = """
import base64, sys
import tiktoken
lines = open(sys.argv[1], "rb").read().splitlines()
ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
pattern = r"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
print(len(encoding.encode_ordinary(sys.stdin.buffer.read().decode())))
"""
WORDS, WIDTH, TEXT_BYTES, NEW = 400_000, 300, 10_000_000, 32


@dataclass
class Compared:
    """Something, and what it is compared with: seconds of each run of both, of the same amount of work.

    Attributes:
        amount: of ours, for one of the other's: eight samples make eight times the tokens.
    """

    what: str
    beside: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    amount: float = 1.0
    our_seconds: list[float] = field(default_factory=list)
    their_seconds: list[float] = field(default_factory=list)


def measure(peers: Path, *, runs: int, watch: Watch) -> tuple[list[Compared], list[dict[str, Any]]]:
    """The comparisons, and what ``gptcli bench`` says of GPT-2's shape for each kind of weights."""
    gpt2 = model_folder("gpt2", peers)
    found = [_tokenize(peers), _neighbors(peers), _samples(gpt2)]
    watch.spin()
    for compared in found:
        for number in range(runs + 1):
            for run, seconds in (
                (compared.ours, compared.our_seconds),
                (compared.theirs, compared.their_seconds),
            ):
                watch.pause()
                started = time.perf_counter()
                run()
                if number:
                    seconds.append(time.perf_counter() - started)
        say(f"growth: {compared.what}")
    return found, _benches(gpt2, watch)


def contexts(peers: Path, *, watch: Watch) -> dict[str, list[dict[str, Any]]]:
    """What ``gptcli bench`` says of long contexts, by model, for each kind of weights."""
    return {
        # SmolLM2's whole context is 8,192 tokens, of which bench decodes a few.
        name: _benches(model_folder(name, peers), watch, "--contexts", "256,2048,8185")
        for name in ("smollm2-135m", "qwen2.5-0.5b")
    }


def _benches(folder: Path, watch: Watch, *more: str) -> list[dict[str, Any]]:
    benches = []
    for options in ([], ["--dtype", "float16"], ["--quantize", "int8"], ["--quantize", "int4"]):
        say(f"gptcli bench {folder.name} {' '.join(options)}")
        watch.pause()
        command = [sys.executable, "-m", "gptcli", "bench", str(folder), "--device", "cpu", "--json", *more, *options]
        benches.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return benches


def _samples(folder: Path) -> Compared:
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.generation.loop import Limits, generate, new_samples
    from gptcli.sampling.settings import Sampling

    engine = open_checkpoint(str(folder), Placement(device="cpu"), inside=False).engine

    def write(count: int) -> Callable[[], object]:
        return lambda: list(
            generate(engine, new_samples([[1, 2, 3]], count), Sampling(temperature=0.8, top_k=40), Limits(NEW), seed=0)
        )

    return Compared("8 samples at once, gpt2, float32, tokens/s", "1 sample", write(8), write(1), amount=8.0)


def _tokenize(peers: Path) -> Compared:
    text = peers / "models" / "text.txt"
    if not text.is_file():
        words = (bundled_folder() / "glove-50d" / "vocab.txt").read_text().split()[:20_000]
        made = " ".join(random.Random(0).choices(words, [1 / place for place in range(1, 20_001)], k=TEXT_BYTES // 4))
        text.write_bytes(made.encode()[:TEXT_BYTES].decode(errors="ignore").encode())
    ranks = str(bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken")

    def piped(*command: str) -> Callable[[], object]:
        def run() -> object:
            with text.open("rb") as file:
                return subprocess.run([sys.executable, *command], stdin=file, stdout=subprocess.DEVNULL, check=True)

        return run

    ours = piped("-m", "gptcli", "tokenize", "--count")
    return Compared("tokenize --count of 10 MB, whole process", "tiktoken alone", ours, piped("-c", TIKTOKEN, ranks))


def _neighbors(peers: Path) -> Compared:
    from gptcli.embedding.load import open_embedding
    from gptcli.embedding.queries import neighbors

    folder = peers / "models" / "words"
    if not (folder / "config.json").is_file():
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        vectors = np.random.default_rng(0).standard_normal((WORDS, WIDTH), np.float32)
        save_file({"embedding.weight": vectors}, folder / "model.safetensors")
        (folder / "vocab.txt").write_text("\n".join(f"w{number}" for number in range(WORDS)) + "\n")
        config = json.loads((bundled_folder() / "glove-50d" / "config.json").read_text())
        for name, value in config.items():
            if value in (50, 100_000):
                config[name] = WIDTH if value == 50 else WORDS
        (folder / "config.json").write_text(json.dumps(config))
    embedding = open_embedding(str(folder))
    matrix = np.random.default_rng(0).standard_normal((WORDS, WIDTH), np.float32)
    return Compared(
        f"neighbors over {WORDS:,} x {WIDTH} vectors",
        "one matrix-vector product of numpy's",
        lambda: neighbors(embedding, "w7", top=10),
        lambda: matrix @ matrix[7],
    )
