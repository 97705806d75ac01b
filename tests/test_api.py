"""The Python API: the same numbers as the commands, and as transformers where it has them."""

import inspect
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, get_args

import numpy as np
import pytest
import torch

import gptcli
from gptcli.api import choices
from gptcli.checkpoint.weights.placement import Placement
from tests.conftest import Run
from tests.tales import HEADS, LAYERS

TEXT = "Once upon a time there was a little girl named Lily."


@pytest.fixture(scope="module")
def gpt() -> gptcli.LoadedGPT:
    return gptcli.load("tales", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def words() -> gptcli.LoadedWords:
    return gptcli.load_words()


@pytest.mark.slow
def test_generates_what_the_command_writes(gpt: gptcli.LoadedGPT, run_gptcli: Run) -> None:
    done = run_gptcli("generate", "The king", "--seed", "7", "-n", "12", "--no-echo", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    written = gpt.generate("The king", seed=7, max_new_tokens=12)
    assert written
    assert done.stdout.decode().removesuffix("\n") == written


@pytest.mark.slow
def test_writes_with_the_engine_of_the_command_and_keeps_no_weights_twice_for_nothing() -> None:
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.model.native import available

    chosen = type(open_checkpoint("tales", Placement(device="cpu"), inside=False).engine)
    writes, looks, does_both = (gptcli.load("tales", device="cpu").checkpoint for _ in range(3))
    assert writes._engine is not None
    assert type(writes.engine) is chosen
    assert (writes._model is None) == available()
    assert looks.model is looks.model
    assert looks._engine is None  # it was let go
    assert does_both.model
    assert type(does_both.engine) is chosen


@pytest.mark.slow
def test_what_is_written_does_not_depend_on_having_looked_inside() -> None:
    fresh, looked = gptcli.load("tales", device="cpu"), gptcli.load("tales", device="cpu")
    looked.attention(TEXT)
    assert looked.generate(TEXT, seed=5, max_new_tokens=30) == fresh.generate(TEXT, seed=5, max_new_tokens=30)


def test_defaults_are_those_of_the_command() -> None:
    from gptcli.cli.commands.generate import generate
    from gptcli.sampling.filters import FILTERS

    options = {name: parameter.default for name, parameter in inspect.signature(generate).parameters.items()}
    fields = [each.field for each in FILTERS if each.help]
    for method in (gptcli.LoadedGPT.generate, gptcli.LoadedGPT.stream):
        ours = {name: parameter.default for name, parameter in inspect.signature(method).parameters.items()}
        shared = [*fields, "max_new_tokens", "ignore_eos", "bos", "seed"]
        assert {name: ours[name] for name in shared} == {name: options[name] for name in shared}
        assert ours["overflow"] == options["overflow"]
        documented = inspect.getdoc(gptcli.LoadedGPT.generate) or ""
        assert all(f"{name}:" in documented for name in ours if name != "self")


@pytest.mark.parametrize(("given", "said"), [("temperatur", "did you mean 'temperature'"), ("zzz", "it has prompt, ")])
def test_a_misspelt_option_is_told(gpt: gptcli.LoadedGPT, given: str, said: str) -> None:
    call: Any = gpt.generate
    with pytest.raises(TypeError, match=rf"generate\(\) has no option '{given}': {said}"):
        call("The king", **{given: 1})


def test_stream_is_generate_in_pieces(gpt: gptcli.LoadedGPT) -> None:
    pieces = list(gpt.stream("Lily saw a", seed=3, max_new_tokens=10, temperature=0))
    assert len(pieces) > 1
    assert "".join(pieces) == gpt.generate("Lily saw a", seed=4, max_new_tokens=10, temperature=0)


def test_one_stop_text_needs_no_list(gpt: gptcli.LoadedGPT) -> None:
    whole = gpt.generate(TEXT, seed=1, max_new_tokens=30)
    stop = whole.split()[2]
    cut = gpt.generate(TEXT, seed=1, max_new_tokens=30, stop=stop)
    assert whole.startswith(cut)
    assert stop not in cut
    assert cut == gpt.generate(TEXT, seed=1, max_new_tokens=30, stop=[stop])


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"seed": -1},
        {"stop": [""]},
        {"max_new_tokens": -3},
        {"overflow": "nonsense"},
    ],
)
def test_a_bad_setting_is_told_before_the_first_piece(gpt: gptcli.LoadedGPT, settings: Any) -> None:
    with pytest.raises(gptcli.GptcliError):
        gpt.stream("The king", **settings)


