"""``gptcli explore``: a whole model on one page."""

from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.inputs import prompt_argument
from gptcli.cli.option_groups import EngineOptions, grouped
from gptcli.errors import InputError


@grouped
def explore(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; - or none reads stdin.")] = None,
    raw: options.RawOption = False,
    save: options.SaveOption = None,
    *,
    run: EngineOptions,
) -> None:
    """Look inside a model while it reads a text.

    --save writes one page that needs nothing else: attention, the lens, and
    the next token at each position, with sliders for temperature, top-k and
    top-p.

    \b
    gptcli explore "The king and the" --save page.html
    """
    if save is None or save.suffix.lower() != ".html":
        raise InputError("--save names the page to write, such as page.html")
    read = prompt_argument(text, raw=raw)

    from gptcli.inspection.explored import explored
    from gptcli.show.explore_page.page import save_page
    from gptcli.system.notices import notice

    save_page(explored(run.open(), read), save)
    notice(f"saved {save}")
