"""Variants of weights (``save_pretrained(variant="fp16")``), local and on the hub, whole and in shards."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config

from gptcli.checkpoint.catalogue import list_models
from gptcli.checkpoint.read import understand
from gptcli.checkpoint.source import find
from gptcli.errors import CheckpointError
from tests.checkpoint.hub_server import Hub
from tests.checkpoint.test_hub import MODEL, REPO, resolved
from tests.checkpoint.zoo import open_folder, reference

GPT2 = GPT2Config(vocab_size=31, n_positions=12, n_embd=8, n_layer=2, n_head=2)
IDS = torch.arange(24).reshape(2, 12)


@pytest.fixture(params=["1GB", "2KB"], ids=["whole", "shards"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any]:
    """A model that transformers saved as a variant, and its logits."""
    model = reference(GPT2)
    model.save_pretrained(tmp_path / "saved", variant="fp16", max_shard_size=request.param)
    with torch.inference_mode():
        return tmp_path / "saved", model(IDS).logits


def test_a_variant_is_the_model(saved: tuple[Path, Any]) -> None:
    folder, logits = saved
    assert not (folder / "model.safetensors").exists()
    _, ours = open_folder(folder)
    assert (ours(IDS) - logits).abs().max() < 1e-4
    (index, *_) = [*folder.glob("*.index.*"), folder / "model.fp16.safetensors"]
    assert find(str(index)).weights == index  # named itself
    assert understand(str(index))[2].family == "gpt2"


def test_a_variant_on_the_hub(saved: tuple[Path, Any], hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    folder, logits = saved
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub.add(REPO, {**files, "tokenizer.json": b"{}", "consolidated.safetensors": b"x"})
    looked = find(REPO, only_look=["config.json"])
    assert looked.seen is not None
    assert looked.seen.tensors.keys() == find(str(folder)).header.tensors.keys()  # type: ignore[union-attr]
    source = find(REPO)
    assert {*files} <= resolved(hub)
    assert "consolidated.safetensors" not in resolved(hub)
    _, ours = open_folder(source.folder)
    assert (ours(IDS) - logits).abs().max() < 1e-4
    asked, _ = len(hub.requests), capsys.readouterr()
    assert find(REPO).folder == source.folder
    assert len(hub.requests) == asked
    assert capsys.readouterr().err == ""  # there is nothing else
    assert [each.model for each in list_models().cached] == [REPO]


def test_a_variant_that_another_program_chose_is_told(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """The repository has the weights themselves, and they come with ``models pull``."""
    weights = MODEL["model.safetensors"]
    hub.add(REPO, {**MODEL, "model.fp16.safetensors": weights})
    folder = find(REPO).folder
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    capsys.readouterr()
    source = find(REPO)
    assert source.weights == folder / "model.fp16.safetensors"
    assert re.fullmatch(r"of owner/model the cache has model\.fp16\.safetensors only .*\n", capsys.readouterr().err)
    assert find(REPO, refresh=True).weights == folder / "model.safetensors"


def test_two_variants_and_no_plain_weights(hub: Hub) -> None:
    weights = MODEL["model.safetensors"]
    hub.add(
        REPO,
        {"config.json": MODEL["config.json"], "model.fp16.safetensors": weights, "model.bf16.safetensors": weights},
    )
    with pytest.raises(
        CheckpointError, match=r"holds only model\.bf16\.safetensors, model\.fp16\.safetensors\. Download"
    ):
        find(REPO)
    assert not resolved(hub)
