"""``gptcli models``: which models there are, fetching one, and what one is."""

from enum import Enum
from typing import Annotated

import typer

from gptcli.cli.command import SETTINGS, App
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import NHeadOption, TimeoutOption

models = App(no_args_is_help=True, **SETTINGS)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", show_default=False, help="A short name, or owner/name on the hub; @REVISION may follow."
    ),
]
AnyNameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", show_default=False, help="A folder, a file, a bundled or short name, or owner/name."
    ),
]


class Bits(str, Enum):
    """How matrices are kept."""

    int8 = "int8"
    int4 = "int4"


@models.callback()
def about() -> None:
    """List, download and examine models. No weights are loaded.

    \b
    gptcli models list                   bundled, downloaded, short names
    gptcli models pull pythia-70m        download, to be there without network
    gptcli models show tales             what it is, and how that is known
    gptcli models show tales --keys      every tensor, and what becomes of it
    gptcli models quantize gpt2          once, for a quick start in 8 bits
    """


@models.command("list")
@grouped
def list_(*, output: OutputOptions) -> None:
    """List the models that have a name: bundled, downloaded, downloadable.

    Give a NAME to any command that takes -m. All models in the Hugging Face
    cache are listed, also those that other programs put there; HF_HOME moves
    that cache. What 'models quantize' keeps is listed too.

    \b
    gptcli models list
    gptcli models list --json | jq -r '.cached[].name'
    """
    from gptcli.checkpoint.catalogue import list_models
    from gptcli.show.models import draw_catalogue

    catalogue = list_models()
    output.present(catalogue, lambda: draw_catalogue(catalogue))


@models.command()
@grouped
def pull(name: NameArgument, timeout: TimeoutOption = None, *, output: OutputOptions) -> None:
    """Download a model from the Hugging Face hub, or the newer version of one.

    Only its configuration, its tokenizer and its safetensors are fetched.
    From then on it opens without a network. Respects HF_TOKEN (for gated
    models), HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE.

    \b
    gptcli models pull gpt2
    gptcli models pull EleutherAI/pythia-160m
    gptcli models pull pythia-70m@step1000       an early training step
    gptcli models pull owner/name@refs/pr/1      a pull request there
    """
    from gptcli.checkpoint.catalogue import pull_model
    from gptcli.show.models import draw_pulled

    model = pull_model(name)
    output.present(model, lambda: draw_pulled(model))


@models.command()
@grouped
def show(
    name: AnyNameArgument,
    keys: Annotated[bool, typer.Option("--keys", help="List every tensor and what becomes of it.")] = False,
    quantized: Annotated[
        bool, typer.Option("--quantized", help="Run it, and say what 8 and 4 bits do to its logits.")
    ] = False,
    n_head: NHeadOption = None,
    timeout: TimeoutOption = None,
    *,
    output: OutputOptions,
) -> None:
    """Say what a checkpoint is: family, configuration, tokenizer, files.

    Next to each fact stands where it is from: the file that it was read in,
    or what it was inferred from. Only headers and small files are read, on the
    hub too: the weights are not downloaded, but for --quantized. Where
    'models quantize' keeps something of them, they are read once, to be sure.

    \b
    gptcli models show tales
    gptcli models show pythia-70m --keys         before it is downloaded
    gptcli models show ./model.safetensors       no config.json: inferred
    gptcli models show tales --quantized
    gptcli models show tales --json | jq .config
    """
    if quantized:
        from gptcli.measuring.quantization import quantized_logits
        from gptcli.show.quantization import draw_quantized

        effects = quantized_logits(name, n_head)
        return output.present(effects, lambda: draw_quantized(effects.effects))

    from gptcli.counting.description import describe
    from gptcli.show.models import draw_description

    answer = describe(name, keys=keys, n_head=n_head)
    output.present(answer, lambda: draw_description(answer))


@models.command()
@grouped
def quantize(
    name: AnyNameArgument,
    bits: Annotated[
        Bits | None,
        typer.Argument(metavar="BITS", show_default="int8", help="int8: in 8 bits; int4: the MLPs in 4."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is kept of it (without BITS: both).")] = False,
    n_head: NHeadOption = None,
    timeout: TimeoutOption = None,
    *,
    output: OutputOptions,
) -> None:
    """Keep a model's matrices in 8 or 4 bits, in your cache.

    Any command with --quantize then reads them instead of working them out
    each time, for exactly these weights, wherever they lie: they are known
    by their content. 'models list' says what is kept and where, --remove
    removes it, and GPTCLI_CACHE names another folder than ~/.cache/gptcli.

    \b
    gptcli models quantize gpt2
    gptcli models quantize gpt2-xl int4
    gptcli generate -m gpt2-xl --quantize int4 "The king"
    gptcli models quantize gpt2-xl --remove
    """
    from gptcli.measuring.quantization import keep_quantized, remove_quantized
    from gptcli.show.quantization import draw_keeping, draw_removed

    if remove:
        removed = remove_quantized(name, bits.value if bits else None, n_head)
        return output.present(removed, lambda: draw_removed(removed.removed))
    kept = keep_quantized(name, bits.value if bits else "int8", n_head)
    output.present(kept, lambda: draw_keeping(kept))
