"""``gptcli logits`` against transformers and against figures worked out by hand."""

import json
import math
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.show.blocks.figures import percents
from gptcli.system.bundled import bundled_folder

torch = pytest.importorskip("torch")
PROMPT = "The king and the"


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["logits", *arguments], input=text)


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def reference() -> Any:
    """Logits [T, V] that transformers gives for the prompt."""
    from transformers import GPT2LMHeadModel

    from gptcli.tokenizer import gpt2_tokenizer

    model = GPT2LMHeadModel.from_pretrained(bundled_folder() / "tales", dtype=torch.float32).eval()
    ids = torch.tensor([gpt2_tokenizer().encode(PROMPT)])
    with torch.inference_mode():
        return model(ids).logits[0]


@pytest.mark.slow
def test_top_20_are_those_of_transformers(reference: Any) -> None:
    candidates = answer(PROMPT)["distributions"][0]["candidates"]
    expected = reference[-1].topk(20)
    assert [candidate["id"] for candidate in candidates] == expected.indices.tolist()
    assert [candidate["logit"] for candidate in candidates] == pytest.approx(expected.values.tolist(), abs=1e-4)
    probabilities = reference[-1].double().softmax(-1)[expected.indices].tolist()
    assert [candidate["probability"] for candidate in candidates] == pytest.approx(probabilities, abs=1e-6)
    assert [candidate["rank"] for candidate in candidates] == list(range(1, 21))


def test_the_rest_makes_it_whole(reference: Any) -> None:
    odds = answer(PROMPT, "--top", "7")["distributions"][0]
    assert odds["rest"]["count"] == 50257 - 7
    assert sum(c["probability"] for c in odds["candidates"]) + odds["rest"]["probability"] == pytest.approx(1, abs=1e-9)
    logprobs = reference[-1].double().log_softmax(-1)
    assert odds["entropy_bits"] == pytest.approx(float(-(logprobs.exp() * logprobs).sum() / math.log(2)), abs=1e-4)


def test_the_chapters_animation(reference: Any) -> None:
    """The 20 most probable, each probability to the power 1/5, made to sum to 1."""
    probabilities = reference[-1].double().softmax(-1).topk(20).values ** (1 / 5)
    odds = answer(PROMPT, "-t", "5", "-k", "20")["distributions"][0]
    shown = [candidate["probability"] for candidate in odds["candidates"]]
    assert shown == pytest.approx((probabilities / probabilities.sum()).tolist(), abs=1e-6)
    assert odds["kept"] == 20
    assert odds["rest"]["probability"] == pytest.approx(0, abs=1e-9)


def test_temperatures_side_by_side() -> None:
    cold, plain, hot = answer(PROMPT, "-t", "0.5,1,2")["distributions"]
    assert [each["temperature"] for each in (cold, plain, hot)] == [0.5, 1.0, 2.0]
    assert cold["entropy_bits"] < plain["entropy_bits"] < hot["entropy_bits"]
    p, q = (each["candidates"][0]["probability"] / each["candidates"][1]["probability"] for each in (plain, cold))
    assert q == pytest.approx(p**2, rel=1e-4)  # halving the temperature squares every ratio


@pytest.mark.slow
@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_temperatures_fit_any_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side, or below each other: no figure is cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run(PROMPT, "-t", "0.5,1,2,5", "--top", "3", "--watch", "dragon").stdout
    assert "…" not in shown
    for odds in answer(PROMPT, "-t", "0.5,1,2,5", "--top", "3", "--watch", "dragon")["distributions"]:
        assert re.search(rf"T = {odds['temperature']:g}\s", shown)
        for figure in percents([each["probability"] for each in odds["candidates"] + odds["watched"]]):
            assert figure in shown


@pytest.mark.parametrize("width", [30, 40, 80])
def test_positions_fit_any_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run(PROMPT, "--all-positions").stdout
    assert "…" not in shown
    assert ("not shown: rank" in shown) == (width < 80)
    assert "·king" in shown


