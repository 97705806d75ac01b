"""``gptcli explore``: a whole model on one screen, or on one page."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import prompt_argument, text_argument
from gptcli.cli.option_groups import EngineOptions, filter_option, grouped
from gptcli.errors import InputError

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

    --save writes one page instead, which needs nothing else: attention, the
    lens, and the next token at each position, with sliders for temperature,
    top-k and top-p. With --live the page runs the model itself, offline, in
    any browser: type, and everything follows.

    \b
    gptcli explore
    gptcli explore "The king and the queen"
    gptcli explore "The king and the" -m openai-community/gpt2 --quantize int8
    gptcli explore -t 0.7 -p 0.9 < story.txt
    gptcli explore "The king and the" --save page.html
    gptcli explore "The king and the" --save page.html --live
    """
    if save is not None:
        return _save(prompt_argument(text, raw=raw), save, run, (temperature, top_k, top_p), live=live)
    if live:
        raise InputError("--live needs --save: it puts the model into the page that is saved")

    from gptcli.explore.terminal import check_terminal, take_keys

    check_terminal()
    typed = sys.stdin is None or sys.stdin.isatty()
    given = _TEXT if text is None and typed else text_argument(text, "TEXT", escapes=not raw)

    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.sampling.settings import Sampling

    sampling, seed = Sampling(temperature=temperature, top_k=top_k, top_p=top_p), seed_or_drawn(seed)
    take_keys()

    from gptcli.cli.tour import STOPS
    from gptcli.explore.run import run as run_screen
    from gptcli.explore.screen import Setup

    checkpoint = run.open()
    code = run_screen(Setup(checkpoint, given, sampling, seed, {stop.title: stop for stop in STOPS}))
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise typer.Exit(code)


def _save(text: str, path: Path, run: EngineOptions, sampled: tuple[float, int, float], *, live: bool) -> None:
    """Write the page of a text."""
    if path.suffix.lower() != ".html":
        raise InputError("--save names the page to write, such as page.html")

    from gptcli.inspection.explored import explored
    from gptcli.sampling.settings import Sampling
    from gptcli.show.explore_page.page import save_page
    from gptcli.show.live import live_parts
    from gptcli.system.notices import notice

    temperature, top_k, top_p = sampled
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    if live and run.quantize is options.Quantize.none:
        run = replace(run, quantize=options.Quantize.int4)
    checkpoint = run.open()
    model = live_parts(checkpoint.what, run.quantize.value) if live else None
    save_page(explored(checkpoint, text), path, model, sampling)
    notice(f"saved {path}")
