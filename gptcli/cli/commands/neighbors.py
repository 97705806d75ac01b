"""``gptcli neighbors``: the words nearest to a word."""

from typing import Annotated

import typer

from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import TopOption
from gptcli.cli.vector_options import EmbeddingOptions, KeepQueryOption, MetricOption, RestrictOption
from gptcli.embedding.metric import Metric
from gptcli.system.notices import notices
from gptcli.system.text_file import MOST_WORDS


@grouped
def neighbors(
    word: Annotated[str | None, typer.Argument(metavar="WORD", show_default=False, help="One word.")] = None,
    metric: MetricOption = Metric.cosine,
    keep_query: KeepQueryOption = False,
    *,
    vectors: EmbeddingOptions,
    restrict: RestrictOption = None,
    top: TopOption = 10,
    output: OutputOptions,
) -> None:
    """List the words whose vectors are nearest to a word's.

    WORD is taken as typed, with its hyphens; for arithmetic use analogy. It is
    read from stdin if it is - or piped in. A GPT has several tokens for one
    word (King and king, with a space before and without): they are listed as
    they are, with the space as a dot.

    \b
    gptcli neighbors tower
    gptcli neighbors spider-man --top 5
    gptcli neighbors tower --restrict 10000       common words only
    gptcli neighbors tower --metric euclidean
    gptcli neighbors queen -m tales               a GPT's own token embedding
    """
    from gptcli.embedding import queries
    from gptcli.show.vectors import draw_neighbors

    text = text_argument(word, "WORD", most=MOST_WORDS).strip()
    embedding = vectors.open()
    answer = queries.neighbors(embedding, text, metric=metric, top=top, restrict=restrict, keep_query=keep_query)
    notices(answer.notes)
    output.present(answer, lambda: draw_neighbors(answer))
