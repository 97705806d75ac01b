"""One protocol, four engines: PyTorch, C, one that guesses ahead, and several processes obey the same rules."""

import json
import os
from pathlib import Path

import pytest
import torch

from gptcli.model.config import GPTConfig
from gptcli.model.engine import Engine
from gptcli.model.gpt import GPT
from gptcli.model.lookup import LookupEngine
from gptcli.model.native import library
from gptcli.model.torch_engine import TorchEngine
from tests.made import made
from tests.model.engine_rules import FIELDS, RULES, Told
from tests.model.test_parallel import finish, torchrun
from tests.native.test_engine import in_c, random_model

needs_c = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
ENGINES = [
    ("PyTorch", "gpt2"),
    ("PyTorch", "llama"),
    ("PyTorch, guessing", "gpt2"),
    pytest.param(("C", "gpt2"), marks=needs_c),
    pytest.param(("C, guessing", "gpt2"), marks=needs_c),
]


@pytest.fixture(scope="module")
def models() -> dict[str, GPT]:
    return {shape: random_model(GPTConfig(**fields)) for shape, fields in FIELDS.items()}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", ENGINES, ids=" ".join)
def test_every_engine(which: tuple[str, str], rule: str, models: dict[str, GPT]) -> None:
    name, shape = which
    engine: Engine = in_c(models[shape]) if name.startswith("C") else TorchEngine(models[shape])
    RULES[rule](Told(LookupEngine(engine, 4) if name.endswith("guessing") else engine, models[shape]))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """What two processes that hold a model said to each rule, for each shape: None, or a traceback."""
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    folders = {shape: made(tmp_path_factory.mktemp("engines") / shape, **fields) for shape, fields in FIELDS.items()}
    code, _, err = finish(torchrun("tests.model.engine_rules", *map(os.fspath, folders.values())))
    assert code == 0, err
    return {shape: json.loads(Path(folder / "rules.json").read_text()) for shape, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", FIELDS)
def test_several_processes(shape: str, rule: str, several: dict[str, dict[str, str | None]]) -> None:
    assert several[shape][rule] is None