@pytest.mark.slow
def test_several_texts_may_be_under_way(gpt: gptcli.LoadedGPT) -> None:
    settings: Any = {"seed": 1, "max_new_tokens": 12}
    alone = [gpt.generate(text, **settings) for text in (TEXT, "The king")]
    pieces = zip_longest(gpt.stream(TEXT, **settings), gpt.stream("The king", **settings), fillvalue="")
    assert ["".join(parts) for parts in zip(*pieces, strict=True)] == alone
    made = ""
    for piece in gpt.stream(TEXT, **settings):
        made += piece
        assert gpt.next_token("Hi", top=1).prompt_ids == gpt.encode("Hi")
    assert made == alone[0]


@pytest.mark.slow
def test_texts_may_be_written_in_several_threads(gpt: gptcli.LoadedGPT) -> None:
    settings: Any = {"seed": 1, "max_new_tokens": 40, "ignore_eos": True}
    prompts = ["Once upon a time", "The king " * 30, "A bird", "One day " * 40] * 2
    alone = [gpt.generate(prompt, **settings) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda prompt: gpt.generate(prompt, **settings), prompts)) == alone
        perplexities = [gpt.score(text).perplexity for text in alone]
        assert list(pool.map(lambda text: gpt.score(text).perplexity, alone)) == perplexities


def test_text_and_ids(gpt: gptcli.LoadedGPT) -> None:
    ids = gpt.encode(TEXT)
    assert gpt.decode(ids) == TEXT
    assert b"".join(gpt.tokenize(TEXT)) == TEXT.encode()
    assert gpt.encode("<|endoftext|>", special=True) == [50256]


@pytest.mark.slow
def test_logits_residual_and_attention_are_transformers(gpt: gptcli.LoadedGPT, tales_reference: Any) -> None:
    ids = torch.tensor([gpt.encode(TEXT)])
    with torch.inference_mode():
        expected = tales_reference(ids, output_attentions=True, output_hidden_states=True)
    logits, residual, attention = gpt.logits(TEXT), gpt.residual(TEXT), np.asarray(gpt.attention(TEXT))
    assert logits.dtype == residual.dtype == attention.dtype == np.float32
    np.testing.assert_allclose(logits, expected.logits[0], atol=1e-3)
    # transformers' last hidden state is behind the final norm; all before are the stream itself.
    for ours, theirs in zip(residual[:-1], expected.hidden_states[:-1], strict=True):
        np.testing.assert_allclose(ours, theirs[0], atol=1e-3)
    np.testing.assert_allclose(attention, torch.cat(expected.attentions), atol=1e-5)
    np.testing.assert_allclose(gpt.embed(TEXT), tales_reference.transformer.wte.weight[ids[0]].detach(), atol=0)


@pytest.mark.slow
def test_next_token_and_score_are_the_commands(gpt: gptcli.LoadedGPT, run_gptcli: Run) -> None:
    done = run_gptcli("logits", TEXT, "--top", "3", "--json", "--device", "cpu")
    odds = json.loads(done.stdout)["distributions"][0]["candidates"]
    ours = gpt.next_token(TEXT, top=3).distributions[0].candidates
    assert [candidate.id for candidate in ours] == [candidate["id"] for candidate in odds]
    assert ours[0].probability == pytest.approx(float(torch.tensor(gpt.logits(TEXT)[-1]).softmax(-1).max()), rel=1e-4)
    score = gpt.score(TEXT)
    logprobs = torch.tensor(gpt.logits(TEXT)).log_softmax(-1)
    ids = gpt.encode(TEXT)
    assert score.logprob == pytest.approx(
        sum(float(logprobs[place, token]) for place, token in enumerate(ids[1:])), abs=1e-3
    )


@pytest.mark.slow
def test_words(words: gptcli.LoadedWords) -> None:
    assert "king" in words
    assert "kingg" not in words
    king, queen = words.vector("king"), words.vector("queen")
    cosine = float(king @ queen / np.linalg.norm(king) / np.linalg.norm(queen))
    assert words.similarity("king", "queen").values[0][1] == pytest.approx(cosine, abs=1e-5)
    assert words.analogy("king-man+woman", top=1).neighbors[0].token == "queen"
    assert len(words.neighbors("tower", top=4).neighbors) == 4
    with pytest.raises(gptcli.GptcliError, match="kingg"):
        words.vector("kingg")


def test_what_they_are_is_said(gpt: gptcli.LoadedGPT, words: gptcli.LoadedWords) -> None:
    assert repr(gpt) == f"<gptcli tales: {LAYERS} layers of {gpt.config.n_head} heads, width {gpt.config.n_embd}>"
    assert "100,000 vectors of 50" in repr(words)


def test_an_unknown_name_is_an_error_with_a_hint() -> None:
    with pytest.raises(gptcli.GptcliError, match="did you mean tales"):
        gptcli.load("talse")


