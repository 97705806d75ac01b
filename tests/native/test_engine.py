"""The engine in C beside the PyTorch one: the same logits, for every shape, kind of weight and instruction set."""

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights import native_loader
from gptcli.checkpoint.weights.native_loader import load_native, why_not_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import CheckpointError, InputError
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.native import library
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind, why_not
from gptcli.model.quantize import LEVELS, fake_quantize, kind_of
from gptcli.model.torch_engine import TorchEngine
from tests.checkpoint.zoo import CONFIGS, FAMILIES, few, reference, understand
from tests.held_out import held_out_ids, perplexity

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
LEVELS_HERE = sorted({library.kernels(level): level for level in range(library.BEST + 1)}.values())
SHAPES = {
    "as gpt2": GPTConfig(vocab_size=97, n_positions=160, n_embd=64, n_layer=2, n_head=4),
    "odd": GPTConfig(vocab_size=101, n_positions=70, n_embd=66, n_layer=3, n_head=3, n_inner=77, activation="gelu"),
    "bare": GPTConfig(
        vocab_size=64, n_positions=64, n_embd=32, n_layer=1, n_head=1, qkv_bias=False, attention_bias=False,
        mlp_bias=False, norm_bias=False, norm_weight=False, activation="relu", tied=False, unembedding_bias=True,
        position_offset=2, scale_attention=False,
    ),
    "wide heads": GPTConfig(vocab_size=80, n_positions=64, n_embd=160, n_layer=2, n_head=2),
}  # fmt: skip


