"""From files to a GPT: every way a GPT-2 is saved, what is read of it, and the memory that takes."""

import json
import mmap
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gptcli.checkpoint.files.header import TensorInfo
from gptcli.checkpoint.open import OpenCheckpoint, open_checkpoint
from gptcli.checkpoint.weights import slices
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import choose_device, choose_dtype
from gptcli.errors import CheckpointError, InputError
from gptcli.system.bundled import bundled_folder
from tests.gpt2_reference import load_folder, random_gpt2, random_ids, worst

Tensors = dict[str, Tensor]
IDS = random_ids(2, 24)


def logits(path: Path, **options: Any) -> Tensor:
    with torch.inference_mode():
        made: Tensor = load_folder(path, **options)(IDS)
    return made


def saved(tensors: Tensors, folder: Path, config: Path | None, name: str = "model.safetensors") -> Path:
    """A folder with these tensors, and a copy of another folder's config.json."""
    folder.mkdir(exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
    if config is not None:
        (folder / "config.json").write_bytes((config / "config.json").read_bytes())
    return folder


def without_prefix(tensors: Tensors) -> Tensors:
    return {key.removeprefix("transformer."): tensor for key, tensor in tensors.items()}


def with_buffers(tensors: Tensors) -> Tensors:
    for layer in range(3):
        tensors[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 24, 24, dtype=torch.bool).tril()
        tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return tensors


def with_head(tensors: Tensors) -> Tensors:
    return tensors | {"lm_head.weight": tensors["transformer.wte.weight"].clone()}


def in_float64(tensors: Tensors) -> Tensors:
    return {key: tensor.double() for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    "changed",
    [
        lambda tensors: tensors,
        without_prefix,
        with_buffers,
        lambda tensors: without_prefix(with_buffers(tensors)),
        with_head,
        in_float64,
    ],
    ids=["as saved", "no prefix", "buffers", "buffers, no prefix", "stored tied head", "float64"],
)
def test_every_spelling_gives_the_same_model(
    changed: Callable[[Tensors], Tensors], gpt2_folder: Path, gpt2_reference: Any, tmp_path: Path
) -> None:
    folder = saved(changed(load_file(gpt2_folder / "model.safetensors")), tmp_path, gpt2_folder)
    with torch.inference_mode():
        assert worst(logits(folder), gpt2_reference(IDS).logits) < 1e-4


def test_shards(gpt2_folder: Path, gpt2_reference: Any, tmp_path: Path) -> None:
    gpt2_reference.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert not (tmp_path / "model.safetensors").exists()
    assert torch.equal(logits(tmp_path), logits(gpt2_folder))
    assert torch.equal(logits(tmp_path / "model.safetensors.index.json"), logits(gpt2_folder))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_run_in_float32(
    dtype: torch.dtype, gpt2_folder: Path, gpt2_reference: Any, tmp_path: Path
) -> None:
    tensors = {key: tensor.to(dtype) for key, tensor in load_file(gpt2_folder / "model.safetensors").items()}
    folder = saved(tensors, tmp_path, gpt2_folder)
    rounded = random_gpt2()
    rounded.load_state_dict({key: tensor.float() for key, tensor in tensors.items()}, strict=False)
    with torch.inference_mode():
        expected = rounded(IDS).logits
        assert worst(expected, gpt2_reference(IDS).logits) > 1e-3  # rounding shows
    assert worst(logits(folder), expected) < 1e-4


def test_a_lone_file(tmp_path: Path) -> None:
    """Without a config.json: heads of 64, the rest from the shapes."""
    reference = random_gpt2(n_embd=128, n_head=2, n_inner=72)
    reference.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with torch.inference_mode():
        expected = reference(IDS).logits
    assert worst(logits(tmp_path / "model.safetensors"), expected) < 1e-4
    assert worst(logits(tmp_path / "model.safetensors", n_head=2), expected) < 1e-4
    assert worst(logits(tmp_path / "model.safetensors", n_head=4), expected) > 1e-2
    with pytest.raises(CheckpointError, match="3 heads"):
        logits(tmp_path / "model.safetensors", n_head=3)


def test_a_lone_file_of_another_width_asks_for_its_heads(tmp_path: Path) -> None:
    reference = random_gpt2()
    reference.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match="--n-head"):
        logits(tmp_path / "model.safetensors")
    with torch.inference_mode():
        assert worst(logits(tmp_path / "model.safetensors", n_head=4), reference(IDS).logits) < 1e-4


def test_what_was_inferred_is_said(tmp_path: Path) -> None:
    random_gpt2(n_embd=64, n_head=1, vocab_size=50257, n_layer=1).save_pretrained(tmp_path)
    assert open_checkpoint(str(tmp_path), Placement(device="cpu")).what.blueprint.notes == ()
    (tmp_path / "config.json").unlink()
    (note,) = open_checkpoint(str(tmp_path), Placement(device="cpu")).what.blueprint.notes
    for fact in ("1 layer", "64", "24 positions", "50,257"):
        assert fact in note


def test_a_gpt2_vocabulary_without_a_tokenizer_is_gpt2s_and_its_padding_is_no_token(tmp_path: Path) -> None:
    random_gpt2(vocab_size=50304, n_layer=0).save_pretrained(tmp_path)
    opened = open_checkpoint(str(tmp_path), Placement(device="cpu"))
    assert opened.tokenizer.encode("Hello world") == [15496, 995]
    assert opened.n_vocab == 50257


