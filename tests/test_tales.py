"""The bundled model is the one that weights/README.md describes."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gptcli.checkpoint.source import bundled_folder
from gptcli.model.torch_engine import TorchEngine
from tests.held_out import held_out_ids, perplexity

ROOT = Path(__file__).parent.parent
README = (ROOT / "weights" / "README.md").read_text()


def test_its_file_is_the_one_described() -> None:
    weights = (bundled_folder() / "tales" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() in README


def test_its_recipe_is_the_one_described() -> None:
    """Whoever changes it looks at what the README says of how the model was trained."""
    recipe = (ROOT / "weights" / "train_tales.py").read_bytes()
    assert hashlib.sha256(recipe).hexdigest() in README


def test_it_has_the_loss_it_claims(tales: Any) -> None:
    claimed = re.search(r"the perplexity is ([0-9.]+) \(full tokenization\)", README)
    assert claimed
    reached = perplexity(TorchEngine(tales.model), held_out_ids(tales.tokenizer))
    assert reached == pytest.approx(float(claimed[1]), abs=0.005)


def test_transformers_reads_the_excerpt_alike(tales: Any, tales_reference: Any) -> None:
    """The claim is not only our own arithmetic: the same sum over transformers' logits."""
    documents = held_out_ids(tales.tokenizer)
    surprisals: list[float] = []
    with torch.inference_mode():
        for ids in documents:
            logprobs = tales_reference(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            surprisals += [-float(logprobs[place - 1, ids[place]]) for place in range(2, len(ids))]
    theirs = math.exp(sum(surprisals) / len(surprisals))
    assert perplexity(TorchEngine(tales.model), documents) == pytest.approx(theirs, rel=1e-5)
