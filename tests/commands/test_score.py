"""``gptcli score`` against transformers' loss."""

import json
import math
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gptcli.cli import app

TEXT = "Once upon a time there was a little girl named Lily. She loved the sea and the refrigerator.\n"
LONG = TEXT * 40  # about 900 tokens; the context is 512


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["score", *arguments], input=text)


def answer(*arguments: str, text: str | None = None) -> dict[str, Any]:
    done = run(*arguments, "--json", text=text)
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_the_sum_is_transformers_loss(tales_reference: Any) -> None:
    got = answer(TEXT)
    ids = torch.tensor([[token["id"] for token in got["tokens"]]])
    with torch.inference_mode():
        loss = float(tales_reference(ids, labels=ids).loss)
    assert got["scored"] == ids.shape[1] - 1
    assert -got["log_probability"] / got["scored"] == pytest.approx(loss, abs=1e-4)
    assert got["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    first = len(TEXT.split()[0].encode())
    assert got["bits_per_byte"] == pytest.approx(loss * got["scored"] / math.log(2) / (len(TEXT) - first), abs=1e-4)


def test_each_token_has_its_probability(tales_reference: Any) -> None:
    tokens = answer(TEXT)["tokens"]
    assert tokens[0]["probability"] is None
    ids = torch.tensor([[token["id"] for token in tokens]])
    with torch.inference_mode():
        logprobs = tales_reference(ids).logits[0].double().log_softmax(-1)
    for place, token in enumerate(tokens[1:]):
        expected = logprobs[place, token["id"]]
        assert token["probability"] == pytest.approx(float(expected.exp()), abs=1e-6)
        assert token["surprisal_bits"] == pytest.approx(-float(expected) / math.log(2), abs=1e-4)
        assert token["rank"] == int((logprobs[place] > expected).sum()) + 1


def test_bos_scores_the_first_token_too(tales_reference: Any) -> None:
    got = answer("--bos", "The king")
    ids = torch.tensor([[50256, *(token["id"] for token in got["tokens"])]])
    with torch.inference_mode():
        loss = float(tales_reference(ids, labels=ids).loss)
    assert got["scored"] == len(got["tokens"]) == 2
    assert -got["log_probability"] == pytest.approx(2 * loss, abs=1e-4)


@pytest.mark.parametrize("stride", [100, 256, 511])
def test_long_texts_go_through_in_windows(tales_reference: Any, stride: int) -> None:
    got = answer("--stride", str(stride), text=LONG)
    ids = torch.tensor([token["id"] for token in got["tokens"]])
    total, done = 0.0, 1
    for start in range(0, len(ids), stride):  # the windows, worked out once more
        window = ids[start : start + 512]
        with torch.inference_mode():
            logits = tales_reference(window[None]).logits[0]
        new = range(max(done, start + 1) - start, len(window))
        before = logits[new.start - 1 : new.stop - 1]
        chosen = before.gather(1, window[new.start : new.stop, None])[:, 0]
        total += float((chosen - before.logsumexp(-1)).double().sum())
        done = max(done, start + len(window))
        if done == len(ids):
            break
    assert got["scored"] == len(ids) - 1
    assert got["log_probability"] == pytest.approx(total, abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("x",), "--bos"), (("",), "--bos"), ((TEXT, "--stride", "512"), "511"), ((TEXT, "--stride", "0"), "--stride")],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_the_picture_lists_the_most_surprising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(TEXT, "--top", "3")
    assert done.exit_code == 0
    assert "refrigerator" in done.stdout
    assert "perplexity" in done.stdout
