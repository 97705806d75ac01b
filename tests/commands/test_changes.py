"""``--without`` and ``--steer`` as they are typed, in every command that runs a text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.generation.loop import Limits
from gptcli.generation.pick.draft import new_draft
from gptcli.generation.writing import Request
from gptcli.inspection.request import made, requested
from gptcli.sampling.filters import DEFAULTS
from gptcli.sampling.settings import Sampling
from gptcli.show.terminal.console import json_text
from tests.tales import LAYERS

TEXT = "Lily and Tom went to the park. Lily said"
# Any model says something else when its first layer looks nowhere.
OUT = ["--without", "1.*", "--without", "mlp:2@Tom"]
# Enough to make " happy" twice as probable after FOREST: a layer, and the strength.
LAYER, STRENGTH = 7, 12
FOREST = "The forest was"
HAPPIER = f"layer:{LAYER}: happy - sad * {STRENGTH}"


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def changed(tales_reference: Any) -> Tensor:
    """transformers' logits [T, V] with hooks for ``OUT``."""
    blocks = tales_reference.transformer.h
    ids = answer("logits", TEXT)["prompt_ids"]
    (tom,) = [index for index, token in enumerate(ids) if token == 4186]  # " Tom"

    def no_heads(_: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (torch.zeros_like(inputs[0]),)

    def no_tom(_: Any, inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, tom] = 0
        return output

    handles = [blocks[0].attn.c_proj.register_forward_pre_hook(no_heads), blocks[1].mlp.register_forward_hook(no_tom)]
    with torch.inference_mode():
        logits: Tensor = tales_reference(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    return logits


def test_logits(changed: Tensor) -> None:
    got = answer("logits", TEXT, *OUT, "--top", "5")["distributions"][0]["candidates"]
    wanted = changed[-1].topk(5)
    assert [each["id"] for each in got] == wanted.indices.tolist()
    assert [each["logit"] for each in got] == pytest.approx(wanted.values.tolist(), abs=1e-4)


def test_logits_of_all_positions_mean_the_whole_text(changed: Tensor) -> None:
    got = answer("logits", TEXT, *OUT, "--all-positions")["positions"]
    assert [each["best"]["id"] for each in got] == changed.argmax(-1).tolist()


def test_score(changed: Tensor) -> None:
    got = answer("score", TEXT, *OUT)
    ids = [token["id"] for token in got["tokens"]]
    logprobs = changed.double().log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])
    assert got["logprob"] == pytest.approx(float(logprobs.sum()), abs=1e-3)


@pytest.mark.slow
def test_lens(changed: Tensor) -> None:
    last = answer("lens", TEXT, *OUT)["stages"][-1]
    assert [guess["id"] for guess in last["guesses"]] == changed.argmax(-1).tolist()


@pytest.mark.slow
def test_attribution_adds_up_to_the_changed_logit(changed: Tensor) -> None:
    (made,) = answer("lens", TEXT, *OUT, "--attribution")["attribution"]
    assert made["id"] == int(changed[-1].argmax())
    assert made["total"] == pytest.approx(float(changed[-1].max()), abs=1e-3)
    heads = [part for part in made["contributions"] if part["kind"] == "head" and part["layer"] == 1]
    assert [part["logit"] for part in heads] == [0] * 4


@pytest.mark.slow
def test_attention_with_the_names_of_the_plain_model() -> None:
    plain = answer("attention", TEXT, "--layer", "5", "--head", "1")["heads"][0]
    got = answer("attention", TEXT, "--layer", "5", "--head", "1", *OUT)["heads"][0]
    assert got["label"] == plain["label"]
    assert got["values"] != plain["values"]
    held = answer("attention", TEXT, "--layer", "5", "--head", "1", *OUT, "--freeze-attention")["heads"][0]
    assert torch.allclose(torch.tensor(held["values"]), torch.tensor(plain["values"]), atol=1e-6)


def test_generate_continues_without_it(changed: Tensor) -> None:
    got = answer("generate", TEXT, *OUT, "-n", "3", "-t", "0")
    assert got["ids"][0] == int(changed[-1].argmax())
    again = answer("generate", TEXT, "-n", "3", "-t", "0")
    assert got["ids"] != again["ids"]


@pytest.mark.slow
def test_a_happier_forest(tmp_path: Path) -> None:
    """The direction raises what it names, and its opposite lowers it."""

    def probability(*arguments: str) -> float:
        got = answer("logits", FOREST, "--watch", "happy", *arguments)
        return float(got["distributions"][0]["watched"][0]["model_probability"])

    file = tmp_path / "joy.safetensors"
    plain = probability()
    happier = probability("--steer", HAPPIER, "--save-direction", str(file))
    assert happier > 2 * plain
    assert probability("--steer", f"layer:{LAYER}: happy - sad * -{STRENGTH}") < plain / 2
    assert probability("--steer", f'layer:{LAYER}: "{file}" * {STRENGTH}') == pytest.approx(happier, rel=1e-4)