def test_choices_are_those_of_the_options() -> None:
    from gptcli.cli.options import Cache, Device, Dtype, Quantize

    assert get_args(choices.Device) == tuple(choice.value for choice in Device)
    assert get_args(choices.Dtype) == tuple(choice.value for choice in Dtype)
    assert get_args(choices.Quantize) == tuple(choice.value for choice in Quantize)
    assert get_args(choices.Cache) == tuple(choice.value for choice in Cache)


@pytest.mark.parametrize("option", ["device", "dtype", "quantize", "cache"])
def test_a_misspelt_choice_is_an_error_that_lists_them(option: str) -> None:
    with pytest.raises(gptcli.GptcliError, match=f"{option}='flaot16': it must be one of"):
        gptcli.load("tales", **{option: "flaot16"})  # type: ignore[arg-type]


def test_it_loads_in_8_bits() -> None:
    """As the command does: 8 bits keep the first choice here, and its logit nearly."""
    exact, rounded = (gptcli.load("tales", device="cpu", quantize=how) for how in ("none", "int8"))
    a, b = (gpt.logits("The king and the")[-1] for gpt in (exact, rounded))
    assert a.argmax() == b.argmax()
    assert 0 < abs(float(a.max() - b.max())) < 0.1


@pytest.mark.slow
def test_words_and_errors_need_no_torch(child_environment: dict[str, str]) -> None:
    script = (
        "import sys, gptcli\n"
        "assert {'load', 'load_words', 'GptcliError'} <= set(dir(gptcli)) and not hasattr(gptcli, 'lode')\n"
        "gptcli.load_words().vector('king'), gptcli.GptcliError, gptcli.load\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False", done.stderr


@pytest.mark.slow
def test_a_changed_model_is_changed_in_all_that_it_does(gpt: gptcli.LoadedGPT) -> None:
    text = "Lily and Tom went out. Lily saw"
    changed = gpt.changed(without=["mlp:2", "3.*@Tom"])
    logits = changed.logits(text)
    assert np.abs(logits - gpt.logits(text)).max() > 0.1
    residual = torch.from_numpy(changed.residual(text))
    with torch.inference_mode():
        np.testing.assert_allclose(gpt.checkpoint.model.unembed(residual[-1]).numpy(), logits, atol=1e-4)
    best = changed.next_token(text, top=1).distributions[0].candidates[0]
    assert best.id == int(logits[-1].argmax())
    assert changed.generate(text, max_new_tokens=1, temperature=0) == changed.decode([best.id])
    difference = changed.attention(text) - gpt.attention(text)
    assert np.abs(difference).max() > 0.1
    np.testing.assert_array_equal(difference, np.asarray(changed.attention(text)) - np.asarray(gpt.attention(text)))
    with pytest.raises(gptcli.GptcliError, match=f"the same layers, heads and number of tokens: {LAYERS} x {HEADS}"):
        gpt.attention(text) - gpt.attention("The king")
    assert changed.checkpoint.model is gpt.checkpoint.model
    seen = gpt.run(text, {"without": ["mlp:2", "3.*@Tom"]})
    np.testing.assert_allclose(seen.logits, logits, atol=1e-4)
    np.testing.assert_allclose(seen.attention, changed.attention(text), atol=1e-5)
    np.testing.assert_allclose(gpt.run(text).logits, gpt.logits(text), atol=1e-4)
    np.testing.assert_array_equal(changed.changed().logits(text), gpt.changed().logits(text))
    with pytest.raises(gptcli.GptcliError, match=f"layers 1 to {LAYERS}"):
        gpt.changed(without=[f"{LAYERS + 1}.1"])


@pytest.mark.slow
def test_ablate_and_patch_are_those_of_the_commands(gpt: gptcli.LoadedGPT) -> None:
    clean, corrupted = "Sara met Ben. Sara said hello to", "Sara met Ben. Ben said hello to"
    found = gpt.ablate(clean, token="Ben", versus="Sara")
    without = gpt.changed(without=["3.3"]).logits(clean)[-1]
    assert found.token is not None
    assert found.versus is not None
    ben, sara = found.token.id, found.versus.id
    assert found.whole - found.layers[2].heads[2] == pytest.approx(float(without[ben] - without[sara]), abs=1e-3)
    traced = gpt.patch(clean, corrupted, token="Ben", versus="Sara", heads=True)
    assert traced.clean.value == pytest.approx(found.whole, abs=1e-4)
    with pytest.raises(gptcli.GptcliError, match="goes with --from-text"):
        gpt.ablate(clean, by="resample")
