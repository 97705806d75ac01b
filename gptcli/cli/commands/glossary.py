"""``gptcli glossary``: the words of the outputs, explained."""

from typing import Annotated

import typer

from gptcli.cli.option_groups import OutputOptions, grouped


@grouped
def glossary(
    term: Annotated[
        list[str] | None, typer.Argument(metavar="TERM", show_default=False, help="A term, such as entropy.")
    ] = None,
    *,
    output: OutputOptions,
) -> None:
    """Say what a word of the outputs means: entropy, logit, residual stream.

    Each term has a few plain sentences, the command that shows it, and its
    relatives. Without TERM all terms are listed.

    \b
    gptcli glossary
    gptcli glossary entropy
    gptcli glossary residual stream
    gptcli glossary --json
    """
    from gptcli.show.glossary import draw_glossary
    from gptcli.show.glossary import glossary as explained

    answer = explained(" ".join(term) if term else None)
    output.present(answer, lambda: draw_glossary(answer))
