"""Every command on a checkpoint of every family, with a tokenizer of its own; their numbers are tested elsewhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.checkpoint.zoo import FAMILIES, saved

# One case of each family: the first.
NAMES = {config.model_type: name for name, config in reversed(FAMILIES.items())}
COUNT = 89  # words: no case has fewer tokens
TEXT = "w3 w14 w15 w9 w26"
COMMANDS: dict[str, tuple[str, ...]] = {
    "logits": ("logits", TEXT),
    "score": ("score", TEXT),
    "generate": ("generate", TEXT, "-n", "5", "--seed", "1"),
    "int8": ("generate", TEXT, "-n", "5", "--quantize", "int8"),
    "explain": ("generate", TEXT, "-n", "3", "--explain"),
    "lens": ("lens", TEXT, "--attribution", "--token", "w4"),
    "attention": ("attention", TEXT),
    "head": ("head", "1.2", "--tokens", "20", "--token", "w4"),
    "heads": ("head", "--all", "--tokens", "9", "--no-kind"),
    "neurons": ("neurons", TEXT, "--top", "2"),
    "passages": ("neurons", TEXT, "--neuron", "1.3"),
    "trace": ("trace", TEXT),
    "params": ("params",),
    "tokenize": ("tokenize", TEXT),
    "similarity": ("similarity", "w1", "w2"),
    "in context": ("similarity", "--in-context", "w1 [w2]", "w3 w4 [w2]"),
    "neighbors": ("neighbors", "w1"),
    "analogy": ("analogy", "w1-w2+w3"),
    "map": ("map", "w1", "w2", "w3", "w4"),
}


@pytest.fixture(scope="module", params=[pytest.param(name, id=kind) for kind, name in sorted(NAMES.items())])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    theirs, written = saved(request.param)
    folder = tmp_path_factory.mktemp("checkpoint")
    shutil.copytree(written, folder, dirs_exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({f"w{index}": index for index in range(COUNT)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return theirs, folder


@pytest.mark.slow
def test_every_command_runs(checkpoint: tuple[Any, Path]) -> None:
    theirs, folder = checkpoint
    found = {}
    for name, arguments in COMMANDS.items():
        done = CliRunner().invoke(app, [*arguments, "-m", str(folder), "--json"])
        assert done.exit_code == 0, (name, done.output, done.exception)
        found[name] = json.loads(done.stdout)
    with torch.inference_mode():
        wanted = theirs(torch.tensor([[3, 14, 15, 9, 26]])).logits[0, -1, :COUNT]
    rank_one = found["logits"]["distributions"][0]["candidates"][0]
    assert (rank_one["id"], rank_one["logit"]) == (int(wanted.argmax()), pytest.approx(float(wanted.max()), abs=1e-4))
    assert found["score"]["scored"] == 4
    assert found["tokenize"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", [NAMES[kind] for kind in ("llama", "bloom", "gemma2")], indirect=True)
def test_bench_runs(checkpoint: tuple[Any, Path]) -> None:
    done = CliRunner().invoke(app, ["bench", str(checkpoint[1]), "--contexts", "4", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
