"""Matrices kept in 8 and 4 bits: the same model as without the file, and never of other weights."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from gptcli.checkpoint import open as checkpoints
from gptcli.checkpoint.files.mapped import map_file
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.read import understand
from gptcli.checkpoint.weights import content
from gptcli.checkpoint.weights import quantized_file as quantized
from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.app import app
from gptcli.errors import GptcliError, InputError
from gptcli.measuring.quantization import keep_quantized, remove_quantized
from gptcli.model.native import library
from gptcli.model.native.weights import checksum
from gptcli.model.quantize import fake_quantize
from gptcli.system.bundled import bundled_folder
from tests.made import made
from tests.tales import LAYERS

pytestmark = pytest.mark.skipif(not library.available(), reason="the engine in C was not built")
IDS = [7454, 2402, 257, 640, 11, 612, 373]
BOTH = pytest.mark.parametrize("quantize", ["int8", "int4"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, with nothing in it."""
    monkeypatch.setenv("GPTCLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tales(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return copy_of_tales(tmp_path / "tales")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small random model of GPT-2's vocabulary, for what is tried in many ways."""
    return made(tmp_path / "small", vocab_size=50_257, n_embd=32, n_layer=4, n_inner=128)


def copy_of_tales(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(bundled_folder() / "tales" / name, folder / name)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    return folder


def opened(folder: Path, quantize: Any) -> Any:
    placement = Placement(device="cpu", quantize=quantize)
    return open_checkpoint(str(folder), placement, inside=False, tokenizer="gpt2")


def logits(folder: Path, quantize: Any) -> Any:
    """After each of some ids, [T, V]."""
    engine = opened(folder, quantize).engine
    engine.prefill([IDS[:1]], len(IDS))
    return engine.extend(IDS[1:])


def run(*args: str, code: int = 0) -> str:
    """What a command prints, its lines joined where it fails."""
    result = CliRunner().invoke(app, args, env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr.replace("\n", "")


def change_kept(file: Path, change: Any, seal: bool = True) -> None:
    """Write a kept file again after ``change`` has had its tensors; with the seal of what it now holds, or the old."""
    tensors, metadata = load_file(file), read_header(file).metadata
    change(tensors)
    if seal:
        metadata["seal"] = quantized._seal(metadata, tensors, quantized._sums(tensors, 1))
    save_file(tensors, file, metadata)


def zero_embedding(tensors: dict[str, Any]) -> None:
    tensors["wte.weight.scale"][:] = 0


def negate_mlps(weights: Path) -> None:
    """Other weights under the same names: their size, and on request their date, are the same."""
    tensors, metadata = load_file(weights), read_header(weights).metadata
    save_file({name: -value if "mlp" in name else value for name, value in tensors.items()}, weights, metadata)


@pytest.mark.slow
@BOTH
def test_the_same_logits_with_the_file_and_without(tales: Path, cache: Path, quantize: Any) -> None:
    before = logits(tales, quantize)
    kept = keep_quantized(str(tales), quantize)
    assert (kept.file.parent.parent, kept.nbytes) == (cache / "quantized", kept.file.stat().st_size)
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
    matrices = {name for name in kept if not name.endswith(".scale")} - {quantized._SPARE}
    assert len(matrices) == 1 + 4 * LAYERS
    for name in ("wte.weight", f"h.{LAYERS - 1}.mlp.c_fc.weight"):
        weight = model[name].astype(np.float32)
        exact = fake_quantize(weight if name.startswith("wte") else weight.T, "int8")
        assert kept[name].dtype == np.int8
        assert np.allclose(kept[name] * kept[f"{name}.scale"][:, None], exact, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_other_weights_of_the_same_size_and_date(tales: Path) -> None:
    """As nix, tar, ``cp -p`` and ``rsync -t`` make them; in place, and by another file under the same name."""
    weights = tales / "model.safetensors"
    before = os.stat(weights)
    change_kept(keep_quantized(str(tales), "int8").file, zero_embedding)
    assert not logits(tales, "int8").any()
    negate_mlps(weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (os.stat(weights).st_size, os.stat(weights).st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert logits(tales, "int8").any()
    shutil.copy2(weights, tales / "other")
    shutil.copyfile(bundled_folder() / "tales" / "model.safetensors", weights)
    assert not logits(tales, "int8").any()
    os.replace(tales / "other", weights)
    assert logits(tales, "int8").any()


@pytest.mark.slow
def test_one_weight_between_the_samples(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is the same; ctime is not, and so all of it is hashed."""
    monkeypatch.setattr(content, "_SETTLED_NS", 0)
    change_kept(keep_quantized(str(tales), "int8").file, zero_embedding)
    weights = tales / "model.safetensors"
    before, looked = os.stat(weights), look(tales)
    assert not logits(tales, "int8").any()
    with weights.open("r+b") as file:
        file.seek(before.st_size // 2 + 20_000)
        file.write(b"\x00\x3c")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(tales).digest == looked.digest
    assert logits(tales, "int8").any()


def look(folder: Path) -> content.Fingerprint:
    header, blueprint = understand(str(folder))[1:]
    return content.fingerprint_of(header, blueprint)


@pytest.mark.slow
def test_the_same_weights_in_another_place(tales: Path, tmp_path: Path) -> None:
    change_kept(keep_quantized(str(tales), "int8").file, zero_embedding)
    other = copy_of_tales(tmp_path / "other")
    assert not logits(other, "int8").any()


def test_the_same_file_read_another_way(tales: Path, tmp_path: Path) -> None:
    """What a family makes of a file belongs to what is kept: here, square matrices that are not turned."""
    header, blueprint = understand(str(tales))[1:]
    from dataclasses import replace

    parts = {
        name: replace(part, how="as is") if name.endswith("attn.c_proj.weight") else part
        for name, part in blueprint.tensors.items()
    }
    assert content.fingerprint_of(header, replace(blueprint, tensors=parts)).digest != look(tales).digest


@pytest.mark.slow
def test_what_a_model_brings_along_is_not_read(tales: Path) -> None:
    """A folder's own quantised file, as an earlier gptcli wrote it, or as somebody else did."""
    before = logits(tales, "int8")
    file = keep_quantized(str(tales), "int8").file
    change_kept(file, zero_embedding)
    (tales / "gptcli").mkdir()
    file.rename(tales / "gptcli" / "model-int8.safetensors")
    assert np.array_equal(logits(tales, "int8"), before)
    assert opened(tales, "int8").notes == ()


BROKEN = {
    "cut short": (lambda file: file.write_bytes(file.read_bytes()[:-100]), "is cut short"),
    "other bytes": (lambda file: file.write_bytes(b"not safetensors at all"), "is not a safetensors file"),
    "of no weights": (lambda file: save_file(load_file(file), file, {"format": "2"}), "is not what its name says"),
    "of another format": (
        lambda file: save_file(load_file(file), file, {**read_header(file).metadata, "format": "1"}),
        "is not what its name says",
    ),
    "of other weights": (
        lambda file: save_file(load_file(file), file, {**read_header(file).metadata, "content": "0" * 64}),
        "is not what its name says",
    ),
    "nested metadata": (lambda file: file.write_bytes(nested()), "nested too deeply"),
    "a bit": (lambda file: flip(file), "is damaged: its checksum does not fit"),
    "names that are swapped": (lambda file: change_kept(file, swap, seal=False), "is damaged: its checksum"),
    "NaN": (lambda file: change_kept(file, nan_scale), "scales of h.3.mlp.c_fc.weight are NaN or infinity"),
    "a matrix less": (
        lambda file: change_kept(file, lambda tensors: tensors.pop("h.0.attn.c_attn.weight")),
        "does not fit its model (h.0.attn.c_attn.weight)",
    ),
    "another shape": (
        lambda file: change_kept(file, lambda tensors: tensors.update({"wte.weight.scale": np.ones(7, np.float32)})),
        "does not fit its model (wte.weight.scale)",
    ),
    "another dtype": (
        lambda file: change_kept(
            file, lambda tensors: tensors.update({"wte.weight": tensors["wte.weight"].view(np.uint8)})
        ),
        "does not fit its model (wte.weight)",
    ),
}


def nested() -> bytes:
    header = b'{"__metadata__":{"content":' + b"[" * 100_000 + b"}}"
    return len(header).to_bytes(8, "little") + header


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-len(data) // 10] ^= 4
    file.write_bytes(data)


def swap(tensors: dict[str, Any]) -> None:
    first, second = "h.0.mlp.c_fc.weight", "h.1.mlp.c_fc.weight"
    tensors[first], tensors[second] = tensors[second], tensors[first]


def nan_scale(tensors: dict[str, Any]) -> None:
    """One scale of one row: of float32, or of the halves behind the indices of 4 bits."""
    name = "h.3.mlp.c_fc.weight"
    if f"{name}.scale" in tensors:
        tensors[f"{name}.scale"][5] = np.nan
    else:
        tensors[name][5, -2:] = (0x00, 0xFC)  # -infinity


@pytest.mark.parametrize("quantize", ["int8", pytest.param("int4", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_used_is_as_none_and_is_named(small: Path, case: str, quantize: Any) -> None:
    before = logits(small, quantize)
    file = keep_quantized(str(small), quantize).file
    damage, reason = BROKEN[case]
    if case in ("another shape", "another dtype") and quantize == "int4":
        assert "wte.weight.scale" in load_file(file)  # the embedding has 8 bits in any case
    damage(file)
    checkpoint = opened(small, quantize)
    assert np.array_equal(logits(small, quantize), before)
    [note] = checkpoint.notes
    assert reason in note
    assert note.startswith(str(file))
    assert note.endswith(f": not used; 'gptcli models quantize {small} {quantize}' writes it again")
    keep_quantized(str(small), quantize)
    assert opened(small, quantize).notes == ()


@pytest.mark.slow
def test_a_command_says_what_is_broken(tales: Path) -> None:
    change_kept(keep_quantized(str(tales), "int8").file, nan_scale)
    done = CliRunner().invoke(app, ["logits", "-m", str(tales), "--quantize", "int8", "The"])
    assert done.exit_code == 0
    assert "scales of h.3.mlp.c_fc.weight are NaN or infinity" in done.stderr


@pytest.mark.slow
def test_all_is_hashed_once(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never without something kept, and with it only when the system says that the file is another."""
    hashed: list[str] = []
    plain = content._hashed

    def counted(look: content.Fingerprint) -> Any:
        hashed.append(look.digest)
        return plain(look)

    monkeypatch.setattr(content, "_hashed", counted)
    logits(tales, "int8")
    assert not hashed
    keep_quantized(str(tales), "int8")
    assert len(hashed) == 1
    # So new that it might change once more without ctime telling: nothing is recorded.
    logits(tales, "int8")
    assert len(hashed) == 2
    monkeypatch.setattr(content, "_SETTLED_NS", 0)
    for _ in range(3):
        logits(tales, "int8")
    assert len(hashed) == 3
    (tales / "model.safetensors").touch()
    logits(tales, "int8")
    assert len(hashed) == 4
    shutil.copyfile(bundled_folder() / "tales" / "model.safetensors", tales / "again")
    os.replace(tales / "again", tales / "model.safetensors")
    for _ in range(2):
        logits(tales, "int8")
    assert len(hashed) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "record", ["", "[" * 100_000, '{"content": "../../x"}', "null", '{"files": 7, "content": []}', "\xff", "{}"]
)
def test_a_broken_record_is_as_none(small: Path, cache: Path, record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_SETTLED_NS", 0)
    change_kept(keep_quantized(str(small), "int8").file, zero_embedding)
    [file] = (cache / "seen").iterdir()
    good = json.loads(file.read_text())
    for broken in (record.encode("latin-1"), json.dumps(good | {"content": "../" * 21 + "x"}).encode()):
        file.write_bytes(broken)
        assert not logits(small, "int8").any()  # hashed, and known again
        assert json.loads(file.read_text()) == good
    file.unlink()
    file.mkdir()
    assert not logits(small, "int8").any()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(tales: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds is used; what it does not hold cannot be kept, and both are said in one line or none."""
    monkeypatch.setattr(content, "_SETTLED_NS", 0)
    change_kept(keep_quantized(str(tales), "int8").file, zero_embedding)
    shutil.rmtree(cache / "seen")
    (cache / "seen").write_text("a file where the folder should be")
    checkpoint = opened(tales, "int8")
    assert checkpoint.notes == ()
    assert not logits(tales, "int8").any()
    monkeypatch.setenv("GPTCLI_CACHE", str(cache / "seen"))
    with pytest.raises(GptcliError, match=r"cannot make the folder .*GPTCLI_CACHE"):
        keep_quantized(str(tales), "int8")
    assert logits(tales, "int8").any()
    assert remove_error(str(tales)).startswith("nothing is kept of")


def remove_error(name: str) -> str:
    with pytest.raises(InputError) as caught:
        remove_quantized(name, None)
    return str(caught.value)


@pytest.mark.slow
def test_weights_that_change_while_they_are_read(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another file under the same name: once before it is kept, once after it was found to be kept."""
    weights = tales / "model.safetensors"

    def replaced(*args: Any, **options: Any) -> Any:
        shutil.copyfile(weights, tales / "new")
        os.replace(tales / "new", weights)
        return plain(*args, **options)

    from gptcli.checkpoint.weights import native_loader as native

    plain: Any = native._fill
    monkeypatch.setattr(native, "_fill", replaced)
    with pytest.raises(GptcliError, match=r"changed after it was opened: .*; try again"):
        keep_quantized(str(tales), "int8")
    assert run("models", "quantize", str(tales), "--remove", code=2).startswith("error: nothing is kept of")
    monkeypatch.undo()
    monkeypatch.setenv("GPTCLI_CACHE", str(tales / "cache"))
    keep_quantized(str(tales), "int8")
    monkeypatch.setattr(native, "_fill", replaced)
    with pytest.raises(GptcliError, match=r"changed after it was opened: .*; try again"):
        opened(tales, "int8")
    monkeypatch.setattr(native, "_fill", plain)
    plain = content._hashed
    monkeypatch.setattr(content, "_hashed", replaced)
    with pytest.raises(GptcliError, match=r"changed after it was opened: .*; try again"):
        opened(tales, "int8")


@pytest.mark.slow
def test_a_kept_file_that_is_replaced_while_it_is_read(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = keep_quantized(str(tales), "int8").file
    before, plain = logits(tales, "int8"), map_file

    def replaced(*arguments: Any) -> Any:
        shutil.copyfile(file, tales / "new")
        os.replace(tales / "new", file)
        return plain(*arguments)

    monkeypatch.setattr(quantized, "map_file", replaced)
    checkpoint = opened(tales, "int8")
    assert ["changed after it was opened" in note for note in checkpoint.notes] == [True]
    assert np.array_equal(logits(tales, "int8"), before)


@BOTH
def test_its_matrices_are_used_where_they_lie(small: Path, quantize: Any) -> None:
    """Nothing is copied: the engine's memory of a matrix is the file's, which processes share, and aligned."""
    file = keep_quantized(str(small), quantize).file
    engine = opened(small, quantize).engine
    maps = Path("/proc/self/maps").read_text().splitlines() if sys.platform == "linux" else []
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps if line.endswith(str(file))]
    for name in engine.matrices if maps else ():
        address = engine.kept(name).numbers.ctypes.data
        assert any(start <= address < end for start, end in ranges)
    assert all(info.start % 64 == 0 for info in read_header(file).tensors.values() if "mlp" in info.name)


def test_a_checksum_finds_every_changed_byte() -> None:
    numbers = np.random.default_rng(5).integers(0, 256, 203, np.uint8)
    found = {checksum(numbers[:length].data) for length in range(1, 204)}
    for index in range(203):
        for bit in (1, 128):
            numbers[index] ^= bit
            found.add(checksum(numbers.data))
            numbers[index] ^= bit
    assert len(found) == 203 + 2 * 203


@pytest.mark.slow
def test_shards_and_a_lone_file(tales: Path, tmp_path: Path) -> None:
    tensors = load_file(tales / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for part, held in parts.items():
        save_file({name: tensors[name] for name in held}, tales / part)
    (tales / "model.safetensors").rename(tmp_path / "lone.safetensors")
    places = {name: part for part, held in parts.items() for name in held}
    (tales / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    change_kept(keep_quantized(str(tales), "int4").file, zero_embedding)
    assert not logits(tales, "int4").any()
    # A shard is other weights too.
    shard = tales / "model-00002-of-00002.safetensors"
    negate_mlps(shard)
    assert logits(tales, "int4").any()
    lone = keep_quantized(str(tmp_path / "lone.safetensors"), "int8", n_head=4)
    assert lone.nbytes == lone.file.stat().st_size > 17e6


@pytest.mark.slow
def test_what_a_killed_quantize_left_is_removed(tales: Path, tmp_path: Path, cache: Path) -> None:
    """In the folder of other weights too: it may be what fills the disk."""
    other = copy_of_tales(tmp_path / "other")
    negate_mlps(other / "model.safetensors")
    folders = [keep_quantized(str(model), "int4").file.parent for model in (tales, other)]
    for folder in folders:
        (folder / ".gptcli-unfinished-killed").write_bytes(b"x" * 1000)
    keep_quantized(str(tales), "int4")
    assert sorted(path.suffix for path in (cache / "quantized").glob("*/*")) == [".safetensors"] * 2


def test_what_cannot_be_kept(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    with pytest.raises(InputError, match="only the engine in C"):
        keep_quantized(str(tales), "int8")


@pytest.mark.slow
def test_whoever_waits_long_is_told(tales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*args: str) -> str:
        result = CliRunner().invoke(
            app, ["logits", "-m", str(tales), *args, "--tokenizer", "gpt2", "The"], env={"COLUMNS": "300"}
        )
        assert result.exit_code == 0
        return result.stderr.replace("\n", "")

    assert told("--quantize", "int4") == ""
    monkeypatch.setattr(checkpoints, "_LONG_S", 0.0)
    assert f"'gptcli models quantize {tales} int4' keeps that" in told("--quantize", "int4")
    keep_quantized(str(tales), "int4")
    assert told("--quantize", "int4") == told() == ""
    negate_mlps(tales / "model.safetensors")
    (tales / "gptcli").mkdir()
    old = tales / "gptcli" / "model-int4.safetensors"
    old.touch()
    assert f"keeps that for the next time ({old}, of an earlier gptcli, is not read: delete it)" in told(
        "--quantize", "int4"
    )


@pytest.mark.slow
def test_the_commands(tales: Path, cache: Path) -> None:
    done = json.loads(run("models", "quantize", str(tales), "int4", "--json"))
    [file] = (cache / "quantized").glob("*/*-int4.safetensors")
    assert (done["file"], done["nbytes"], done["quantize"]) == (str(file), file.stat().st_size, "int4")
    shown = run("models", "quantize", str(tales))
    # A byte for each of 20,730,112 weights, and a scale of 4 bytes for each of 73,297 rows.
    assert "int8, 21.0 MB (the weights: 41.8 MB)" in shown
    assert "is not one of 'int8', 'int4'" in run("models", "quantize", str(tales), "int2", code=2)

    listed = json.loads(run("models", "list", "--json"))
    assert listed["kept_folder"] == str(cache / "quantized")
    assert [(kept["model"], kept["quantize"]) for kept in listed["kept"]] == [
        (str(tales), "int4"),
        (str(tales), "int8"),
    ]
    assert (listed["kept"][0]["file"], listed["kept"][0]["nbytes"]) == (str(file), file.stat().st_size)
    assert f"{file.parent.name}/{file.name}" in run("models", "list")
    assert json.loads(run("models", "show", str(tales), "--json"))["kept"] == listed["kept"][::-1]
    assert f"int4  {file.stat().st_size / 1e6:.1f} MB  {file}" in run("models", "show", str(tales))

    assert str(file) in run("models", "quantize", str(tales), "int4", "--remove")
    assert not file.exists()
    removed = json.loads(run("models", "quantize", str(tales), "--remove", "--json"))["removed"]
    assert [kept["quantize"] for kept in removed] == ["int8"]
    assert list((cache / "quantized").iterdir()) == []
    assert "nothing is kept of" in run("models", "quantize", str(tales), "--remove", code=2)
    assert "Kept in" not in run("models", "list")


@pytest.mark.slow
def test_what_was_kept_of_the_weights_before_makes_way(tales: Path, tmp_path: Path) -> None:
    """Of these weights, in this number of bits; and what is kept of other models stays."""
    other = copy_of_tales(tmp_path / "other")
    negate_mlps(other / "model.safetensors")
    first = [keep_quantized(str(tales), "int8"), keep_quantized(str(tales), "int4"), keep_quantized(str(other), "int4")]
    assert [kept.removed for kept in first] == [()] * 3
    tensors = load_file(tales / "model.safetensors")
    save_file({name: value * 2 for name, value in tensors.items()}, tales / "model.safetensors")
    again = keep_quantized(str(tales), "int8")
    assert [kept.file for kept in again.removed] == [first[0].file]
    assert [kept.file.exists() for kept in (*first, again)] == [False, True, True, True]
    # By name, of a model that is gone.
    shutil.rmtree(tales)
    assert {kept.file for kept in remove_quantized(str(tales), None).removed} == {first[1].file, again.file}
    assert first[2].file.exists()
