"""gptcli: open a GPT in the terminal and watch it work.

The same core from Python::

    import gptcli

    gpt = gptcli.load("tales")
    print(gpt.generate("Once upon a time there was a", seed=1))

``load``, ``load_words``, ``params`` and ``compare`` (see ``gptcli.api``) and the errors (see ``gptcli.errors``) are
imported on first use: ``import gptcli`` alone costs nothing, and torch comes only when a model is loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptcli.api import LoadedGPT, LoadedWords, compare, load, load_words, params
    from gptcli.errors import GptcliError

__version__ = "0.1.0"

__all__ = ["GptcliError", "LoadedGPT", "LoadedWords", "__version__", "compare", "load", "load_words", "params"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gptcli' has no attribute {name!r}")
    from gptcli import api, errors

    return getattr(errors if name == "GptcliError" else api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
