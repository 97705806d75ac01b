"""Matrices kept in 8 and 4 bits: the same model as without the file, and never of other weights."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from gptcli.checkpoint import open as checkpoints
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.shards import read_header
from gptcli.checkpoint.source import bundled_folder
from gptcli.cli import app
from gptcli.errors import GptcliError, InputError
from gptcli.model.native import library
from gptcli.model.quantize import dequantized
from gptcli.quantization import keep_quantized

pytestmark = pytest.mark.skipif(not library.available(), reason="the engine in C was not built")
IDS = [7454, 2402, 257, 640, 11, 612, 373]
BOTH = pytest.mark.parametrize("quantize", ["int8", "int4"])


@pytest.fixture
def tales(tmp_path: Path) -> Path:
    """A copy of the bundled model, with nothing kept beside it."""
    folder = tmp_path / "tales"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(bundled_folder() / "tales" / name, folder / name)
    return folder


def logits(folder: Path, quantize: Any) -> Any:
    """After each of some ids, [T, V]."""
    engine: Any = open_checkpoint(str(folder), device="cpu", quantize=quantize, to="run").engine
    engine.prefill([IDS[:1]], len(IDS))
    return engine.extend(IDS[1:])


def run(*args: str, code: int = 0) -> str:
    """What a command prints, its lines joined where it fails."""
    result = CliRunner().invoke(app, args, env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr.replace("\n", "")


def change_kept(file: Path, change: Any) -> None:
    """Write a kept file anew after ``change`` has had its tensors."""
    tensors, metadata = load_file(file), read_header(file).metadata
    change(tensors)
    save_file(tensors, file, metadata)


def zero_embedding(tensors: dict[str, Any]) -> None:
    tensors["wte.weight.scale"][:] = 0


@pytest.mark.slow
@BOTH
def test_the_same_logits_with_the_file_and_without(tales: Path, quantize: Any) -> None:
    before = logits(tales, quantize)
    kept = keep_quantized(str(tales), quantize)
    assert (kept.file.parent, kept.nbytes) == (tales / "gptcli", kept.file.stat().st_size)
    assert kept.nbytes < 0.51 * kept.model_nbytes == 0.51 * (tales / "model.safetensors").stat().st_size
    assert np.array_equal(logits(tales, quantize), before)
    # And it is really the file that was read.
    change_kept(kept.file, zero_embedding)
    assert not logits(tales, quantize).any()
    assert logits(tales, "none").any()


@pytest.mark.slow
def test_what_is_kept_is_the_rounded_matrix(tales: Path) -> None:
    kept = load_file(keep_quantized(str(tales), "int8").file)
    model = load_file(tales / "model.safetensors")
    matrices = {name for name in kept if not name.endswith(".scale")}
    assert len(matrices) == 1 + 4 * 6
    for name in ("wte.weight", "h.5.mlp.c_fc.weight"):
        weight = model[name].astype(np.float32)
        exact = dequantized(weight if name.startswith("wte") else weight.T, "int8")
        assert kept[name].dtype == np.int8
        assert np.allclose(kept[name] * kept[f"{name}.scale"][:, None], exact, rtol=1e-6, atol=0)


def test_other_weights_are_not_served_from_it(tales: Path) -> None:
    change_kept(keep_quantized(str(tales), "int8").file, zero_embedding)
    weights = tales / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert not logits(tales, "int8").any()  # of another date, and the same by its hash
    data = bytearray(weights.read_bytes())
    data[-2:] = b"\x00\x3c"
    weights.write_bytes(data)
    assert logits(tales, "int8").any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: file.write_bytes(b"not safetensors at all"),
        lambda file: save_file(load_file(file), file, {"format": "1"}),
        lambda file: save_file(load_file(file), file, {"format": "1", "files": "[{}]"}),
        lambda file: save_file(load_file(file), file, {**read_header(file).metadata, "format": "0"}),
    ],
    ids=["cut short", "other bytes", "of no files", "of an unknown file", "of another format"],
)
def test_a_file_that_cannot_be_used_is_as_none(tales: Path, damage: Any) -> None:
    before = logits(tales, "int8")
    file = keep_quantized(str(tales), "int8").file
    change_kept(file, zero_embedding)
    damage(file)
    assert np.array_equal(logits(tales, "int8"), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("h.0.attn.c_attn.weight"),
        lambda tensors: tensors.update({"wte.weight.scale": np.ones(7, np.float32)}),
        lambda tensors: tensors.update({"wte.weight": tensors["wte.weight"].view(np.uint8)}),
    ],
    ids=["a matrix less", "another shape", "another dtype"],
)
def test_a_file_that_does_not_fit_is_named(tales: Path, change: Any) -> None:
    file = keep_quantized(str(tales), "int8").file
    change_kept(file, change)
    told = run("logits", "-m", str(tales), "--quantize", "int8", "The", code=1)
    assert f"{file} does not fit its model (" in told


def test_shards_and_a_lone_file(tales: Path, tmp_path: Path) -> None:
    tensors = load_file(tales / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for part, held in parts.items():
        save_file({name: tensors[name] for name in held}, tales / part)
    before = logits(tales, "int4")
    (tales / "model.safetensors").rename(tmp_path / "lone.safetensors")
    places = {name: part for part, held in parts.items() for name in held}
    (tales / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    kept = keep_quantized(str(tales), "int4")
    assert kept.file.name == "model-00001-of-00002-int4.safetensors"
    assert np.array_equal(logits(tales, "int4"), before)
    lone = keep_quantized(str(tmp_path / "lone.safetensors"), "int8", n_head=4)
    assert lone.file == tmp_path / "gptcli" / "lone-int8.safetensors"


def test_what_cannot_be_kept(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tales / "gptcli").write_text("a file where the folder should be")
    with pytest.raises(GptcliError, match="cannot make the folder"):
        keep_quantized(str(tales), "int8")
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    with pytest.raises(InputError, match="only the engine in C"):
        keep_quantized(str(tales), "int8")


@pytest.mark.slow
def test_whoever_waits_long_is_told(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*args: str) -> str:
        result = CliRunner().invoke(app, ["logits", "-m", str(tales), *args, "The"], env={"COLUMNS": "300"})
        assert result.exit_code == 0
        return result.stderr.replace("\n", "")

    assert told("--quantize", "int4") == ""
    monkeypatch.setattr(checkpoints, "_LONG_S", 0.0)
    assert f"'gptcli models quantize {tales} int4' keeps that" in told("--quantize", "int4")
    keep_quantized(str(tales), "int4")
    assert told("--quantize", "int4") == told() == ""
    weights = load_file(tales / "model.safetensors")
    save_file({name: 2 * value for name, value in weights.items()}, tales / "model.safetensors")
    assert (
        f"model-int4.safetensors is not of these weights: 'gptcli models quantize {tales} int4' makes it anew"
        in told("--quantize", "int4")
    )


def test_the_command(tales: Path) -> None:
    done = json.loads(run("models", "quantize", str(tales), "int4", "--json"))
    file = tales / "gptcli" / "model-int4.safetensors"
    assert (done["file"], done["nbytes"], done["quantize"]) == (str(file), file.stat().st_size, "int4")
    shown = run("models", "quantize", str(tales))
    assert "int8, 17.8 MB beside 35.5 MB" in shown
    assert shown.replace("\n", "").endswith("model-int8.safetensors")
    assert "is not one of 'int8', 'int4'" in run("models", "quantize", str(tales), "int2", code=2)
