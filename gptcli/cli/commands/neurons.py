"""``gptcli neurons``: which neurons of the MLPs are active, what they write, and what excites them."""

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import plain_chunks, prompt_argument
from gptcli.cli.option_groups import OutputOptions, RunOptions, grouped
from gptcli.errors import InputError

if TYPE_CHECKING:
    from gptcli.inspection.passages import NeuronPassages

_NEURONS = "Neurons"
_READ_SIZE = 1 << 16


class Measure(str, Enum):
    """By what the most active neurons are chosen."""

    unusual = "unusual"
    activation = "activation"
    written = "written"


@grouped
def neurons(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; - or none reads stdin.")] = None,
    layer: Annotated[
        str, typer.Option(metavar="N[,N-N]", help="Layers from 1, or all.", rich_help_panel=_NEURONS)
    ] = "all",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION",
            show_default="all",
            help="At these tokens: -1, 3-5, or a word.",
            rich_help_panel=_NEURONS,
        ),
    ] = None,
    by: Annotated[
        Measure,
        typer.Option(
            help="Written beyond what it usually writes; the largest activation; the longest vector written.",
            rich_help_panel=_NEURONS,
        ),
    ] = Measure.unusual,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER.NEURON", help="One neuron: 3.117 is number 117 of layer 3.", rich_help_panel=_NEURONS
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="With --neuron: the passages that excite it most.",
            rich_help_panel=_NEURONS,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="the context",
            help="Tokens of FILE that are read at once.",
            rich_help_panel=_NEURONS,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            show_default="3 neurons a token, 10 passages",
            help="How many to list.",
            rich_help_panel="Output",
        ),
    ] = None,
    raw: options.RawOption = False,
    *,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Show the questions that an MLP asks: its most active neurons, and what they write.

    A neuron's activation says how much of its vector is added at a token.
    Some are active at every token, so those come first that write most beyond
    what they write elsewhere. Listed are the tokens whose logits that raises
    and lowers (through the norms behind it, held at their scale in this run,
    and the unembedding; later layers are left out), and the tokens that excite
    it, each alone.

    --neuron shows one neuron by its weights; with a text, or with a file of
    any length, the passages that excite it most, coloured by its activation.
    Ctrl-C keeps what has been found.

    \b
    gptcli neurons "The king and the"
    gptcli neurons "The king and the" --at -1 --top 10
    gptcli neurons "The king and the" --layer 5-6 --by written
    gptcli neurons --neuron 3.117
    gptcli neurons "The king and the queen" --neuron 3.117
    gptcli neurons --neuron 3.117 -f story.txt
    """
    if neuron is not None:
        options.forbid_together("--neuron", given=True, layer=layer != "all", at=at, by=by is not Measure.unusual)
        if text is None and file is None:
            return _one(run, output, neuron, top)
        if text is not None and file is not None:
            raise InputError("give TEXT or --file, not both")
        words = None if text is None else prompt_argument(text, raw=raw)
        return _passages(run, output, neuron, words, file, window, top)
    options.require_owner("--neuron", given=False, file=file, window=window)
    given = prompt_argument(text, raw=raw)

    from gptcli.inspection.neurons import neurons as inspect
    from gptcli.inspection.place_text import parse
    from gptcli.show.neurons import draw, draw_page

    positions = parse(f"embedding@{at}").positions if at is not None else None
    checkpoint = run.open(inside=False)
    answer = inspect(checkpoint, given, layers=layer, top=top or 3, measure=by.value, at=positions)
    output.present(answer, lambda: draw(answer), page=lambda: draw_page(answer))


def _one(run: RunOptions, output: OutputOptions, neuron: str, top: int | None) -> None:
    """A neuron by its weights."""
    from gptcli.inspection.neuron_weights import view_neuron
    from gptcli.show.neuron import draw_neuron, draw_neuron_page

    view = view_neuron(run.read(), neuron, top=top or 10)
    output.present(view, lambda: draw_neuron(view), page=lambda: draw_neuron_page(view))


def _passages(
    run: RunOptions,
    output: OutputOptions,
    neuron: str,
    text: str | None,
    file: Path | None,
    window: int | None,
    top: int | None,
) -> None:
    """The passages of a text or a file that excite a neuron."""
    from gptcli.show.neuron import draw_passages, draw_passages_page

    found = _searched(run, neuron, text, file, window, top or 10)
    output.present(found, lambda: draw_passages(found), page=lambda: draw_passages_page(found))


def _searched(
    run: RunOptions, place: str, text: str | None, file: Path | None, window: int | None, top: int
) -> "NeuronPassages":
    from gptcli.inspection.neuron_weights import view_neuron
    from gptcli.inspection.passages import find_passages
    from gptcli.show.terminal.progress import progress_bar
    from gptcli.system.text_file import file_name, opened
    from gptcli.tokenizer import decode_chunks, encode_chunks

    checkpoint = run.open()
    neuron = view_neuron(checkpoint.what, place, top=10).neuron
    if file is None:
        ids = checkpoint.tokenizer.encode(text or "")
        return find_passages(checkpoint, neuron, [ids], "the text", top=top, window=window)
    with progress_bar("reading") as progress, opened(file) as stream:
        name, total = file_name(file), os.fstat(stream.fileno()).st_size
        chunks = plain_chunks(decode_chunks(iter(lambda: stream.read(_READ_SIZE), b""), name))
        return find_passages(
            checkpoint,
            neuron,
            encode_chunks(checkpoint.tokenizer, chunks),
            name,
            top=top,
            window=window,
            read=lambda done: progress(done, max(total, done)),
        )
