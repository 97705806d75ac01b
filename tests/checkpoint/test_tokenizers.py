"""The tokenizer that a checkpoint is read with: its own with holes in it, another one's, or GPT-2's by guess."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.read import read_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.app import app
from gptcli.errors import CheckpointError, ModelNotFound
from gptcli.model.silent import SilentEngine
from gptcli.tokenizer import gpt2_tokenizer, tokenizer_for
from tests.made import made
from tests.tokenizer import kinds, reference
from tests.toy_engine import ToyEngine


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer gives no token to most ids between its vocabulary and its last one, nor after that."""
    folder = tmp_path_factory.mktemp("holed") / "model"
    tokenizer = kinds.KINDS["qwen2"]()
    size = tokenizer.get_vocab_size()
    made(folder, vocab_size=size + 500)
    reference.save(tokenizer, folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<last>": size + 399}))
    return folder


def test_an_id_without_a_token_is_never_drawn(holed: Path) -> None:
    what = read_checkpoint(str(holed))
    size = what.tokenizer.n_vocab - 500
    assert what.n_vocab == size + 400
    assert what.unused == tuple(range(size, size + 399))
    for device in ("c", "torch"):
        opened = open_checkpoint(str(holed), Placement(device="cpu"), inside=device == "torch")
        logits = opened.another_engine().prefill([[1, 2, 3]], 8)
        assert (logits[0, list(what.unused)] == np.float32(-1e30)).all()
        assert (np.delete(logits[0], what.unused) > -1e9).all()
    answer = run(
        "generate",
        "a hero",
        "-m",
        str(holed),
        "-t",
        "5",
        "-k",
        "0",
        "-n",
        "150",
        "--json",
        "--seed",
        "1",
        "--ignore-eos",
    )
    ids = json.loads(answer.stdout)["ids"]
    assert len(ids) > 100
    assert not set(ids) & set(what.unused)
    assert max(ids) < what.n_vocab


@pytest.mark.slow
def test_views_do_not_crash_on_ids_without_a_token(holed: Path) -> None:
    for command in (
        ["logits", "a hero", "--top", "1200"],
        ["logits", "a hero", "--all-positions"],
        ["score", "a hero wears"],
    ):
        found = run(*command, "-m", str(holed), "--json").stdout
        assert "NaN" not in found
    probability = json.loads(run("score", "a hero", "-m", str(holed), "--json").stdout)["logprob"]
    assert math.isfinite(probability)
    run("lens", "a hero", "-m", str(holed))
    run("tokenize", "--decode", "700", "-m", str(holed))


def test_a_silent_engine_passes_on_all_else() -> None:
    table = np.arange(36, dtype=np.float32).reshape(6, 6)
    engine = SilentEngine(ToyEngine(table), [2, 5])
    for logits, row in (
        (engine.prefill([[1], [3, 4]], 9), [1, 4]),
        (engine.step([0, 3]), [0, 3]),
    ):
        assert (np.delete(logits, [2, 5], axis=1) == np.delete(table[row], [2, 5], axis=1)).all()
        assert (logits[:, [2, 5]] == np.float32(-1e30)).all()
    assert table.max() == 35  # what lies below is as it was
    engine.select([1])
    engine.refill(0, [1])
    assert engine.n_positions == 1000
    assert (engine.row_bytes(4), engine.free_bytes()) == (0, None)


def test_another_tokenizer_by_folder_file_and_encoding(tmp_path: Path) -> None:
    own = made(tmp_path / "own", vocab_size=800)
    with pytest.raises(CheckpointError, match=r"has no tokenizer.*--tokenizer NAME"):
        read_checkpoint(str(own))
    other = reference.save(kinds.KINDS["llama2"](), tmp_path / "other")
    expected = tokenizer_for(other, None).encode("a hero")
    for given in (str(other), str(other / "tokenizer.json")):
        what = read_checkpoint(str(own), tokenizer=given)
        assert what.encode_prompt("a hero") == [1, *expected]
        assert what.tokenizer_notes == ()
    shown = run("logits", "a hero", "-m", str(own), "--tokenizer", str(other), "--json")
    assert json.loads(shown.stdout)["prompt_ids"] == [1, *expected]
    run("neighbors", "hero", "-m", str(own), "--tokenizer", str(other))
    run("similarity", "--in-context", "a [hero]", "the [hero]", "-m", str(own), "--tokenizer", str(other))
    large = read_checkpoint(str(own), tokenizer="gpt2")
    assert large.tokenizer.encode("a hero") == gpt2_tokenizer().encode("a hero")
    assert large.n_vocab == 800
    [note] = large.tokenizer_notes
    assert note == (
        "the tokenizer gpt2 has 50,257 tokens and the model 800: is it the one that the model was trained with?"
    )
    with pytest.raises(ModelNotFound):
        read_checkpoint(str(own), tokenizer="nowhere at all")
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        read_checkpoint(str(own), tokenizer=str(own))  # its size says nothing here


@pytest.mark.slow
def test_nothing_is_taken_for_gpt2s_without_a_note(tmp_path: Path) -> None:
    folder = made(tmp_path / "mine", vocab_size=50257, n_embd=2, n_head=1, n_inner=2)
    (folder / "tokenizer_config.json").unlink()  # which names GPT-2's
    said = f"{folder} comes without a tokenizer: by the size of its vocabulary, 50,257, it is taken to have GPT-2's"
    for command in (["tokenize", "hi"], ["generate", "hi", "-n", "1"], ["neighbors", "king"]):
        done = run(*command, "-m", str(folder))
        assert " ".join(done.stderr.split()).count(said) == 1
    assert "comes without" not in run("generate", "hi", "-n", "1", "-m", str(folder), "--tokenizer", "gpt2").stderr
    assert run("tokenize", "hi").stderr == run("generate", "hi", "-n", "1").stderr == ""