def random_model(config: GPTConfig, seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    model = GPT(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        scale = weight.shape[-1] ** -0.5 if weight.dim() == 2 else 0.3
        weight.normal_(1.0 if "ln_" in name and name.endswith("weight") else 0.0, scale)
    return model


def in_c(model: GPT, kind: Kind = "F32", level: int = library.BEST) -> NativeEngine:
    engine = NativeEngine(model.config, threads=2, level=level)
    for name, weight in model.named_parameters():
        kept: Any = kind_of(name, kind) if kind in ("int8", "int4") else kind
        assert engine.fill(name, weight.contiguous().numpy(), "F32", kept)
    return engine


def both(model: GPT, engine: NativeEngine, rows: list[list[int]], more: list[list[int]]) -> float:
    """The largest difference of any logit, over a prefill and steps."""
    theirs = TorchEngine(model)
    capacity = max(map(len, rows)) + len(more)
    worst = np.abs(engine.prefill(rows, capacity) - theirs.prefill(rows, capacity)).max()
    for ids in more:
        worst = max(worst, np.abs(engine.step(ids) - theirs.step(ids)).max())
    return float(worst)


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_pytorch(shape: str, level: int) -> None:
    model = random_model(SHAPES[shape])
    ids = np.random.default_rng(1).integers(0, 64, 60).tolist()
    for rows in ([ids[:1]], [ids[:20]], [ids[:50]], [ids[:9], ids[3:30], ids[5:6]], [ids[:n] for n in range(1, 12)]):
        more = np.random.default_rng(2).integers(0, 64, (5, len(rows))).tolist()
        assert both(model, in_c(model, level=level), rows, more) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("kind", ["F16", "BF16", "int8", "int4"])
def test_kinds_of_weights_are_what_they_say(kind: Any, level: int) -> None:
    model = random_model(SHAPES["as gpt2"])
    rounded = random_model(SHAPES["as gpt2"])
    for name, weight in rounded.named_parameters():
        if weight.dim() == 2 and name != "wpe.weight":
            if kind in ("int8", "int4"):
                kept = fake_quantize(weight.numpy(), kind_of(name, kind))
                weight.copy_(torch.from_numpy(kept))
            else:
                weight.copy_(weight.to(torch.float16 if kind == "F16" else torch.bfloat16).float())
    # 8-bit weights meet activations in 16 bits. Where a weight lies in the middle between two levels, either may be
    # taken: a few 4-bit ones do.
    most = {"int8": 5e-4, "int4": 2e-2}.get(kind, 1e-4)
    ids = np.random.default_rng(1).integers(0, 64, 160).tolist()
    for length in (40, 140):
        more = [[token] for token in ids[length : length + 20]]
        assert both(rounded, in_c(model, kind, level), [ids[:length]], more) < most


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_prompts_are_as_exact_as_float32(kind: Any, level: int) -> None:
    """Against float64, and not much farther from it than PyTorch's float32: some channels and weights are large."""
    config = GPTConfig(vocab_size=97, n_positions=128, n_embd=576, n_layer=2, n_head=9)
    model, generator = random_model(config), np.random.default_rng(4)
    model.wpe.weight[:, [3, 500]] += 30.0
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and name not in ("wpe.weight", "lm_head.weight"):
            heavy = torch.from_numpy(generator.standard_t(5, weight.shape)).float() * weight.shape[-1] ** -0.5
            weight.copy_(heavy.to({"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]))
    prompts = generator.integers(0, 97, (4, 100))
    exact = copy.deepcopy(model).double()(torch.from_numpy(prompts))[:, -1].numpy()
    engine = in_c(model, kind, level)
    ours = np.concatenate([engine.prefill([prompt], 128) for prompt in prompts.tolist()])
    theirs = model(torch.from_numpy(prompts))[:, -1].numpy()
    assert np.square(ours - exact).mean() < 3 * np.square(theirs - exact).mean()


@pytest.mark.parametrize("level", LEVELS_HERE)
def test_the_largest_weight_of_a_row_may_have_any_digits(level: int) -> None:
    """Where numbers become whole ones, the largest is on one side of a power of two's share or the other."""
    model = random_model(SHAPES["as gpt2"])
    largest = np.array([0x3FFEFEFE, 0x3FFEFEFF, 0x3FFEFF00, 0x3FFFFFFF, 0x3F800000], np.uint32).view(np.float32)
    weight: Any = model.h[0].mlp.c_fc.weight  # type: ignore[union-attr]
    weight[: len(largest), 7] = torch.from_numpy(largest)
    weight[len(largest) : 2 * len(largest), 9] = torch.from_numpy(-largest)
    assert both(model, in_c(model, level=level), [list(range(40))], [[5]]) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS_HERE)
# More than two spans of 1,024, in whole groups of 32 and not; less than one.
@pytest.mark.parametrize("hidden", [2080, 2112, 2100, 77])
@pytest.mark.parametrize("kind", ["F32", "int8", "int4"])
def test_long_rows_have_several_steps(kind: Any, hidden: int, level: int) -> None:
    config = GPTConfig(vocab_size=97, n_positions=128, n_embd=96, n_layer=2, n_head=3, n_inner=hidden)
    model, rounded = random_model(config), random_model(config)
    for name, weight in rounded.named_parameters():
        if weight.dim() == 2 and name != "wpe.weight" and kind != "F32":
            weight.copy_(torch.from_numpy(fake_quantize(weight.numpy(), kind_of(name, kind))))
    steps = np.random.default_rng(1).integers(0, 97, (6, 11)).tolist()
    most = {"F32": 1e-4, "int8": 5e-4, "int4": 2e-2}[kind]
    for rows in (1, 11):
        assert both(rounded, in_c(model, kind, level), [[3, 5]] * rows, [ids[:rows] for ids in steps]) < most
    for length in (49, 61, 121):  # prompts that no tile divides
        prompt = np.random.default_rng(2).integers(0, 97, length).tolist()
        assert both(rounded, in_c(model, kind, level), [prompt], [[3], [5]]) < most


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize(
    ("kind", "hidden", "lost"),
    [("int8", 256, (0.01, 0.1)), ("int8", 2112, (0.01, 0.2)), ("int4", 256, (0.05, 0.5))],
)
def test_weights_that_are_a_million_times_larger(kind: Any, hidden: int, lost: tuple[float, float], level: int) -> None:
    """One in each matrix. What 8 bits cannot hold is lost in PyTorch as well: the other weights of that row, which are
    less than half a step. The engine loses nothing else, though the activations that such a row makes dwarf the others
    of their thousand: of the largest logit a thousandth (without what 16 bits leave of them: 0.78)."""
    model = random_model(GPTConfig(vocab_size=97, n_positions=64, n_embd=64, n_layer=2, n_head=4, n_inner=hidden))
    generator = np.random.default_rng(0)
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and name != "wpe.weight":
            weight[generator.integers(0, weight.shape[0]), generator.integers(0, weight.shape[1])] = 1e6
    rounded = copy.deepcopy(model)
    for name, weight in rounded.named_parameters():
        if weight.dim() == 2 and name != "wpe.weight":
            weight.copy_(torch.from_numpy(fake_quantize(weight.numpy(), kind_of(name, kind))))
    ids = generator.integers(0, 97, 40).tolist()
    exact, expected = (copy.deepcopy(of).double()(torch.tensor([ids]))[0].numpy() for of in (model, rounded))
    largest = np.abs(expected).max()
    assert lost[0] < np.abs(rounded(torch.tensor([ids]))[0].numpy() - exact).max() / np.abs(exact).max() < lost[1]
    engine = in_c(model, kind, level)
    engine.prefill([ids[:1]], 64)
    steps = [engine.step([token])[0] for token in ids[1:]]
    engine.prefill([ids[:1]], 64)
    for said in (np.stack(steps), engine.extend(ids[1:])):
        assert np.abs(said - expected[1:]).max() < 1e-3 * largest
        assert lost[0] < np.abs(said - exact[1:]).max() / np.abs(exact).max() < lost[1]
    # And each row of a batch is what it is alone, whatever the others need.
    rows = [ids[:9], [5, 6, 7], ids[9:30]]
    together = engine.prefill(rows, 64)
    assert all(np.array_equal(engine.prefill([row], 64)[0], one) for row, one in zip(rows, together, strict=True))


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("kind", ["F32", "int8", "int4"])
def test_what_overflows_is_not_hidden(kind: Any, level: int) -> None:
    model = random_model(SHAPES["as gpt2"])
    model.h[1].ln_2.weight.fill_(3e38)  # type: ignore[union-attr,operator]
    engine = in_c(model, kind, level)
    assert not np.isfinite(engine.prefill([[1]], 8)).any()
    assert not np.isfinite(engine.step([2])).any()
    assert not np.isfinite(engine.prefill([[1] * 100], 128)).any()


@pytest.mark.skipif(library.kernels() != "avx512 and amx", reason="a compiler that knows AMX knows VNNI too")
def test_what_the_compiler_knows_is_there() -> None:
    assert library.kernels(library.BEST - 1) == "avx512 and vnni"
    assert library.kernels(2) == ("avx2 and vnni" if " avx_vnni " in FLAGS else "avx2")


@pytest.mark.parametrize("kind", ["F32", "int8", "int4"])
def test_a_text_comes_out_the_same_alone_and_in_a_batch(kind: Any) -> None:
    model = random_model(SHAPES["as gpt2" if kind == "int4" else "odd"])
    engine = in_c(model, kind)
    rows = np.random.default_rng(1).integers(0, 64, (11, 20)).tolist()
    together = [engine.prefill(rows, 64), *(engine.step([7] * 11) for _ in range(3))]
    for index, row in enumerate(rows):
        alone = [engine.prefill([row], 64), *(engine.step([7]) for _ in range(3))]
        for a, b in zip(alone, together, strict=True):
            assert np.array_equal(a[0], b[index])


def test_rows_come_and_go_as_in_pytorch() -> None:
    model = random_model(SHAPES["as gpt2"])
    engines = in_c(model), TorchEngine(model)
    said = []
    for engine in engines:
        engine.prefill([[1, 2, 3], [4, 5], [6]], 20)
        engine.select([2, 0, 0])
        engine.refill(1, [9, 8, 7, 6])
        said.append(engine.step([10, 11, 12]))
    assert np.abs(said[0] - said[1]).max() < 1e-4


def test_several_tokens_at_once_are_as_single_steps() -> None:
    engine = in_c(random_model(SHAPES["as gpt2"]))
    engine.prefill([[1, 2, 3]], 40)
    single = [engine.step([token])[0] for token in (4, 5, 6, 7)]
    engine.rewind(4)
    assert np.array_equal(engine.extend([4, 5, 6, 7]), np.array(single))
    engine.rewind(2)
    assert np.array_equal(engine.step([6])[0], single[2])


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("width", [4, 8, 12])
def test_tiny_shapes(width: int, level: int) -> None:
    """Long prompts take less room a thread than their last norm, where the model is narrow."""
    model = random_model(GPTConfig(vocab_size=20, n_positions=40, n_embd=width, n_layer=1, n_head=2))
    rows = [list(range(9)), [3], list(range(19))]
    for row in rows:
        assert both(model, in_c(model, level=level), [row], [[5]]) < 1e-4


def test_a_row_cannot_outgrow_its_room() -> None:
    engine = in_c(random_model(SHAPES["as gpt2"]))
    engine.prefill([[1, 2, 3]], 4)
    engine.step([4])
    with pytest.raises(IndexError, match="position 4"):
        engine.step([5])


def test_engines_beside_each_other_do_not_meet() -> None:
    first = in_c(random_model(SHAPES["as gpt2"]))
    first.prefill([[1, 2, 3]], 10)
    expected = first.step([4])
    first.rewind(1)
    second = first.new_session()
    second.prefill([[9, 8], [7]], 60)
    assert np.array_equal(first.step([4]), expected)
    del first
    assert np.array_equal(second.new_session().prefill([[1, 2, 3]], 10), second.prefill([[1, 2, 3]], 10))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_runs_a_model_of_its_own() -> None:
    """Of threads that slept in the parent the child has nothing but their traces."""
    script = (
        "import os, time, gptcli\n"
        "def write(): return gptcli.load('tales', device='cpu').generate('Once', seed=1, max_new_tokens=3)\n"
        "text = write(); time.sleep(0.2)\n"
        "child = os.fork()\n"
        "for _ in range(3):\n"
        "    assert write() == text; time.sleep(0.05)\n"
        "print('child' if child == 0 else os.waitpid(child, 0)[1], flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["child", "0"], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("busy", ["turn.acquire()", "Thread(target=write_on, daemon=True).start(); time.sleep(0.2)"])
def test_a_child_of_a_process_that_generates(busy: str) -> None:
    """Also where the thread that read when the process forked had the engine to itself."""
    script = (
        "import os, time, warnings, gptcli\nfrom threading import Thread\n"
        "warnings.simplefilter('ignore')\n"
        "gpt = gptcli.load('tales', device='cpu')\n"
        "def write(): return gpt.generate('Once', seed=1, max_new_tokens=3)\n"
        "def write_on():\n    while True: gpt.generate('Once', max_new_tokens=50, ignore_eos=True)\n"
        "text = write()\n"
        "turn = gpt.checkpoint.engine._owner.turn\n"
        f"{busy}\n"
        "for _ in range(4):\n"
        "    if not (child := os.fork()):\n"
        "        os._exit(write() != text)\n"
        "    print(os.waitpid(child, 0)[1], flush=True)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0"] * 4, done.stderr


class Interrupted:
    """The library, and Ctrl-C after so many calls that read."""

    def __init__(self, found: Any, calls: int) -> None:
        self._found, self.calls = found, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def gptcli_read(self, *arguments: Any) -> int:
        if not self.calls:
            raise KeyboardInterrupt
        self.calls -= 1
        return int(self._found.gptcli_read(*arguments))


def test_ctrl_c_is_heard_between_the_layers_of_a_prompt() -> None:
    engine = in_c(random_model(SHAPES["odd"]))
    ids = np.random.default_rng(3).integers(0, 64, (2, 40)).tolist()
    expected = [engine.prefill(ids, 64), engine.step([5, 6])]
    found = engine._library
    for calls in range(4):  # three layers, and the logits
        engine._library = Interrupted(found, calls)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            engine.prefill(ids, 64)
    engine._library = found
    for a, b in zip(expected, [engine.prefill(ids, 64), engine.step([5, 6])], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", CONFIGS)
def test_checkpoints_of_families(name: str, tmp_path: Path) -> None:
    theirs = reference(CONFIGS[name])
    theirs.save_pretrained(tmp_path)
    blueprint, header = understand(tmp_path)
    placement = Placement(device="cpu", dtype="float32")
    reason = why_not_native(blueprint, placement)
    assert reason == why_not(blueprint.config) == library.unavailable()
    engine = load_native(blueprint, header, placement)
    ids = np.random.default_rng(4).integers(0, 80, 40).tolist()
    with torch.inference_mode():
        said = theirs(torch.tensor([ids])).logits[0].numpy()
    found = [engine.prefill([ids[:12]], 64), engine.extend(ids[12:30]), *(engine.step([token]) for token in ids[30:])]
    assert np.abs(np.concatenate(found) - said[11:]).max() < 1e-4
    engine.rewind(25)
    assert np.abs(engine.extend(ids[15:]) - said[15:]).max() < 1e-4


@pytest.mark.parametrize("shift", [0, 1, 8])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_matrices_are_used_where_they_lie_in_the_file(shift: int, dtype: str, tmp_path: Path) -> None:
    """Those that are stored as they are used; an odd address, or the end of the file, takes a copy."""
    reference(FAMILIES["llama"]).to(getattr(torch, dtype)).save_pretrained(tmp_path / "theirs")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs", dtype=torch.float32)
    file = shutil.copytree(tmp_path / "theirs", tmp_path / "ours") / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    file.write_bytes((length + shift).to_bytes(8, "little") + data[8 : 8 + length] + b" " * shift + data[8 + length :])
    engine = load_native(*understand(file.parent), Placement("cpu"))
    borrowed = {name for name in engine.matrices if not owns(engine, name)}
    assert borrowed == (set() if shift == 1 else {n for n in engine.matrices if not n.endswith("c_attn.weight")})
    ids = np.random.default_rng(4).integers(0, 80, 20).tolist()
    with torch.inference_mode():
        said = theirs(torch.tensor([ids])).logits[0, -1].numpy()
    assert np.abs(engine.prefill([ids], 64)[0] - said).max() < 1e-4


def owns(engine: NativeEngine, name: str) -> bool:
    """Whether a matrix is in the engine's own memory."""
    address = engine.kept(name).numbers.ctypes.data
    return all(address != stored.numbers.ctypes.data for stored in engine._borrowed)


@pytest.mark.parametrize("name", few(FAMILIES))
@pytest.mark.parametrize(
    "options", [{"dtype": "float32"}, {"dtype": "float16"}, {"quantize": "int8"}, {"quantize": "int4"}]
)
def test_large_matrices_are_filled_some_rows_at_a_time(
    name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference(FAMILIES[name]).save_pretrained(tmp_path)
    placement = Placement("cpu", **options)
    whole = load_native(*understand(tmp_path), placement, ignore_cache=True)
    monkeypatch.setattr(native_loader, "_AT_ONCE", 5000)
    monkeypatch.setattr(native_loader, "_CHECKED_AT_ONCE", 70)
    parts = load_native(*understand(tmp_path), placement, ignore_cache=True)
    assert whole.matrices == parts.matrices
    for matrix in whole.matrices:
        one, other = whole.kept(matrix), parts.kept(matrix)
        assert np.array_equal(one.numbers, other.numbers)
        assert one.scales is None or np.array_equal(one.scales, [] if other.scales is None else other.scales)


@pytest.mark.parametrize(
    ("system", "gpu", "ours"),
    [("linux", False, True), ("linux", True, False), ("darwin", True, True), ("win32", False, False)],
)
def test_where_it_is_the_first_choice(
    system: str, gpu: bool, ours: bool, gpt2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Mac's GPU shares the memory that bounds a step; of another one nobody knows before torch is asked."""
    blueprint, _ = understand(gpt2_folder)
    exists = Path.exists
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "exists", lambda path: gpu if str(path).startswith("/dev/") else exists(path))
    reason = why_not_native(blueprint, Placement(quantize="int8"))
    assert (reason is None) == (ours and library.available())
    assert why_not_native(blueprint, Placement(device="mps")) is not None


def test_tales(tales: Any, tales_reference: Any) -> None:
    engine = open_checkpoint("tales", Placement(device="cpu"), inside=False).engine
    if not library.available():
        pytest.skip("switched off")
    assert isinstance(engine, NativeEngine)
    ids = tales.tokenizer.encode("Once upon a time there was a little girl who lived in a wood")
    with torch.inference_mode():
        said = tales_reference(torch.tensor([ids])).logits[0, -1].numpy()
    assert np.abs(engine.prefill([ids], 64)[0] - said).max() < 1e-4


def test_broken_weights_are_named(gpt2_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(gpt2_folder / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"][3, 4] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((gpt2_folder / "config.json").read_bytes())
    blueprint, header = understand(tmp_path)
    with pytest.raises(CheckpointError, match=r"h\.1\.mlp\.c_fc\.weight\) holds NaN or infinity: the file is broken"):
        load_native(blueprint, header, Placement(device="cpu"))


def as_dtype(values: Any, dtype: str) -> Any:
    """Numbers as a file of this dtype has them, and as float32: bfloat16 are the upper halves of float32 (uint16)."""
    if dtype != "BF16":
        stored = values.astype({"F32": np.float32, "F16": np.float16}[dtype])
        return stored, stored.astype(np.float32)
    stored = torch.from_numpy(values).bfloat16()
    return stored.view(torch.uint16).numpy(), stored.float().numpy()


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("shape", [(37, 45), (64, 96), (1, 1), (100, 64)])
def test_matrices_are_kept_as_they_are_stored(shape: tuple[int, int], dtype: str, level: int) -> None:
    """Turned or not, in every kind: against numpy's and torch's rounding."""
    engine = NativeEngine(SHAPES["as gpt2"], threads=2, level=level)
    drawn = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    # Of halves and of bfloat16: what is subnormal, ties, and nearly too large.
    borders = [
        2**-24,
        2**-25,
        -3 * 2**-25,
        2**-14 - 2**-25,
        1 + 2**-11,
        -1 - 3 * 2**-11,
        1 + 2**-8,
        1 + 3 * 2**-8,
        65280.0,
    ]
    drawn.flat[1 : 1 + len(borders)] = borders[: drawn.size - 1]
    stored, values = as_dtype(drawn, dtype)
    largest = np.abs(values).max(axis=1)
    expected = {kind: as_dtype(values, kind)[0] for kind in ("F32", "F16", "BF16")}
    expected["int8"] = np.rint(values * (np.float32(127) / largest)[:, None]).astype(np.int8)
    for kind, numbers in expected.items():
        for transposed in (False, True):
            given_ = np.ascontiguousarray(stored.T) if transposed else stored
            assert engine.fill("h.0.mlp.c_fc.weight", given_, dtype, kind, transposed)  # type: ignore[arg-type]
            kept = engine.kept("h.0.mlp.c_fc.weight")
            assert kept.numbers.tobytes() == numbers.tobytes(), (kind, transposed)
            if kept.scales is not None:
                np.testing.assert_allclose(kept.scales, largest / 127, rtol=1e-6)


def test_it_runs_every_shape() -> None:
    assert {why_not(config) for config in SHAPES.values()} == {library.unavailable()}


def test_shapes_it_does_not_know_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = {"a gate": lambda config: config.gated, "one head": lambda config: config.n_head == 1}
    monkeypatch.setattr("gptcli.model.native.weights._UNKNOWN", unknown)
    monkeypatch.setattr("gptcli.model.native.weights.unavailable", lambda: None)
    assert why_not(SHAPES["as gpt2"]) is None
    assert why_not(replace(SHAPES["bare"], gated=True)) == "the engine in C does not run models with a gate, one head"


@pytest.mark.slow
@given(st.integers(0, 2**32), st.sampled_from(["int8", "int4"]))
@settings(max_examples=50)
def test_quantized_rows_stay_near(seed: int, kind: Any) -> None:
    generator = np.random.default_rng(seed)
    matrix = (generator.standard_normal((5, 64)) * 10.0 ** generator.integers(-4, 4)).astype(np.float32)
    error = np.abs(fake_quantize(matrix, kind) - matrix).max(axis=1)
    largest = np.abs(matrix).max(axis=1)
    # int8: half a step. int4: what lies beyond the last level on the side where the largest weight is not.
    allowed = 0.5 / 127 if kind == "int8" else 1 - float(LEVELS[-1]) / 151 + 0.03
    assert (error <= allowed * largest * 1.001 + 1e-12).all()


def test_quantized_zeros_are_zeros() -> None:
    kinds: tuple[Any, ...] = ("int8", "int4")
    for kind in kinds:
        assert not fake_quantize(np.zeros((2, 64), np.float32), kind).any()


@pytest.mark.slow
def test_what_quantization_costs(tales: Any) -> None:
    """Perplexity on held-out text: within 0.5 % in 8 bits and 3 % in 4."""
    texts = held_out_ids(tales.tokenizer)
    exact = perplexity(open_checkpoint("tales", Placement(device="cpu"), inside=False).engine, texts)
    for quantize, allowed in (("int8", 0.005), ("int4", 0.03)):
        engine = open_checkpoint("tales", Placement(device="cpu", quantize=quantize), inside=False).engine  # type: ignore[arg-type]
        assert abs(perplexity(engine, texts) / exact - 1) < allowed


def test_bfloat16_that_is_too_large_for_float16_is_named(gpt2_folder: Path, tmp_path: Path) -> None:
    tensors = {name: weight.bfloat16() for name, weight in load_file(gpt2_folder / "model.safetensors").items()}
    (tmp_path / "config.json").write_bytes((gpt2_folder / "config.json").read_bytes())
    for largest, dtype, taken in ((1.0, "float16", True), (1e5, "float16", False), (1e5, "auto", True)):
        tensors["transformer.wte.weight"][3, 4] = largest
        save_file(tensors, tmp_path / "model.safetensors")
        placement = Placement(device="cpu", dtype=dtype)
        if taken:
            assert load_native(*understand(tmp_path), placement).facts().device == "cpu"
            continue
        with pytest.raises(InputError, match=r"wte\.weight\) is too large for float16: try"):
            load_native(*understand(tmp_path), placement)


@pytest.mark.slow
def test_a_broken_file_is_told_as_broken_where_torch_is_not_installed(
    gpt2_folder: Path, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    """Not as a missing torch, which would have said what is wrong with the file."""
    if not library.available():
        pytest.skip("no engine in C here")
    tensors = load_file(gpt2_folder / "model.safetensors")
    tensors["transformer.h.0.attn.c_attn.bias"][5] = float("inf")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((gpt2_folder / "config.json").read_bytes())
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from gptcli.checkpoint.weights.placement import Placement\n"
        "from gptcli.checkpoint.read import understand\n"
        "from gptcli.checkpoint.weights.native_loader import load_native\n"
        "from gptcli.errors import GptcliError\n"
        "try: load_native(*understand(sys.argv[1])[:0:-1], Placement())\n"
        "except GptcliError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=child_environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("(h.0.attn.c_attn.bias) holds NaN or infinity: the file is broken\n"), done.stderr