def test_temperature_0_puts_all_on_the_first() -> None:
    odds = answer(PROMPT, "-t", "0")["distributions"][0]
    assert [candidate["probability"] for candidate in odds["candidates"]] == [1.0] + [0.0] * 19
    assert odds["entropy_bits"] == 0
    assert odds["kept"] == 1


def test_filters_name_what_they_cut() -> None:
    candidates = answer(PROMPT, "-k", "3", "--top", "5")["distributions"][0]["candidates"]
    assert [candidate["cut_by"] for candidate in candidates] == [None, None, None, "top-k", "top-k"]
    assert sum(candidate["probability"] for candidate in candidates) == pytest.approx(1, abs=1e-9)
    narrow = answer(PROMPT, "--top-p", "0.45", "--top", "3")["distributions"][0]
    assert [candidate["cut_by"] for candidate in narrow["candidates"]] == [None, None, "top-p"]


def test_watch_takes_the_word_as_it_would_come(reference: Any) -> None:
    watched = answer(PROMPT, "--watch", "dragon", "--watch", "cat")["distributions"][0]["watched"]
    assert [each["token"] for each in watched] == [" dragon", " cat"]
    order = reference[-1].argsort(descending=True).tolist()
    assert [each["rank"] for each in watched] == [order.index(each["id"]) + 1 for each in watched]


def test_a_word_of_which_only_the_start_is_watched_is_named() -> None:
    done = run(PROMPT, "--watch", "xylophonist", "--watch", "queen")
    assert done.exit_code == 0
    # tiktoken cuts it so.
    assert done.stderr == "' x' 'yl' 'ophon' 'ist'".join(["'xylophonist' is 4 tokens, ", ": the first is followed\n"])


def test_all_positions(reference: Any) -> None:
    positions = answer(PROMPT, "--all-positions")["positions"]
    logprobs = reference.double().log_softmax(-1)
    assert [each["best"]["id"] for each in positions] == reference.argmax(-1).tolist()
    for place, each in enumerate(positions[:-1]):
        following = positions[place + 1]["id"]
        assert each["next"]["id"] == following
        assert each["next"]["probability"] == pytest.approx(float(logprobs[place, following].exp()), abs=1e-6)
        assert each["next"]["rank"] == int((logprobs[place] > logprobs[place, following]).sum()) + 1
    assert positions[-1]["next"] is None
    assert [each["position"] for each in positions] == [1, 2, 3, 4]


def test_reads_a_pipe_without_its_last_newline() -> None:
    piped = run("--json", text=PROMPT + "\n")
    assert json.loads(piped.stdout)["prompt_ids"] == answer(PROMPT)["prompt_ids"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PROMPT, "-t", "warm"), "--temperature"),
        ((PROMPT, "-t", "nan"), "--temperature"),
        ((PROMPT, "-k", "-1"), "--top-k"),
        ((PROMPT, "--top", "0"), "--top"),
        ((PROMPT, "--watch", ""), "--watch"),
        ((PROMPT, "--save", "x.pdf"), ".svg"),
        ((PROMPT, "-m", "nothing-of-that-name"), "nothing-of-that-name"),
        (("word " * 600,), "512"),
        ((PROMPT, "--all-positions", "-t", "0"), "--all-positions and --temperature"),
        ((PROMPT, "--all-positions", "--watch", "king"), "--all-positions and --watch"),
        ((PROMPT, "--all-positions", "--top", "3"), "--all-positions and --top"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_saves_pictures_without_the_network(tmp_path: Any) -> None:
    for suffix in ("svg", "html", "txt"):
        file = tmp_path / f"odds.{suffix}"
        done = run(PROMPT, "--save", str(file))
        assert done.exit_code == 0, done.output
        saved = file.read_text(encoding="utf-8")
        assert "queen" in saved
        assert "//cdn" not in saved
        assert "@font-face" not in saved
