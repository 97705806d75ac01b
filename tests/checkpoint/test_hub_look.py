"""Counting a model of a hub without fetching it: its headers only, against the same count of its files."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

from gptcli.checkpoint.hub.cached import cached_snapshot
from gptcli.checkpoint.hub.names import HubName
from gptcli.checkpoint.source import find
from gptcli.cli.app import app
from gptcli.counting.parameters import count_parameters
from gptcli.errors import CheckpointError, GptcliError, ModelNotFound
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes
from tests.checkpoint.hub_server import Fault, Hub

REPO = "owner/model"
SHAPE = GPTConfig(vocab_size=600, n_positions=64, n_embd=32, n_layer=2, n_head=4)
CONFIG = json.dumps(
    {"model_type": "gpt2", "vocab_size": 600, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
).encode()


def weights() -> dict[str, np.ndarray[Any, Any]]:
    """A GPT-2 of that shape, as Hugging Face stores it (matrices of the blocks transposed)."""
    shapes = {name: shape for name, shape in parameter_shapes(SHAPE).items() if name != "lm_head.weight"}
    return {
        name: np.zeros(shape[::-1] if name.startswith("h.") else shape, np.float16) for name, shape in shapes.items()
    }


def whole() -> dict[str, bytes]:
    return {"config.json": CONFIG, "model.safetensors": save(weights(), {"format": "pt"})}


def sharded() -> dict[str, bytes]:
    tensors = weights()
    parts = {f"model-{i + 1:05}-of-00002.safetensors": list(tensors)[i::2] for i in range(2)}
    index = {"metadata": {}, "weight_map": {key: file for file, keys in parts.items() for key in keys}}
    files = {file: save({key: tensors[key] for key in keys}) for file, keys in parts.items()}
    return {"config.json": CONFIG, "model.safetensors.index.json": json.dumps(index).encode(), **files}


@pytest.mark.parametrize("files", [whole(), sharded()], ids=["whole", "sharded"])
def test_counted_as_its_files_would_be_and_not_fetched(hub: Hub, tmp_path: Path, files: dict[str, bytes]) -> None:
    hub.add(REPO, files)
    seen = count_parameters(REPO)
    assert cached_snapshot(HubName(REPO)) is None
    ranges = [(r.path, r.headers.get("range")) for r in hub.requests if r.server == "storage"]
    assert len(ranges) == sum(name.endswith(".safetensors") for name in files)
    assert {asked for _, asked in ranges} == {"bytes=0-100000"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    here = count_parameters(str(tmp_path))
    assert seen.stored is not None
    assert here.stored is not None
    assert [path.name for path in seen.stored.files] == [path.name for path in here.stored.files]
    assert replace(seen.stored, files=()) == replace(here.stored, files=())
    assert (seen.parameters, seen.tally, seen.family, seen.notes) == (
        here.parameters,
        here.tally,
        here.family,
        here.notes,
    )
    assert find(REPO).weights is not None  # what was looked at does not keep the whole from being fetched
    assert cached_snapshot(HubName(REPO)) is not None


def test_a_cached_model_is_counted_without_a_request(hub: Hub) -> None:
    hub.add(REPO, whole())
    find(REPO)
    asked = len(hub.requests)
    assert count_parameters(REPO).parameters == sum(value.size for value in weights().values())
    assert len(hub.requests) == asked


def test_a_header_longer_than_the_first_request(hub: Hub) -> None:
    long = save(weights(), {"notes": "x" * 150_000})
    hub.add(REPO, {"config.json": CONFIG, "model.safetensors": long})
    assert count_parameters(REPO).stored is not None
    ranges = [r.headers.get("range") for r in hub.requests if r.server == "storage"]
    (length,) = struct.unpack("<Q", long[:8])
    assert ranges == ["bytes=0-100000", f"bytes=8-{length + 7}"]


def test_what_the_command_says(hub: Hub) -> None:
    hub.add(REPO, whole())
    result = CliRunner().invoke(app, ["params", REPO, "--json"])
    assert result.exit_code == 0, result.stderr
    assert result.stderr.strip() == f"reading the header of {REPO} on the hub"
    assert json.loads(result.stdout)["parameters"] == sum(value.size for value in weights().values())


def header(entries: object) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4_000)


TWICE = {key: {"dtype": "F32", "shape": [500], "data_offsets": [0, 2000]} for key in "ab"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"\xff" * 4_000, "is not a safetensors file"),
        (header(b"{" * 50), "the header is not valid JSON"),
        (header({"a": {"dtype": "F32"}}), "model.safetensors on the hub: tensor 'a' has no usable shape"),
        (header({"a": {"dtype": "F32", "shape": [7], "data_offsets": [0, 4000]}}), "is 4,000 bytes long"),
        (header({"a": {"dtype": "F32", "shape": [-1000], "data_offsets": [0, 4000]}}), "number -1000 is not between"),
        (header({"a": {"dtype": "Q7", "shape": [1000], "data_offsets": [0, 4000]}}), "unknown dtype"),
        (header({"a": {"dtype": "F32", "shape": 4, "data_offsets": "x"}}), "no usable shape"),
        (header({"a": {"dtype": "F32", "shape": [2000], "data_offsets": [0, 8000]}}), "cut short"),
        (header(TWICE), "overlaps the tensor before it"),
    ],
)
def test_what_is_no_header(hub: Hub, file: bytes, message: str) -> None:
    hub.add(REPO, {"config.json": CONFIG, "model.safetensors": file})
    with pytest.raises(CheckpointError, match=message):
        count_parameters(REPO)


def test_failures_are_those_of_a_download(hub: Hub, naps: list[float]) -> None:
    with pytest.raises(ModelNotFound, match="owner/model"):
        count_parameters(REPO)
    hub.add(REPO, whole())
    hub.faults.append(Fault("resolve", status=503, times=99))
    with pytest.raises(GptcliError, match="HTTP 503"):
        count_parameters(REPO)
