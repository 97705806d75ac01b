"""Models whose numbers grow beyond what float32 or a probability holds: one clear line, or infinity; never NaN."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.errors import CheckpointError, InputError
from gptcli.probability.distribution import watched_ids
from gptcli.tokenizer import gpt2_tokenizer, tokenizer_for
from tests.made import made

COMMANDS = [
    ["logits", "The king"],
    ["logits", "The king", "--all-positions"],
    ["score", "The king"],
    ["lens", "The king"],
    ["lens", "The king", "--token", "queen"],
    ["trace", "The king"],
    ["generate", "The king"],
]


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    larger = {"ln_f.weight": 1e38, "wte.weight": 100.0}
    return made(tmp_path_factory.mktemp("overflowing"), larger=larger)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_logits_that_overflow_are_told(overflowing: Path, command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "-m", str(overflowing)])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "the model's logits are not finite" in done.stderr
    assert "nan" not in done.stdout


def test_the_perplexity_of_the_nearly_impossible_is_infinite(tmp_path: Path) -> None:
    folder = str(made(tmp_path / "steep", larger={"ln_f.weight": 3000.0}))
    done = CliRunner().invoke(app, ["score", "Hello there my friend", "-m", folder, "--json"])
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["perplexity"]) == (0, None)
    assert answer["logprob"] < -709 * answer["scored"]
    shown = CliRunner().invoke(app, ["score", "Hello there my friend", "-m", folder])
    assert f"perplexity {math.inf}" in shown.stdout


def test_a_token_that_the_model_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--watch 'dragon' holds ' dragon' .* that the model lacks"):
        watched_ids(gpt2_tokenizer(), ["dragon"], "Once", 10_000)
    (tmp_path / "vocab.json").write_text('{"a": 0, "a</w>": 1}')
    (tmp_path / "merges.txt").write_text("a a</w>\n")
    with pytest.raises(CheckpointError, match=r"vocab.json is no tokenizer"):
        tokenizer_for(tmp_path, 2)
    (tmp_path / "vocab.json").write_text('{"a": 0, "a</w>": 1, "aa</w>": 2}')
    wordless = tokenizer_for(tmp_path, 2)
    with pytest.raises(InputError, match="has no token for it"):
        watched_ids(wordless, [" "], "a", 2)


@pytest.mark.slow
def test_a_context_without_room_to_measure_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", str(made(tmp_path / "short", n_positions=2))])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is too short to measure" in done.stderr
