"""The bundled model is the one that weights/README.md describes."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gptcli.model.torch_engine import TorchEngine
from gptcli.system.bundled import bundled_folder
from tests.held_out import held_out_ids, perplexity

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
README = (ROOT / "weights" / "README.md").read_text()


def test_its_file_is_the_one_described() -> None:
    weights = (bundled_folder() / "tales" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() in README


def test_its_recipe_is_the_one_described() -> None:
    """A change of it is a reason to look at what the README says of how the model was trained."""
    recipe = sorted((ROOT / "weights" / "training").glob("*.py"), key=lambda path: path.name)
    assert hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest() in README


@pytest.fixture(scope="module")
def excerpt(tales: Any) -> tuple[list[list[int]], float]:
    """Documents that it never saw, and their perplexity."""
    documents = held_out_ids(tales.tokenizer)
    return documents, perplexity(TorchEngine(tales.model), documents)


def test_it_has_the_loss_it_claims(excerpt: tuple[list[list[int]], float]) -> None:
    claimed = re.search(r"the perplexity is ([0-9.]+) \(full tokenization\)", README)
    assert claimed
    assert excerpt[1] == pytest.approx(float(claimed[1]), abs=0.005)


def test_transformers_reads_the_excerpt_alike(excerpt: tuple[list[list[int]], float], tales_reference: Any) -> None:
    """The claim is not only our own arithmetic: the same sum over transformers' logits."""
    surprisals: list[float] = []
    with torch.inference_mode():
        for document in excerpt[0]:
            ids = torch.tensor(document)
            logits = tales_reference(ids[None]).logits[0, 1:-1]
            surprisals += (logits.logsumexp(-1) - logits.gather(1, ids[2:, None])[:, 0]).double().tolist()
    theirs = math.exp(sum(surprisals) / len(surprisals))
    assert excerpt[1] == pytest.approx(theirs, rel=1e-5)
