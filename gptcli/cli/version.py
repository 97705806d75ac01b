"""The output of ``gptcli --version --verbose``: the facts for a bug report."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gptcli import __version__

_PACKAGES = ("typer", "rich", "numpy", "tiktoken", "safetensors", "huggingface_hub")


def version_line() -> str:
    """The name and the version."""
    return f"gptcli {__version__}"


def facts() -> list[str]:
    """Facts about this installation and machine, a line each. Imports torch."""
    from gptcli.text import visible

    return [f"{name:<16} {visible(fact)}" for name, fact in _facts().items()]


def _facts() -> dict[str, str]:
    import torch

    from gptcli.checkpoint.hub.cached import cache_folder
    from gptcli.checkpoint.weights.torch_loader import choose_device, choose_dtype
    from gptcli.system.threads import default_threads

    device = choose_device("auto")
    dtype = str(choose_dtype("auto", device)).removeprefix("torch.")
    return {
        "gptcli": f"{__version__} ({Path(__file__).parents[1]})",
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": f"{platform.platform()}, {os.cpu_count()} processors",
        "torch": torch.__version__,
        **{name: _installed(name) for name in _PACKAGES},
        "device": device.type if device.type == "cpu" else f"{device.type} ({_device_name(device.type)})",
        "dtype": dtype,
        "threads": str(default_threads()),
        "native": _native(),
        "models": str(cache_folder()),
    }


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "no"


def _device_name(kind: str) -> str:
    import torch

    return torch.cuda.get_device_name() if kind == "cuda" else platform.processor()


def _native() -> str:
    """Whether the engine in C can run here, and why not."""
    from gptcli.model.native.library import kernels, unavailable

    why = unavailable()
    return f"yes ({kernels()})" if why is None else f"no: {why}"
