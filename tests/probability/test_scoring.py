"""The score of a text against transformers' loss, for every family."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptcli.model.torch_engine import TorchEngine
from gptcli.probability.scoring import score
from gptcli.tokenizer import RankTokenizer
from tests.checkpoint.zoo import FAMILIES, both, few

# Small letters are tokens 0 to 25.
BYTES = [*range(ord("a"), ord("z") + 1), *range(ord("a")), *range(ord("z") + 1, 256)]
LETTERS = RankTokenizer("letters", {bytes([byte]): rank for rank, byte in enumerate(BYTES)}, r"[\s\S]")


@pytest.mark.parametrize("family", few(FAMILIES))
def test_the_sum_is_transformers_loss(family: str) -> None:
    theirs, model = both(family)
    text = "aquickredfox"
    checkpoint: Any = SimpleNamespace(
        name=family,
        another_engine=lambda: TorchEngine(model),
        tokenizer=LETTERS,
        n_vocab=model.config.vocab_size,
        config=model.config,
        changes=None,
        told_changes=None,
        encode_prompt=lambda text, bos: LETTERS.encode(text),
    )
    got = score(checkpoint, text)
    ids = torch.tensor([[ord(letter) - ord("a") for letter in text]])
    assert [token.id for token in got.tokens] == ids[0].tolist()
    with torch.inference_mode():
        loss = float(theirs(ids, labels=ids).loss)
    assert -got.logprob / (len(text) - 1) == pytest.approx(loss, abs=1e-4)
    assert got.bits_per_byte == pytest.approx(loss / math.log(2), abs=1e-4)
