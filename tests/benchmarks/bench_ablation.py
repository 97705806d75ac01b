"""All ablations of a text, computed together, beside one changed run each.

    python -m tests.benchmarks.bench_ablation          tales, and random weights of GPT-2 small's shape
    python -m tests.benchmarks.bench_ablation tales

A run that is computed together with others starts at the layer of its change, so half of the arithmetic is left out,
and the matrices are read once for many runs. The figures are the medians of some runs in turn, without loading.
"""

import statistics
import sys
import time
from collections.abc import Callable
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

TEXT = "One day, Sara met Ben and Tom. Ben said hello to Sara. Sara said hello"  # 20 tokens with the full stop
RUNS = 3


class Small:
    """Random weights of GPT-2 small's shape, with the tokenizer of the bundled model."""

    def __init__(self, tales: Any) -> None:
        torch.manual_seed(0)
        self.name, self.config = "gpt2's shape", GPTConfig()
        self.model = GPT(self.config).eval().requires_grad_(False)
        self.tokenizer, self.n_vocab, self.encode_prompt = tales.tokenizer, tales.n_vocab, tales.encode_prompt


def together(opened: Any) -> None:
    """As the command does it."""
    ablate(opened, TEXT)


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


def seconds(action: Callable[[Any], None], opened: Any) -> float:
    """Of one run."""
    start = time.perf_counter()
    action(opened)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a line for each model."""
    tales = open_checkpoint("tales", Placement("cpu", "float32"))
    models: list[Any] = [tales] if sys.argv[1:] == ["tales"] else [tales, Small(tales)]
    print(f"{'model':<14} {'tokens':>6} {'parts':>6} {'together':>9} {'one by one':>11}")
    for opened in models:
        taken: dict[str, list[float]] = {"together": [], "one by one": []}
        for _ in range(RUNS):
            taken["together"].append(seconds(together, opened))
            taken["one by one"].append(seconds(one_by_one, opened))
        batch, single = (statistics.median(each) for each in taken.values())
        count = opened.config.n_layer * (opened.config.n_head + 1)
        length = len(opened.encode_prompt(TEXT))
        print(f"{opened.name:<14} {length:>6} {count:>6} {batch:>7.2f} s {single:>9.2f} s")


if __name__ == "__main__":
    main()