def test_positions_are_checked_before_anything_is_written() -> None:
    for arguments in (("A", "--without", "4.1@9"), ("A", "B", "--without", "4.1@B"), ("A", "--explain", *OUT)):
        done = run("generate", *arguments)
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("score",),
        ("score", "--summary"),
        ("logits",),
        ("logits", "--all-positions"),
        ("lens",),
        ("attention", "--layer", "2", "--head", "1"),
        ("attention", "--from", "park"),
        ("generate", "-n", "1"),
        ("generate", "-n", "1", "--jsonl"),
    ],
)
def test_answers_say_what_was_changed(command: tuple[str, ...]) -> None:
    form = [] if "--jsonl" in command else ["--json"]
    done = run(*command, TEXT, *OUT, "--by", "mean", *form)
    assert json.loads(done.stdout)["changes"] == ["--without 1.*", "--without mlp:2@Tom", "--by mean"]
    assert "changes" not in json.loads(run(*command, TEXT, *form).stdout)


@pytest.mark.parametrize(
    "command", ["score", "score --summary", "logits", "lens", "attention --layer 2", "generate --stats -n 1"]
)
def test_pictures_say_what_was_changed(command: str) -> None:
    done = run(*command.split(), TEXT, "--steer", "layer:2: happy * 2", "--freeze-attention")
    assert "a changed model: --steer layer:2: happy * 2 --freeze-attention" in done.output
    assert "changed model" not in run(*command.split(), TEXT).output


def test_pages_and_notebooks_say_what_was_changed(tales: Any) -> None:
    from gptcli.api import LoadedGPT
    from gptcli.show import notebook

    answer_ = LoadedGPT(tales).changed(without=["4.1"]).score("A bird sang")
    assert str(answer_).startswith("a changed model: --without 4.1\n")
    page = notebook.page_of(answer_)
    assert page is not None
    assert "a changed model: --without 4.1" in page.facts


@pytest.mark.slow
def test_texts_are_happier() -> None:
    """Not in one text, which luck decides, but over many: twice as many have a happy word (27 of 40, else 7)."""

    def happy(*arguments: str) -> int:
        lines = run("generate", FOREST, "-N", "40", "-n", "12", "--seed", "1", "--json", *arguments).stdout
        words = [re.findall("[a-z]+", json.loads(line)["completion"].lower()) for line in lines.splitlines()]
        assert len(words) == 40
        return sum(bool({"happy", "smiled", "fun", "glad", "joy", "laughed", "loved"} & set(each)) for each in words)

    assert happy("--steer", HAPPIER) >= 2 * happy() > 0


@pytest.mark.slow
def test_chat_without_it() -> None:
    plain = run("chat", "--seed", "1", "-n", "5", "-t", "0", text="Hello\n")
    got = run("chat", "--seed", "1", "-n", "5", "-t", "0", *OUT[:2], text="Hello\n")
    assert (plain.exit_code, got.exit_code) == (0, 0)
    assert plain.stdout != got.stdout
    assert "a changed model: --without 1.*" in got.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("logits", "A", "--without", f"{LAYERS + 1}.1"),
            f"this model has layers 1 to {LAYERS}\n  {LAYERS + 1}.1\n  ^",
        ),
        (("logits", "A", "--without", "4.1.2"), "one place ends here"),
        (("logits", "A", "--without", "4.1@queen"), "the text has no token 'queen'"),
        (("logits", "A", "--by", "mean"), "go with --without"),
        (("logits", "A", "--without", "1.1", "--by", "mean", "--over", "/no/file"), "cannot read /no/file"),
        (("logits", "A", "--save-direction", "x.safetensors"), "one --steer, and there are 0"),
        (("logits", "A", "--steer", "layer:1: happy", "--save-direction", "x.npy"), "is saved as .safetensors"),
    ],
)
def test_a_mistake_is_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split("\n")) or message in done.stderr


def test_a_picked_text_of_a_changed_model_and_its_replay(tales: Any, tmp_path: Path) -> None:
    """What is drawn is what ``generate`` writes with the same changes, also after some of it is taken back."""
    written = answer("generate", TEXT, *OUT, "-n", "8", "--seed", "5")
    opened = tales.changed(made(tales, requested(OUT[1::2])))
    draft = new_draft(opened, Request([TEXT], Sampling(**DEFAULTS), Limits(8), 5))
    for _ in range(6):
        draft.draw_token()
    for _ in range(4):
        draft.undo()
    while not draft.finished:
        draft.draw_token()
    assert draft.sample.ids == written["ids"]
    record = tmp_path / "picked.json"
    record.write_text(json_text(draft.record("tales", "quit")))
    assert json.loads(record.read_text())["changes"] == [f"--without {place}" for place in OUT[1::2]]
    again = answer("generate", "--replay", str(record), *OUT)
    assert again["ids"] == written["ids"]
    assert again["changes"] == written["changes"]
    for options in ([], OUT[:2]):
        refused = run("generate", "--replay", str(record), *options)
        assert refused.exit_code == 2
        told = "was written with --without 1.* --without mlp:2@Tom: give the same options"
        assert told in " ".join(refused.stderr.split("\n"))
