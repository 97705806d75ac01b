"""All ablations of a text, computed together: by the engine in C, by PyTorch, and one changed run each.

    python -m tests.benchmarks.bench_ablation          tales, and random weights of GPT-2 small's shape
    python -m tests.benchmarks.bench_ablation tales

A run that is computed together with others starts at the layer of its change, so half of the arithmetic is left out,
and the matrices are read once for many runs. The figures are the medians of some runs in turn, without loading; of
``tales`` also of the whole command, from the start of Python to its end.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.inspection.ablation import ablate
from gptcli.inspection.interventions import Interventions, located_changes
from gptcli.inspection.place_text import parse
from gptcli.inspection.record import token_batch
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.native.engine import NativeEngine

TEXT = "One day, Sara met Ben and Tom. Ben said hello to Sara. Sara said hello"  # 20 tokens with the full stop
RUNS = 3


class Opened:
    """A model in both engines, one of which is used, with the tokenizer of the bundled model."""

    def __init__(self, name: str, model: GPT, tales: Any) -> None:
        self.name, self.model, self.config = name, model, model.config
        self.tokenizer, self.n_vocab, self.encode_prompt = tales.tokenizer, tales.n_vocab, tales.encode_prompt
        self._engine = NativeEngine(self.config)
        self.native: NativeEngine | None = None
        for weight, numbers in model.named_parameters():
            self._engine.fill(weight, numbers.contiguous().numpy(), "F32", "F32")

    def in_c(self) -> None:
        """As the command does it."""
        self.native = self._engine
        ablate(self, TEXT)  # type: ignore[arg-type]

    def in_pytorch(self) -> None:
        """As the command does it on a GPU."""
        self.native = None
        ablate(self, TEXT)  # type: ignore[arg-type]


def small() -> GPT:
    """Random weights of GPT-2 small's shape."""
    torch.manual_seed(0)
    return GPT(GPTConfig()).eval().requires_grad_(False)


def command() -> None:
    """The whole process."""
    subprocess.run([sys.executable, "-m", "gptcli", "ablate", TEXT], stdout=subprocess.DEVNULL, check=True)


@torch.inference_mode()
def one_by_one(opened: Any) -> None:
    """Each part in a run of its own, as a notebook does it."""
    model, ids = opened.model, opened.encode_prompt(TEXT)
    config = model.config
    places = [f"{layer}.{head}" for layer in range(1, config.n_layer + 1) for head in range(1, config.n_head + 1)]
    for place in [*places, *(f"mlp:{layer}" for layer in range(1, config.n_layer + 1))]:
        changes = tuple(located_changes(parse(place).within(config), "zero", lambda point: None))
        with Interventions(changes, False, opened.tokenizer.token_bytes).on_text(model, ids):
            model.unembed(model.transform(token_batch(model, ids))[0, -1])


def seconds(action: Callable[[], object]) -> float:
    """Of one run."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a line for each model."""
    tales = open_checkpoint("tales", Placement("cpu", "float32"))
    models = [Opened("tales", tales.model, tales)]
    if sys.argv[1:] != ["tales"]:
        models.append(Opened("gpt2's shape", small(), tales))
    print(f"{'model':<14} {'tokens':>6} {'parts':>6} {'C':>9} {'PyTorch':>9} {'one by one':>11} {'command':>9}")
    for opened in models:
        ways: list[Callable[[], object]] = [opened.in_c, opened.in_pytorch, partial(one_by_one, opened), command]
        turns = [[seconds(way) for way in (ways if opened.name == "tales" else ways[:-1])] for _ in range(RUNS)]
        medians = [statistics.median(each) for each in zip(*turns, strict=True)]
        count = opened.config.n_layer * (opened.config.n_head + 1)
        figures = "".join(f" {each:>{width}.2f} s" for each, width in zip(medians, (7, 7, 9, 7), strict=False))
        print(f"{opened.name:<14} {len(opened.encode_prompt(TEXT)):>6} {count:>6}{figures}")


if __name__ == "__main__":
    main()