def test_another_vocabulary_without_a_tokenizer_is_refused(gpt2_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="no tokenizer"):
        open_checkpoint(str(gpt2_folder), Placement(device="cpu"))


@pytest.mark.slow
def test_the_bundled_model_is_an_ordinary_folder(tales: OpenCheckpoint, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(bundled_folder() / "tales" / name)
    copy = open_checkpoint(str(tmp_path), Placement(device="cpu"))
    ids = torch.tensor([tales.tokenizer.encode("Once upon a time")])
    with torch.inference_mode():
        assert torch.equal(copy.model(ids), tales.model(ids))
    assert copy.eos_ids == tales.eos_ids == (50256,)
    assert not tales.model.training
    assert not any(parameter.requires_grad for parameter in tales.model.parameters())


# Broken weights


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, -1])
def test_a_broken_weight_is_named(value: float, place: int, gpt2_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(gpt2_folder / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"].view(-1)[place] = value
    with pytest.raises(CheckpointError, match=r"transformer\.h\.1\.mlp\.c_fc\.weight .* NaN or infinity"):
        logits(saved(tensors, tmp_path, gpt2_folder))


def test_large_weights_whose_sum_overflows_are_fine(gpt2_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(gpt2_folder / "model.safetensors")
    tensors["transformer.wpe.weight"][0] = 3e38
    load_folder(saved(tensors, tmp_path, gpt2_folder))


def test_a_weight_too_large_for_the_type_is_no_broken_file(gpt2_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(gpt2_folder / "model.safetensors")
    tensors["transformer.wpe.weight"][0] = 1e5
    folder = saved(tensors, tmp_path, gpt2_folder)
    load_folder(folder, torch.bfloat16)
    with pytest.raises(InputError, match=r"too large for float16.*--dtype"):
        load_folder(folder, torch.float16)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (lambda tensors: tensors.pop("transformer.h.2.ln_2.bias"), "missing h.2.ln_2.bias"),
        (lambda tensors: tensors.update({"transformer.h.7.ln_2.bias": torch.ones(32)}), "h.7.ln_2.bias"),
        (lambda tensors: tensors.update({"transformer.wpe.weight": torch.ones(25, 32)}), "transformer.wpe.weight"),
        (lambda tensors: tensors.update({"transformer.ln_f.bias": torch.ones(32).int()}), "transformer.ln_f.bias"),
    ],
    ids=["missing", "surplus", "misshapen", "integer"],
)
def test_tensors_that_do_not_fit_are_named(
    changed: Callable[[Tensors], Any], named: str, gpt2_folder: Path, tmp_path: Path
) -> None:
    tensors = load_file(gpt2_folder / "model.safetensors")
    changed(tensors)
    with pytest.raises(CheckpointError, match=named):
        logits(saved(tensors, tmp_path, gpt2_folder))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match=r"no \.safetensors"):
        open_checkpoint(str(tmp_path))


# What is read, and the memory it takes


def test_unneeded_tensors_are_never_read(gpt2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def watched(memory: mmap.mmap, info: TensorInfo) -> Tensor:
        read.append(info.name)
        return of(memory, info)

    of = slices._tensor

    tensors = load_file(gpt2_folder / "model.safetensors")
    folder = saved(with_head(with_buffers(dict(tensors))), tmp_path, gpt2_folder)
    monkeypatch.setattr(slices, "_tensor", watched)
    load_folder(folder)
    assert sorted(read) == sorted(tensors)


MEMORY = """
import json, sys, threading, time, torch
from pathlib import Path
from tests.gpt2_reference import load_folder

def memory():
    lines = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
    return {key: int(lines[key].split()[0]) * 1024 for key in ("RssAnon", "RssFile")}

load_folder(Path(sys.argv[1]))  # imports and the allocator's first steps do not count
before, peak, done = memory(), {}, False
def watch():
    while not done:
        for key, value in memory().items():
            peak[key] = max(peak.get(key, 0), value - before[key])
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
model = load_folder(Path(sys.argv[2]))
done = True
watcher.join()
after = {key: value - before[key] for key, value in memory().items()}
size = sum(p.numel() * 4 for p in model.parameters())
print(json.dumps({"size": size, "peak": peak, "after": after}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process' memory by kind")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_loading_does_not_hold_two_copies(
    dtype: torch.dtype, gpt2_folder: Path, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    model = random_gpt2(n_embd=512, n_head=8, n_layer=12, vocab_size=5000)
    model.to(dtype).save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, gpt2_folder, tmp_path],
        env=child_environment,
        capture_output=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    size, own = found["size"], found["peak"].get("RssAnon", 0)
    assert size > 150e6
    if dtype == torch.float32:
        assert own < 0.1 * size  # the weights are the file's own pages
        assert 0.9 * size < found["after"]["RssFile"] < 1.1 * size
    else:
        assert 0.9 * size < own < 1.15 * size  # one converted copy, one tensor at a time
        assert found["after"]["RssFile"] < 0.6 * size


# Devices and types


def test_devices_and_types() -> None:
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("float16", cpu) == torch.float16
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"--device cuda: .*cpu"):
            choose_device("cuda")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else choose_device("auto").type)


def test_types_reach_every_weight(gpt2_folder: Path) -> None:
    assert {parameter.dtype for parameter in load_folder(gpt2_folder, torch.bfloat16).parameters()} == {torch.bfloat16}
