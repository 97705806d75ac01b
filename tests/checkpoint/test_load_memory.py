"""How much memory loading takes, over the model as it is held."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gptcli.model.config import GPTConfig
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


@pytest.mark.slow
def test_conversion_takes_no_more_than_the_model(tmp_path: Path) -> None:
    """Half precision to single, tensor by tensor: never the whole checkpoint twice."""
    torch.manual_seed(0)
    tensors = {
        name: torch.empty(shape[::-1] if name.startswith("h.") else shape, dtype=torch.float16).normal_(std=0.02)
        for name, shape in parameter_shapes(CONFIG).items()
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    fields = {name: getattr(CONFIG, name) for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"} | fields))
    del tensors

    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, check=True, text=True, timeout=120
    )
    measured = json.loads(done.stdout)
    print(measured)
    assert measured["held"] > 390e6
    assert measured["took"] > 0.9 * measured["held"]  # it does measure the weights
    assert measured["took"] < 1.15 * measured["held"] + CONSTANT


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
