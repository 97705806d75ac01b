"""Every family against transformers: the same numbers, whichever way they are computed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.weights.native_loader import load_native, why_not_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.model.gpt import GPT
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.shape import Tables
from gptcli.model.torch_engine import TorchEngine
from gptcli.sampling.settings import Sampling
from tests.checkpoint.zoo import FAMILIES, N_POSITIONS, each, open_folder, reference, saved, understand

TOLERANCE = 1e-4


@dataclass
class Pair:
    """One checkpoint, opened by transformers and by us."""

    theirs: Any
    ours: GPT
    blueprint: Blueprint
    folder: Path

    def native(self) -> NativeEngine:
        """The engine in C on the same files; skips the test where it cannot run them."""
        blueprint, header = understand(self.folder)
        if (reason := why_not_native(blueprint, Placement("cpu"))) is not None:
            pytest.skip(reason)
        return load_native(blueprint, header, Placement("cpu"))


@pytest.fixture(scope="module", params=each(FAMILIES))
def pair(request: pytest.FixtureRequest) -> Pair:
    theirs, folder = saved(request.param)
    blueprint, ours = open_folder(folder)
    return Pair(theirs, ours, blueprint, folder)


def random_ids(pair: Pair, *shape: int) -> Tensor:
    return torch.randint(pair.ours.config.vocab_size, shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_uncached_logits(pair: Pair) -> None:
    ids = random_ids(pair, 2, N_POSITIONS)
    wanted = pair.theirs(ids).logits
    assert wanted.std() > 0.5  # the comparison would mean little between logits that are all alike
    assert (pair.ours(ids) - wanted).abs().max() < TOLERANCE


@torch.inference_mode()
def test_cached_logits(pair: Pair) -> None:
    ids = random_ids(pair, 40)
    engine = TorchEngine(pair.ours)
    logits = [engine.prefill([ids[:13].tolist()], capacity=40), *(engine.step([int(token)]) for token in ids[13:])]
    wanted = pair.theirs(ids[None]).logits[0, 12:]
    assert (torch.tensor(np.concatenate(logits)) - wanted).abs().max() < TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("native", [False, True])
def test_batched_logits(native: bool, pair: Pair) -> None:
    lengths, steps = (5, 23, 1, 12), 9
    rows = [random_ids(pair, 4, 40)[row, : length + steps] for row, length in enumerate(lengths)]
    engine = pair.native() if native else TorchEngine(pair.ours)
    logits = [engine.prefill([row[:-steps].tolist() for row in rows], capacity=40)]
    logits += [engine.step([int(row[step - steps]) for row in rows]) for step in range(steps)]
    wanted = left_padded(pair.theirs, rows)[:, -steps - 1 :]
    assert (torch.tensor(np.stack(logits, axis=1)) - wanted).abs().max() < TOLERANCE


def left_padded(model: Any, rows: list[Tensor]) -> Tensor:
    longest = max(map(len, rows))
    ids = torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0), value=3) for row in rows])
    mask = torch.stack([torch.arange(longest) >= longest - len(row) for row in rows]).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits: Tensor = model(ids, attention_mask=mask, position_ids=positions).logits
    return logits


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("native", [False, True])
def test_greedy_text(native: bool, pair: Pair) -> None:
    """Transformers reads the text once: greedy are the texts whose every token is what it finds most probable there.

    Where angles change with the length, it writes the text itself.
    """
    prompt = random_ids(pair, 7)
    engine = pair.native() if native else TorchEngine(pair.ours)
    samples = new_samples([prompt.tolist()])
    for _ in generate(engine, samples, Sampling(temperature=0), Limits(100), seed=0):
        pass
    found = samples[0].ids
    assert len(found) == 100
    assert len(set(found)) > 3
    if Tables(pair.ours.config).fixed:
        wanted = pair.theirs(torch.tensor([[*prompt, *found[:-1]]])).logits[0, 6:].argmax(-1)
    else:
        mask, count = torch.ones(1, 7, dtype=torch.long), len(found)
        fixed = {"do_sample": False, "min_new_tokens": count, "max_new_tokens": count}
        wanted = pair.theirs.generate(prompt[None], attention_mask=mask, **fixed, eos_token_id=None, pad_token_id=0)[
            0, 7:
        ]
    assert found == wanted.tolist()


def test_every_parameter_is_counted_once(pair: Pair) -> None:
    assert sum(weight.numel() for weight in pair.ours.parameters()) == pair.theirs.num_parameters()


def test_the_engine_in_c_reads_the_same_files(pair: Pair) -> None:
    engine = pair.native()
    ids = random_ids(pair, 40)
    logits = [engine.prefill([ids[:13].tolist()], capacity=40), *(engine.step([int(token)]) for token in ids[13:])]
    with torch.inference_mode():
        wanted = pair.theirs(ids[None]).logits[0, 12:]
    assert (torch.tensor(np.concatenate(logits)) - wanted).abs().max() < TOLERANCE

    alone = [engine.prefill([row], capacity=40) for row in ([5, 3, 8], ids[:30].tolist())]
    together = engine.prefill([[5, 3, 8], ids[:30].tolist()], capacity=40)
    assert np.array_equal(together, np.concatenate(alone))
    steps = engine.step([7, int(ids[30])])
    assert np.abs(steps[1] - logits[18][0]).max() < TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("native", [False, True])
def test_a_text_that_becomes_long_has_the_angles_of_long_texts(native: bool, tmp_path: Path) -> None:
    """In a batch next to a short one, step by step, and back again: as if each were read at once."""
    reference(FAMILIES["phi3 longrope"]).save_pretrained(tmp_path)
    _, model = open_folder(tmp_path)
    border, ids = model.config.long_from, torch.arange(60) * 7 % 97
    assert border == 45

    def whole(length: int) -> Tensor:
        logits: Tensor = model(ids[None, :length])[0]
        return logits

    engine = load_native(*understand(tmp_path), Placement("cpu")) if native else TorchEngine(model)
    engine.prefill([ids[:44].tolist(), ids[:5].tolist()], capacity=60)
    for step in range(4):
        logits = torch.tensor(engine.step([int(ids[44 + step]), int(ids[5 + step])]))
        assert (logits[0] - whole(45 + step)[-1]).abs().max() < TOLERANCE
        assert (logits[1] - whole(6 + step)[-1]).abs().max() < TOLERANCE
    engine.select([0])
    engine.rewind(8)
    assert (torch.tensor(engine.extend(ids[40:43].tolist())) - whole(43)[40:]).abs().max() < TOLERANCE
    assert (torch.tensor(engine.extend(ids[43:50].tolist())) - whole(50)[43:]).abs().max() < TOLERANCE
