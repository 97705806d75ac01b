"""``gptcli models``: the list, the download, and the card of a checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from gptcli.checkpoint.hub.names import SHORT_NAMES
from gptcli.cli.app import app
from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary
from gptcli.model.shapes import parameter_shapes
from gptcli.show.models import difference_texts
from tests.checkpoint.conftest import hub as hub  # the fixture, under the name it is asked for
from tests.checkpoint.hub_server import Hub
from tests.checkpoint.test_hub import CONFIG, MODEL, REPO, WEIGHTS, shards
from tests.tales import HEADS, LAYERS, PARAMETERS


def run(*args: str, code: int = 0) -> str:
    """What ``gptcli models ARGS`` prints, with its exit code checked."""
    result = CliRunner().invoke(app, ["models", *args], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def run_json(*args: str) -> Any:
    return json.loads(run(*args, "--json"))


@pytest.mark.slow
def test_list_is_bundled_cached_and_short_names(hub: Hub) -> None:
    hub.add("EleutherAI/pythia-70m", MODEL).push(shards(), "step1")
    hub.add("some/bert", {**MODEL, "config.json": b'{"model_type": "bert\\u001b[31m"}'})
    for name in ("pythia-70m", "pythia-70m@step1", "some/bert"):
        run("pull", name)
    listed = run_json("list")
    assert [model["model"] for model in listed["bundled"]] == ["glove-50d", "tales"]
    assert [(model["model"], model["family"], model["runs"]) for model in listed["cached"]] == [
        ("EleutherAI/pythia-70m", "gpt2", True),
        ("EleutherAI/pythia-70m@step1", "gpt2", True),
        ("some/bert", "bert\x1b[31m", False),
    ]
    assert listed["cached"][0]["nbytes"] == sum(map(len, MODEL.values()))
    assert {name["model"]: name["repo"] for name in listed["short_names"]} == SHORT_NAMES
    assert [name["model"] for name in listed["short_names"] if name["cached"]] == ["pythia-70m"]
    shown = run("list")
    assert "pythia-70m " in shown
    assert "\x1b" not in shown
    assert "bert\\x1b[31m" in shown


def test_list_without_a_cache_and_with_a_broken_one(hub: Hub, tmp_path: Path) -> None:
    assert "nothing yet" in run("list")
    broken = tmp_path / "cache" / "models--a--b"
    (broken / "refs").mkdir(parents=True)
    (broken / "refs" / "main").write_bytes(b"\xff")
    (broken / "snapshots" / ("0" * 40)).mkdir(parents=True)
    assert run_json("list")["cached"] == []


def test_short_names_are_whole_on_a_narrow_terminal(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    listed = run("list")
    assert "…" not in listed
    assert all(f" {short['model']} " in listed for short in run_json("list")["short_names"])


def test_pull_says_where_and_takes_the_newer_one(hub: Hub) -> None:
    repo = hub.add(REPO, MODEL)
    first = run_json("pull", REPO)
    assert Path(first["folder"]).name == repo.revisions["main"]
    commit = repo.push({**MODEL, "config.json": CONFIG + b" "})
    assert Path(run_json("pull", REPO)["folder"]).name == commit
    assert run("pull", REPO).splitlines()[0].startswith("owner/model  gpt2, 16")


@pytest.mark.parametrize("name", ["tales", "weights/tales"])
def test_pull_of_what_is_here(name: str) -> None:
    assert "only models on the hub are downloaded" in run("pull", name, code=2)


def test_show_reads_the_header_on_the_hub_and_downloads_no_weights(hub: Hub) -> None:
    hub.add(REPO, MODEL)
    there = run_json("show", REPO, "--keys")
    assert [file["here"] for file in there["files"]] == [True, True, False]
    assert [request.headers["range"] for request in hub.requests if request.server == "storage"] == ["bytes=0-100000"]
    assert f"model.safetensors  {len(WEIGHTS) // 1000} kB, on the hub" in run("show", REPO)
    run("pull", REPO)
    here = run_json("show", REPO, "--keys")
    assert [file.pop("here") for file in here["files"]] == [True, True, True]
    for file in there["files"]:
        del file["here"]
    assert there == here  # sizes too


def test_show_without_a_network_says_how(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "gptcli models pull openai-community/gpt2'" in run("show", "gpt2", code=2)
    assert not hub.requests


def test_show_of_a_model_from_the_hub_names_its_commit(hub: Hub) -> None:
    repo = hub.add(REPO, MODEL)
    run("pull", REPO)
    shown = run_json("show", REPO)
    assert (shown["repo"], shown["revision"], shown["commit"]) == (REPO, "main", repo.revisions["main"])
    # One tensor of 160 kB is no GPT; what there is to see is shown all the same.
    assert shown["family"] is None
    assert (shown["n_tensors"], shown["parameters"], shown["dtypes"]) == (1, 40_000, {"F32": 40_000})
    assert [file["name"] for file in shown["files"]] == ["config.json", "tokenizer.json", "model.safetensors"]
    assert shown["files"][-1]["nbytes"] == len(WEIGHTS)
    assert "gptcli cannot run it" in shown["notes"][0]


def test_show_tales() -> None:
    shown = run_json("show", "tales", "--keys")
    assert (shown["family"], shown["parameters"], shown["unlike_gpt2"]) == ("gpt2", PARAMETERS, {})
    assert shown["config"]["n_embd"] == 256
    assert shown["tokenizer"] == {
        "kind": "byte-level BPE",
        "n_vocab": 50257,
        "special_tokens": {"<|endoftext|>": 50256},
        "eos_id": 50256,
    }
    assert {fact: known["how"] for fact, known in shown["known"].items()} == {
        "family": "read",
        "config": "read",
        "eos_ids": "read",
        "dtypes": "read",
        "parameters": "counted",
        "tokenizer": "inferred",
    }
    tensors = {tensor["key"]: tensor for tensor in shown["tensors"]}
    assert set(tensors) == set(parameter_shapes(GPTConfig(n_layer=LAYERS, n_embd=256, n_head=HEADS, n_positions=512)))
    assert tensors["h.0.attn.c_attn.weight"]["done"] == "transposed"
    assert tensors["h.0.attn.c_attn.weight"]["shape"] == [256, 768]
    assert tensors["wte.weight"]["done"] == "as is"
    table = run("show", "tales", "--keys")
    assert f"{LAYERS} layers, {HEADS} heads of 64, width 256" in table
    assert "inferred: size is GPT-2's" in table


def test_show_word_vectors() -> None:
    shown = run_json("show", "glove-50d", "--keys")
    assert (shown["family"], shown["config"], shown["parameters"]) == ("word-vectors", None, 5_000_000)
    assert shown["tokenizer"]["n_vocab"] == 100_000
    assert [(tensor["shape"], tensor["done"]) for tensor in shown["tensors"]] == [([100_000, 50], "as is")]
    assert shown["notes"] == []
    assert "lower-case words, one a row, 100,000 entries" in run("show", "glove-50d")


def test_show_without_a_config_says_that_it_is_inferred(tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=100, n_positions=32, n_embd=64, n_layer=1, n_head=1)
    tensors = {
        f"transformer.{name}": np.zeros(shape[::-1] if "c_" in name and len(shape) == 2 else shape, np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    buffer = {"transformer.h.0.attn.bias": np.zeros((1, 1, 32, 32), np.float32)}
    save_file(tensors | buffer, tmp_path / "lone.safetensors")
    shown = run_json("show", str(tmp_path / "lone.safetensors"), "--keys")
    assert shown["config"]["n_embd"] == 64
    assert shown["known"]["family"] == {"how": "inferred", "source": "names of the tensors"}
    assert shown["known"]["config"] == {"how": "inferred", "source": "shapes of the tensors"}
    assert any("inferred from the shapes" in note for note in shown["notes"])
    done = {tensor["key"].removeprefix("transformer."): (tensor["ours"], tensor["done"]) for tensor in shown["tensors"]}
    assert done["h.0.attn.bias"] == (None, "skipped")
    assert done["wte.weight"] == ("wte.weight", "renamed")
    assert done["h.0.mlp.c_fc.weight"] == ("h.0.mlp.c_fc.weight", "transposed")
    assert shown["parameters"] == sum(int(np.prod(shape)) for shape in parameter_shapes(config).values())


@pytest.mark.parametrize("family", ["gpt_neox", "gpt_neo", "opt", "gptj", "openai-gpt"])
def test_show_keys_accounts_for_every_tensor_of_every_family(tmp_path: Path, family: str) -> None:
    """As transformers saves them: each key of the file stands there, and each of our parameters is made of some."""
    transformers = pytest.importorskip("transformers")
    small: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2, "hidden_size": 32, "num_hidden_layers": 2}
    more: dict[str, dict[str, Any]] = {
        "gpt_neox": {"num_attention_heads": 2, "intermediate_size": 64},
        "gpt_neo": {"num_heads": 2, "num_layers": 2, "attention_types": [[["global", "local"], 1]]},
        "opt": {"num_attention_heads": 2, "ffn_dim": 64, "word_embed_proj_dim": 32},
        "gptj": {"rotary_dim": 8},
        "openai-gpt": {},
    }
    config = transformers.AutoConfig.for_model(family, vocab_size=64, **(small | more[family]))
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    shown = run_json("show", str(tmp_path), "--keys")
    assert shown["family"] is not None, shown["notes"]
    assert len({tensor["key"] for tensor in shown["tensors"]}) == shown["n_tensors"]
    made = {tensor["ours"] for tensor in shown["tensors"]} - {None}
    wanted = set(parameter_shapes(GPTConfig(**_config(shown["config"]))))
    assert made == wanted
    assert shown["unlike_gpt2"]
    assert "unlike GPT-2" in run("show", str(tmp_path))


def test_tables_of_angles_are_said_in_a_few_words() -> None:
    tables = (
        Rotary(base=1e6, kind="llama3", factor=8.0, original=8192),
        Rotary(),
        Rotary(kind="longrope", original=4096, short_factors=(1.0,), long_factors=(2.0,)),
    )
    config = GPTConfig(
        n_layer=4, positions="rotary", rotary_dim=2, rotary=tables, rotary_layers=(0, None, 1, 1)
    )  # fmt: skip
    assert difference_texts(config, ["rotary", "rotary_layers"]) == [
        "rotary: base 1,000,000, llama3 × 8, first trained with 8,192",
        "rotary: base 10,000",
        "rotary: base 10,000, longrope, first trained with 4,096",
        "rotary_layers: 1 of 4 base 1,000,000, llama3 × 8, first trained with 8,192, 1 of 4 not rotated, "
        "2 of 4 base 10,000",
    ]


def _config(values: dict[str, Any]) -> dict[str, Any]:
    rotary = tuple(Rotary(**table) for table in values["rotary"])
    return {**values, "windows": tuple(values["windows"]), "rotary": rotary}


def test_show_of_an_unknown_model_type(tmp_path: Path) -> None:
    save_file({"a": np.zeros((2, 3), np.float16)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama\\u001b[2J"}')
    shown = run_json("show", str(tmp_path), "--keys")
    assert shown["tensors"][0]["done"] == "unused"
    table = run("show", str(tmp_path))
    assert "none that gptcli runs" in table
    assert "\x1b" not in table


def test_show_escapes_names_of_tensors_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31m"
    folder.mkdir()
    save_file({"\x1b]0;owned\x07[bold]": np.zeros(2, np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    shown = run("show", str(folder), "--keys")
    assert "\x1b" not in shown
    assert "\\x1b]0;owned\\x07[bold]" in shown


def test_show_saves_a_picture(tmp_path: Path) -> None:
    run("show", "tales", "--save", str(tmp_path / "tales.svg"))
    assert f"{PARAMETERS:,}" in (tmp_path / "tales.svg").read_text()


@pytest.mark.slow
def test_neither_torch_nor_numpy_nor_the_hubs_client_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['gptcli', 'models', 'show', 'tales', '--keys']\n"
        "from gptcli.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'numpy', 'httpx', 'httpx2', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("width", [40, 59, 60, 200])
def test_show_keeps_its_facts_at_any_width(width: int) -> None:
    shown = CliRunner().invoke(app, ["models", "show", "tales"], env={"COLUMNS": f"{width}"}).stdout
    assert all(len(line) <= width for line in shown.splitlines())
    assert f"{PARAMETERS:,}" in shown
    assert ("counted: header" in shown) == (width >= 60)
