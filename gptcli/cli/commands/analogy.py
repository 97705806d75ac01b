"""``gptcli analogy``: king - man + woman."""

from typing import Annotated

import typer

from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import TopOption
from gptcli.cli.vector_options import (
    CountUnknownOption,
    EmbeddingOptions,
    EvaluateOption,
    KeepQueryOption,
    MetricOption,
    RestrictOption,
    no_words_with_evaluate,
)
from gptcli.embedding.metric import Method, Metric
from gptcli.system.notices import notices
from gptcli.system.text_file import MOST_WORDS


@grouped
def analogy(
    expression: Annotated[
        list[str] | None, typer.Argument(metavar="EXPR", show_default=False, help="Words joined by + - * / ( ).")
    ] = None,
    method: Annotated[Method, typer.Option(help="Join words by sum (3CosAdd) or product (3CosMul).")] = Method.add,
    metric: MetricOption = Metric.cosine,
    keep_query: KeepQueryOption = False,
    *,
    vectors: EmbeddingOptions,
    restrict: RestrictOption = None,
    evaluate: EvaluateOption = None,
    count_unknown: CountUnknownOption = False,
    top: TopOption = 10,
    output: OutputOptions,
) -> None:
    """Do arithmetic with words: what is king - man + woman?

    Lists the words nearest to the value of EXPR, without those in it. As in
    gensim and word2vec, vectors are normalised to length 1 before they are added;
    --metric dot and euclidean take the vectors as they are.

    A number scales the word next to it. Put words with a space, a hyphen or
    another operator in quotes. EXPR is read from stdin if it is - or piped in.

    --evaluate answers a file of questions: four words a line, a b c d, is d
    nearest to b - a + c? Lines that start with ": " name the sections.

    \b
    gptcli analogy king-man+woman
    gptcli analogy "Hitler + Italy - Germany" --top 3
    gptcli analogy "(king + queen)/2 - 0.5*man"
    gptcli analogy '"spider-man" - spider + bat'
    gptcli analogy king-man+woman -m tales        a GPT's own token embedding
    gptcli analogy --evaluate questions-words.txt
    """

    if evaluate is not None:
        from gptcli.embedding.evaluation import evaluate_analogies
        from gptcli.show.evaluation import draw_analogy_score
        from gptcli.show.terminal.progress import progress_bar

        no_words_with_evaluate(expression, evaluate)
        embedding = vectors.open()
        with progress_bar("searching") as progress:
            score = evaluate_analogies(
                embedding, evaluate, restrict=restrict, count_unknown=count_unknown, progress=progress
            )
        output.present(score, lambda: draw_analogy_score(score))
        return

    from gptcli.embedding import queries
    from gptcli.embedding.expression import parse
    from gptcli.show.vectors import draw_neighbors

    parsed = parse(text_argument(" ".join(expression) if expression else None, "EXPR", most=MOST_WORDS))
    embedding = vectors.open()
    answer = queries.analogy(
        embedding, parsed, metric=metric, method=method, top=top, restrict=restrict, keep_query=keep_query
    )
    notices(answer.notes)
    output.present(answer, lambda: draw_neighbors(answer))
