"""``gptcli direction``: words measured along a direction."""

from typing import Annotated

import typer

from gptcli.cli.inputs import words_argument
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.vector_options import EmbeddingOptions
from gptcli.system.notices import notices


@grouped
def direction(
    expression: Annotated[str, typer.Argument(metavar="EXPR", show_default=False, help="The direction: cats-cat.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", show_default=False, help="Words or expressions.")
    ] = None,
    sort: Annotated[bool, typer.Option("--sort/--no-sort", help="Largest first, or in the order given.")] = True,
    *,
    vectors: EmbeddingOptions,
    output: OutputOptions,
) -> None:
    """Measure words along a direction: is cats - cat a direction of the plural?

    The figure is the dot product of a word's vector with the value of EXPR,
    without normalisation: positive for words like those added, negative for
    words like those subtracted. Words are read from stdin if they are - or
    piped in.

    \b
    gptcli direction cats-cat cat cats puppy puppies student students
    gptcli direction cats-cat one two three four --no-sort
    gptcli direction woman-man nurse engineer queen king
    gptcli direction queens-queen -m tales tree trees leaf leaves
    """
    from gptcli.embedding import queries
    from gptcli.embedding.expression import parse
    from gptcli.show.vectors import draw_direction

    parsed, texts = parse(expression), words_argument(words, "WORD")
    embedding = vectors.open()
    answer = queries.direction(embedding, parsed, texts, sort=sort)
    notices(answer.notes)
    output.present(answer, lambda: draw_direction(answer))
