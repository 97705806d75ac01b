"""What many tests share: the bundled model opened once, its twin in transformers, and a tiny random GPT-2."""

import gc
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.testing
from hypothesis import HealthCheck, settings
from typer.main import get_command

import gptcli
from gptcli.checkpoint.weights.placement import Placement
from gptcli.system.bundled import bundled_folder

# No example is too slow: on a busy machine any may be. Elsewhere Hypothesis looks for new examples at each run; a
# continuous integration run has to be repeatable.
settings.register_profile(
    "gptcli", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gptcli")

# Whatever the developer's shell says, compiled files are kept: the asserts that pytest rewrites take longer than all
# imports, and each of hundreds of processes would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What is imported and collected lives to the end. To look through it for garbage again and again takes seconds.
gc.disable()

# The tree of commands is built once, not at each of a thousand calls.
typer.testing._get_command = cache(get_command)  # type: ignore[attr-defined]

# Before torch is imported: the models are tiny, and threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts this in the background has it ignore Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What these drive (pseudo-terminals, limits, signals) Windows does not have.
if sys.platform == "win32":
    collect_ignore_glob = [
        "browser/*",
        "fuzz/test_*",
        "test_world.py",
        "test_terminal_safety.py",
        "checkpoint/test_hub.py",
        "show/test_pick.py",
        "commands/test_tour.py",
        "commands/test_generate.py",
        "commands/test_score.py",
        "commands/test_chat.py",
        "commands/test_chat_template.py",
        "generation/test_renderer.py",
        "commands/test_models.py",
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever opens a browser is slow."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, of what the tests make."""
    gc.freeze()
    gc.enable()


# What decides about colours, besides the two that all programs know.
_COLOURS = ("CLICOLOR", "CLICOLOR_FORCE", "COLORFGBG", "COLORTERM")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> None:
    """No setting of the developer's shell decides a test."""
    for name in ("GPTCLI_MODEL", "GPTCLI_TIMEOUT", "NO_COLOR", "FORCE_COLOR", "COLUMNS", *_COLOURS):
        os.environ.pop(name, None)
    os.environ["PAGER"] = "cat"
    os.environ["GPTCLI_THEME"] = "dark"  # a pseudo-terminal does not answer, and would be waited for


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What gptcli keeps in its user's cache, it keeps in a folder of this run; and it finds no settings."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    os.environ["GPTCLI_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _tales_loaded_once() -> None:
    """The commands that run in this process share the weights of the bundled model: to load them takes longer than most
    of what is done with them. Each has an engine of its own, as for several texts of one program.
    """
    from gptcli.checkpoint.weights import native_loader

    share_tales(native_loader, "load_native", lambda engine: engine.new_session())
    if "torch" in sys.modules:  # else few tests run, and none of them may need it
        from gptcli.checkpoint.weights import torch_loader

        share_tales(torch_loader, "load_gpt", lambda model: model)


@pytest.fixture
def loaded_anew() -> Iterator[None]:
    """For tests of what goes wrong while the bundled model is loaded: it is."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (("native_loader", "load_native"), ("torch_loader", "load_gpt")):
            loader = sys.modules.get(f"gptcli.checkpoint.weights.{module}")
            if loader is not None:
                patch.setattr(loader, name, inspect.unwrap(getattr(loader, name)))
        yield


@pytest.fixture(scope="session")
def tales() -> Any:
    """The bundled model as the commands open it: ``Checkpoint`` on the CPU in float32."""
    from gptcli.checkpoint.open import open_checkpoint

    return open_checkpoint("tales", Placement(device="cpu", dtype="float32"))


@pytest.fixture(scope="session")
def tales_reference() -> Any:
    """The bundled model as transformers opens it, in float32."""
    import torch
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(
        bundled_folder() / "tales", dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.fixture(scope="session")
def gpt2_reference() -> Any:
    """A tiny random GPT-2 of transformers; the weights behind ``gpt2_folder``."""
    from tests.gpt2_reference import random_gpt2

    return random_gpt2()


@pytest.fixture(scope="session")
def gpt2_folder(gpt2_reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``gpt2_reference``, saved by transformers, without a tokenizer. To be read only."""
    folder = tmp_path_factory.mktemp("gpt2")
    gpt2_reference.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """The environment for a process of its own: this gptcli, and warnings are errors."""
    return {
        **os.environ,
        "PYTHONPATH": str(Path(gptcli.__file__).resolve().parent.parent),
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture(scope="session")
def run_gptcli(child_environment: dict[str, str]) -> Run:
    """Run ``gptcli ARGUMENTS...`` in a process of its own; stdin is empty unless ``input`` is given."""

    def run(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        environment = child_environment | (env or {})
        return subprocess.run(command(arguments), env=environment, timeout=120, check=False, **options)

    return run


def share_tales(module: ModuleType, name: str, another: Callable[[Any], Any]) -> None:
    """Have a loader keep what it loaded of the bundled model, for each placement.

    Args:
        module: the loader's.
        name: the loader.
        another: makes of what was loaded what each caller gets.
    """
    load, loaded = getattr(module, name), {}

    @wraps(load)
    def shared(blueprint: Any, header: Any, placement: Placement, **more: Any) -> Any:
        if header.files != (bundled_folder() / "tales" / "model.safetensors",) or placement.group is not None:
            return load(blueprint, header, placement, **more)
        key = (placement, tuple(sorted((each, value) for each, value in more.items() if each != "notes")))
        if key not in loaded:
            loaded[key] = load(blueprint, header, placement, **more)
        return another(loaded[key])

    setattr(module, name, shared)


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of gptcli in this Python."""
    return [sys.executable, "-m", "gptcli", *arguments]
