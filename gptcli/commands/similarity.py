"""``gptcli similarity``: how alike words are."""

from typing import Annotated

import typer

from gptcli.embedding.metric import Metric
from gptcli.options import JsonOption, SaveOption
from gptcli.show.console import notices, present
from gptcli.vector_options import (
    DEFAULT_EMBEDDING,
    CountUnknownOption,
    EmbeddingOption,
    EvaluateOption,
    MetricOption,
    NoSpaceOption,
    RestrictOption,
    UnembeddingOption,
    no_words_with_evaluate,
    words_argument,
)


def similarity(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", show_default=False, help="Words or expressions.")
    ] = None,
    metric: MetricOption = Metric.cosine,
    model: EmbeddingOption = DEFAULT_EMBEDDING,
    unembedding: UnembeddingOption = False,
    no_space: NoSpaceOption = False,
    restrict: RestrictOption = None,
    evaluate: EvaluateOption = None,
    count_unknown: CountUnknownOption = False,
    json: JsonOption = False,
    save: SaveOption = None,
) -> None:
    """Compare words by their vectors: two in a line, more as a heat map.

    Words are read from stdin where they are - or piped in. One that is not in
    the vocabulary as it stands may be an expression, king-man: the vectors are
    added as they are.

    --evaluate compares cosines with human scores, two words and a score a line
    (WordSim-353, SimLex-999): Spearman's rank correlation and Pearson's.

    \b
    gptcli similarity king queen
    gptcli similarity king queen man woman tower
    gptcli similarity woman-man queen-king
    gptcli similarity cat dog car --metric euclidean
    gptcli similarity king queen -m tales         a GPT's own token embedding
    gptcli similarity --evaluate wordsim353.tsv
    """
    from gptcli.embedding.load import open_embedding

    if evaluate is not None:
        from gptcli.evaluation import evaluate_pairs
        from gptcli.show.evaluation import draw_pair_score

        no_words_with_evaluate(words, evaluate)
        embedding = open_embedding(model, unembedding=unembedding, leading_space=not no_space)
        score = evaluate_pairs(embedding, evaluate, restrict=restrict, count_unknown=count_unknown)
        present(score, lambda: draw_pair_score(score), as_json=json, save=save)
        return

    from gptcli.embedding import queries
    from gptcli.show.vectors import draw_similarities

    texts = words_argument(words, "A B")
    embedding = open_embedding(model, unembedding=unembedding, leading_space=not no_space)
    answer = queries.similarity(embedding, texts, metric)
    notices(answer.notes)
    present(answer, lambda: draw_similarities(answer), as_json=json, save=save)
