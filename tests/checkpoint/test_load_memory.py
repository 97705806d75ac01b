"""How much memory loading takes, over the model as it is held."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gptcli.checkpoint.files.header import read_file
from gptcli.checkpoint.files.mapped import map_tensor, release
from gptcli.model.config import GPTConfig
from gptcli.model.native import library
from gptcli.model.shapes import parameter_shapes

pytestmark = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"), reason="this system does not say how much memory a process has held"
)

CONFIG = GPTConfig(vocab_size=20000, n_positions=64, n_embd=768, n_layer=12, n_head=12)
CONSTANT = 48e6  # what the first allocations of the libraries take, whatever the checkpoint's size

# Counts the pages of the mapped file that are in memory too, although the system may drop those whenever it likes.
CHILD = """
import json, resource, sys
import torch
from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.checkpoint.source import find
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
source = find(sys.argv[1])
header = read_header(source.weights)
def peak():  # not Linux's ru_maxrss, which starts from what the process's parent had
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
with torch.device("meta"):
    GPT(GPTConfig(n_layer=1))  # torch imports what it needs for this only now
before = peak()
model = load_gpt(read_blueprint(source, header), header, Placement("cpu", "float32"))
held = sum(weight.numel() * weight.element_size() for weight in model.parameters())
print(json.dumps({"held": held, "took": peak() - before}))
"""


CHILD_IN_C = """
import json, resource, sys
from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.source import find
from gptcli.model.native.library import library
source = find(sys.argv[1])
header = read_header(source.weights)
library()
{peak}
before = peak()
engine = load_native(read_blueprint(source, header), header, Placement("cpu", "float16"))
held = sum(engine.kept(name).numbers.nbytes for name in engine.matrices)
print(json.dumps({{"held": held, "took": peak() - before}}))
""".format(peak=CHILD[CHILD.index("def peak") : CHILD.index("with torch")])


def measured(tmp_path: Path, config: GPTConfig, dtype: torch.dtype, child: str) -> dict[str, float]:
    """What a process said that loaded a GPT-2 with random numbers of a type."""
    torch.manual_seed(0)
    tensors = {
        name: torch.empty(shape[::-1] if name.startswith("h.") else shape, dtype=dtype).normal_(std=0.02)
        for name, shape in parameter_shapes(config).items()
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    fields = {name: getattr(config, name) for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"} | fields))
    del tensors
    done = subprocess.run(
        [sys.executable, "-c", child, str(tmp_path)], stdout=subprocess.PIPE, check=True, text=True, timeout=120
    )
    found: dict[str, float] = json.loads(done.stdout)
    print(found)
    return found


@pytest.mark.slow
def test_conversion_takes_no_more_than_the_model(tmp_path: Path) -> None:
    """Half precision to single, tensor by tensor: never the whole checkpoint twice."""
    memory = measured(tmp_path, CONFIG, torch.float16, CHILD)
    assert memory["held"] > 390e6
    assert memory["took"] > 0.9 * memory["held"]  # it does measure the weights
    assert memory["took"] < 1.15 * memory["held"] + CONSTANT


@pytest.mark.slow
@pytest.mark.skipif(not library.available(), reason="switched off")
@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, vocab_size=60_000, n_layer=4),  # a large embedding
        replace(CONFIG, n_embd=448, n_head=7, n_layer=40),  # many matrices that fill no huge page
    ],
    ids=["large", "many"],
)
def test_rounding_in_c_takes_no_more_than_the_model(config: GPTConfig, tmp_path: Path) -> None:
    """Single precision to half: the pages of the file are given back, and matrices lie close together."""
    memory = measured(tmp_path, config, torch.float32, CHILD_IN_C)
    assert memory["held"] > 140e6
    assert memory["took"] > 0.9 * memory["held"]
    assert memory["took"] < 1.1 * memory["held"] + 16e6


@pytest.mark.slow
def test_loading_imports_no_compiler() -> None:
    """It would take seconds, whenever a model is opened."""
    code = (
        "import sys; from gptcli.checkpoint.open import open_checkpoint; open_checkpoint('tales'); "
        "print(sorted({'torch._dynamo', 'torch._inductor', 'sympy', 'torch.distributed.tensor'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True, timeout=120)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_what_was_given_back_is_read_again(tmp_path: Path) -> None:
    numbers = torch.arange(3_000_000, dtype=torch.float32)
    save_file({"x": numbers}, tmp_path / "model.safetensors")

    def resident() -> int:
        return 4096 * int(Path("/proc/self/statm").read_text().split()[2])  # shared: pages of files

    mapped = map_tensor(read_file(tmp_path / "model.safetensors").tensors["x"], np.float32)
    assert mapped.sum() > 0
    held = resident()
    release(mapped[1_000_001:2_000_000])
    assert 3.9e6 < held - resident() <= 12.1e6  # at least what was asked; the system may drop whole large pages
    assert np.array_equal(mapped, numbers.numpy())
    release(np.arange(3))  # not mapped: nothing to do
