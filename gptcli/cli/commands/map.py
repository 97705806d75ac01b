"""``gptcli map``: words laid out on a plane."""

from typing import Annotated

import typer

from gptcli.cli.inputs import words_argument
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.vector_options import EmbeddingOptions, RestrictOption
from gptcli.system.notices import notices


@grouped
def map(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", show_default=False, help='Words, expressions, or arrows: "man->woman".'),
    ] = None,
    neighbors: Annotated[int, typer.Option(metavar="N", min=0, help="Add the N nearest words of each.")] = 0,
    axis: Annotated[
        list[str] | None, typer.Option(metavar="EXPR", help="A direction as an axis: woman-man; once or twice.")
    ] = None,
    *,
    vectors: EmbeddingOptions,
    restrict: RestrictOption = None,
    output: OutputOptions,
) -> None:
    """Lay words out on a plane: the slice through the embedding that shows most of them.

    The axes are the principal components of the words on the map, without
    normalisation, or directions that you give. Put arrows in quotes, because
    > is a sign of the shell. --save map.html is in three dimensions, which
    you turn with the pointer.

    \b
    gptcli map man woman king queen uncle aunt
    gptcli map "man->woman" "king->queen" "uncle->aunt"
    gptcli map tower cat --neighbors 8
    gptcli map nurse engineer queen king --axis woman-man
    gptcli map cat cats dog dogs --axis cats-cat --axis dog-cat
    gptcli map king queen tower --neighbors 5 --save map.html
    """
    from gptcli.embedding.word_map import word_map
    from gptcli.show.html.globe import globe
    from gptcli.show.map import draw

    texts = words_argument(words, "WORD")
    embedding = vectors.open()
    answer = word_map(embedding, texts, axes=axis or (), neighbors=neighbors, restrict=restrict)
    notices(answer.notes)
    output.present(answer, lambda: draw(answer), page=lambda: globe(answer))
