"""What `score` takes over the prompt alone: the logits after every token, and what is read off them.

    python -m tests.benchmarks.bench_score             random weights of GPT-2 small's and SmolLM2-135m's shapes

The figures are medians of runs in turn, in one process, without loading. ``arithmetic`` is how many multiplications the
logits after every token add to those of the layers.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind
from gptcli.model.presets import PRESETS
from gptcli.probability.reading import read

SHAPES = ("gpt2", "smollm2-135m")
KINDS: tuple[Kind, ...] = ("F32", "F16", "int8", "int4")
TOKENS = 900
RUNS = 5


def opened(config: GPTConfig, kind: Kind) -> NativeEngine:
    """Random weights of a shape in the engine in C."""
    torch.manual_seed(0)
    engine = NativeEngine(config)
    for name, numbers in GPT(config).requires_grad_(False).named_parameters():
        engine.fill(name, numbers.contiguous().numpy(), "F32", kind)
    return engine


def seconds(action: Callable[[], object]) -> float:
    """Of one run."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a line for each shape and type of weights."""
    print(f"{'model':<14} {'weights':>8} {'prompt':>9} {'score':>9} {'times':>6} {'arithmetic':>11}")
    for name in SHAPES:
        config = PRESETS[name]
        ids = np.random.default_rng(0).integers(0, config.vocab_size, TOKENS).tolist()
        logits = config.vocab_size * config.n_embd
        layers = sum(p.numel() for n, p in GPT(config).named_parameters() if n.startswith("h.") and p.ndim == 2)
        for kind in KINDS:
            engine = opened(config, kind)

            def prompt(engine: NativeEngine = engine, ids: list[int] = ids) -> None:
                engine.prefill([ids], len(ids))

            def score(engine: NativeEngine = engine, ids: list[int] = ids, vocab: int = config.vocab_size) -> None:
                read(engine, ids, vocab)

            turns = [(seconds(prompt), seconds(score)) for _ in range(RUNS)]
            one, both = (statistics.median(each) for each in zip(*turns, strict=True))
            print(f"{name:<14} {kind:>8} {one:>7.2f} s {both:>7.2f} s {both / one:>6.2f} {1 + logits / layers:>11.2f}")


if __name__ == "__main__":
    main()
