"""The small Python API: a model or word vectors by name, with one method for each command.

Open ``gpt`` first: what ``load`` returns. Its methods that look inside the model are in ``inside``; ``words`` is what
``load_words`` returns.

Each method makes the same call into the core as the command of that name, and returns the same frozen dataclass, or
numpy arrays. Nothing here prints. ``print`` shows a result as the terminal does, and a notebook shows it as a page;
``to_dict``, ``to_json`` and ``to_pandas`` hand it on. Every error is a ``GptcliError``::

    gpt = gptcli.load("gpt2")              # a name, a folder, a .safetensors file: what -m takes
    gpt.generate("The king", temperature=1.2, seed=1)
    gpt.next_token("The king and the").distributions[0].candidates
    gpt.attention("The king and the")[5, 0]  # the sixth layer, the first head: [T, T]
"""

from typing import TYPE_CHECKING, Any

from gptcli.api.choices import Cache, Device, Dtype, Quantize, one_of
from gptcli.api.gpt import LoadedGPT, Run
from gptcli.api.words import LoadedWords
from gptcli.system.result import show_with

if TYPE_CHECKING:
    from gptcli.counting.parameters import ParameterCount
    from gptcli.measuring.compare import Comparison

__all__ = ["LoadedGPT", "LoadedWords", "Run", "compare", "load", "load_words", "params"]


class _Viewer:
    """Shows results; what draws them is imported when one is shown."""

    def json(self, result: Any, indent: int | None) -> str:
        from gptcli.show import notebook

        return notebook.json(result, indent)

    def html(self, result: Any) -> str | None:
        from gptcli.show import notebook

        return notebook.html(result)

    def text(self, result: Any) -> str | None:
        from gptcli.show import notebook

        return notebook.text(result)

    def rows(self, result: Any) -> list[dict[str, Any]]:
        from gptcli.show import notebook

        return notebook.rows(result)


show_with(_Viewer())


def load(
    name: str = "tales",
    *,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantize: Quantize = "none",
    cache: Cache = "auto",
    n_head: int | None = None,
    tokenizer: str | None = None,
) -> LoadedGPT:
    """Load a GPT.

    It generates with the same engine as ``gptcli generate`` (the one in C where that runs the model). Methods that
    look inside load the PyTorch model at their first use.

    Args:
        name: a folder, a .safetensors file, a bundled or short name, or ``owner/name`` on the hub (downloaded where it
            is not in the cache).
        device: where to run it; ``auto`` takes CUDA, then Apple's MPS, then the CPU.
        dtype: its precision; ``auto`` is bfloat16 on a GPU that has it, float32 elsewhere.
        quantize: hold matrices in 8 bits, or those of the MLPs in 4.
        cache: precision of the cached keys and values in the engine in C; ``auto`` is float16 where matrices are in 8
            or 4 bits, float32 elsewhere.
        n_head: attention heads, for a lone file whose shapes do not tell.
        tokenizer: the name of another model whose tokenizer reads its texts; ``None``: its own.

    Raises:
        GptcliError: it is not there, broken, of no family known here, or the device is not there.
    """
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.weights.placement import Placement

    placement = Placement(
        one_of(device, Device, "device"),
        one_of(dtype, Dtype, "dtype"),
        one_of(quantize, Quantize, "quantize"),
        one_of(cache, Cache, "cache"),
    )
    return LoadedGPT(open_checkpoint(name, placement, n_head, inside=False, tokenizer=tokenizer))


def compare(
    a: str,
    b: str,
    text: str | None = None,
    *,
    weights: bool = True,
    bos: bool = False,
    stride: int | None = None,
    device: Device = "auto",
    n_head: int | None = None,
) -> "Comparison":
    """Compare two models, or one in two precisions, as ``gptcli compare`` does.

    Args:
        a, b: names as for ``load``, each with a precision after a colon or without: ``compare("tales", "tales:int4")``.
        text: to read with both; None: none is read.
        weights: compare their weights, which reads all of both files.
        bos: read ``<|endoftext|>`` before the text.
        stride: tokens by which the window moves in a text that is longer than the context; None: half of that.
        device, n_head: as for ``load``.

    Raises:
        GptcliError: there is nothing to compare, or a model cannot be opened.
    """
    from gptcli.measuring import compare as measuring

    return measuring.compare(a, b, text, weights=weights, bos=bos, stride=stride, device=device, n_head=n_head)


def load_words(name: str = "glove-50d", *, unembedding: bool = False, leading_space: bool = True) -> LoadedWords:
    """Load word vectors, or the token embedding of a GPT, without torch.

    Args:
        name: as for ``load``.
        unembedding: take a GPT's unembedding instead of its embedding.
        leading_space: look words up among a GPT's tokens as they stand inside a sentence, after a space.

    Raises:
        GptcliError: it does not exist, or is broken.
    """
    from gptcli.embedding.load import open_embedding

    return LoadedWords(open_embedding(name, unembedding=unembedding, leading_space=leading_space))


def params(name: str = "tales", *, n_head: int | None = None) -> "ParameterCount":
    """Where the parameters of a model are, or of a published size such as ``gpt3``, without loading it.

    Args:
        name: as for ``load``, or a published size.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        GptcliError: there is no such model.
    """
    from gptcli.counting.parameters import count_parameters

    return count_parameters(name, n_head)
