"""``gptcli explore``: a whole model on one screen, or on one page."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import prompt_argument, text_argument
from gptcli.cli.option_groups import EngineOptions, filter_option, grouped
from gptcli.errors import InputError

if TYPE_CHECKING:
    from gptcli.sampling.settings import Sampling

# What is explored where no text is given.
_TEXT = "Once upon a time there was a little girl named Lily. She"


@grouped
def explore(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text to begin with; - or a pipe: stdin.")
    ] = None,
    raw: options.RawOption = False,
    temperature: filter_option("temperature") = 1.0,  # type: ignore[valid-type]
    top_k: filter_option("top-k") = 0,  # type: ignore[valid-type]
    top_p: filter_option("top-p") = 1.0,  # type: ignore[valid-type]
    seed: options.SeedOption = None,
    save: options.SaveOption = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Put the model into the page too, in int4 unless --quantize says int8: the text can be edited there.",
            rich_help_panel="Output",
        ),
    ] = False,
    *,
    run: EngineOptions,
) -> None:
    """Explore a model on one screen that follows every key.

    The text stands on top, each token on the colour of its surprisal. Below
    it: what may come next, and in tabs where each head looks, what each layer
    would say, what each part adds, and the layer's weights. Parts of the
    model can be taken out to see what changes. Enter types in the text, Tab
    takes the best token, Space draws one, ? lists all keys, q quits.

    --save x.html writes one page instead, which needs nothing else:
    attention, the lens, and the next token at each position, with sliders for
    temperature, top-k and top-p. With --live the page runs the model itself,
    offline, in any browser: type, and everything follows. --save x.svg draws
    the first screen.

    \b
    gptcli explore
    gptcli explore "The king and the queen"
    gptcli explore "The king and the" -m openai-community/gpt2 --quantize int8
    gptcli explore -t 0.7 -p 0.9 < story.txt
    gptcli explore "The king and the" --save page.html
    gptcli explore "The king and the" --save page.html --live
    """
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.sampling.settings import Sampling

    sampling, seed = Sampling(temperature=temperature, top_k=top_k, top_p=top_p), seed_or_drawn(seed)
    if save is not None and save.suffix.lower() == ".html":
        return _save_page(prompt_argument(text, raw=raw), save, run, sampling, live=live)
    if live:
        raise InputError("--live puts the model into a saved page: add --save page.html")

    from gptcli.explore.terminal import check_terminal, take_keys

    if save is None:
        check_terminal()
    typed = sys.stdin is None or sys.stdin.isatty()
    given = _TEXT if text is None and typed else text_argument(text, "TEXT", escapes=not raw)
    if save is None:
        take_keys()

    from gptcli.cli.tour import STOPS
    from gptcli.explore.run import run as run_screen
    from gptcli.explore.run import save_picture
    from gptcli.explore.screen import Setup

    setup = Setup(run.open(), given, sampling, seed, {stop.title: stop for stop in STOPS})
    if save is not None:
        return save_picture(setup, save)
    code = run_screen(setup)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise typer.Exit(code)


def _save_page(text: str, path: Path, run: EngineOptions, sampling: "Sampling", *, live: bool) -> None:
    """Write the page of a text."""
    from gptcli.inspection.explored import explored
    from gptcli.show.explore_page.page import save_page
    from gptcli.show.live import live_parts
    from gptcli.system.notices import notice

    if live and run.quantize is options.Quantize.none:
        run = replace(run, quantize=options.Quantize.int4)
    checkpoint = run.open()
    model = live_parts(checkpoint.what, run.quantize.value) if live else None
    save_page(explored(checkpoint, text), path, model, sampling)
    notice(f"saved {path}")
