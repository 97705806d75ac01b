"""A real model against transformers and the tokenizers library: ``make real`` writes it, ``GPTCLI_REAL`` names it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement

FOLDER = os.environ.get("GPTCLI_REAL", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="no real model (make real; GPTCLI_REAL=its folder)"),
]
TEXT = "The capital of France is Paris. In 1889, for 2,000 visitors a day,   they built a tower of 7,300 tonnes."


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def ids() -> list[int]:
    from tokenizers import Tokenizer

    return list(Tokenizer.from_file(str(Path(FOLDER, "tokenizer.json"))).encode(TEXT).ids)


@torch.inference_mode()
@pytest.mark.parametrize("inside", [False, True])
def test_logits_at_every_position(theirs: Any, ids: list[int], inside: bool) -> None:
    opened = open_checkpoint(FOLDER, Placement("cpu", "float32"), inside=inside)
    assert opened.tokenizer.encode(TEXT) == ids
    logits = [opened.engine.prefill([ids[:1]], len(ids)), *(opened.engine.step([token]) for token in ids[1:])]
    wanted = theirs(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(np.concatenate(logits) - wanted).max() < 2e-4  # logits reach 20


@torch.inference_mode()
def test_200_tokens_of_greedy_text(theirs: Any, ids: list[int]) -> None:
    wanted = theirs.generate(
        torch.tensor([ids]), do_sample=False, min_new_tokens=200, max_new_tokens=200, eos_token_id=None, pad_token_id=0
    )[0].tolist()
    engine = open_checkpoint(FOLDER, Placement("cpu", "float32"), inside=False).engine
    written = list(ids)
    logits = engine.prefill([ids], len(ids) + 200)
    for _ in range(200):
        written.append(int(logits[0].argmax()))
        logits = engine.step([written[-1]])
    assert written == wanted


def gptcli(*arguments: str) -> str:
    command = [sys.executable, "-m", "gptcli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_chat_knows_the_capital_of_france(quantize: str) -> None:
    answer = gptcli(
        *("generate", "-m", FOLDER, "--chat", "What is the capital of France?"),
        *("-t", "0", "-n", "20", "--quantize", quantize),
    )
    assert "Paris" in answer


def test_the_template_is_transformers_to_the_token() -> None:
    from transformers import PreTrainedTokenizerFast

    from gptcli.generation.chat.layout import layout_for
    from gptcli.generation.chat.turns import Turn

    declared = json.loads(Path(FOLDER, "tokenizer_config.json").read_text())
    library = PreTrainedTokenizerFast(tokenizer_file=str(Path(FOLDER, "tokenizer.json")))
    library.chat_template = declared["chat_template"]
    question = "What is the capital of France?"
    wanted = library.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    opened = open_checkpoint(FOLDER, Placement("cpu"), inside=False)
    layout = layout_for("auto", opened.what.source)
    prompt = layout.prompts(opened.tokenizer, opened.n_vocab).prompt(None, [Turn("user", question)], 1000, 8192)
    assert list(prompt.ids) == wanted
