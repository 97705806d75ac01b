"""``gptcli similarity``: how alike words are, by themselves or in their contexts."""

import os
from typing import Annotated

import typer

from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.inputs import tell_file, text_argument, words_argument
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import (
    DEFAULT_MODEL,
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    NHeadOption,
)
from gptcli.cli.vector_options import (
    CountUnknownOption,
    EmbeddingOptions,
    EvaluateOption,
    MetricOption,
    RestrictOption,
    no_words_with_evaluate,
)
from gptcli.embedding.metric import Metric
from gptcli.errors import InputError
from gptcli.system.notices import notices

_PANEL = "In context"


@grouped
def similarity(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", show_default=False, help="Words or expressions; texts with --in-context."),
    ] = None,
    metric: MetricOption = Metric.cosine,
    in_context: Annotated[
        bool,
        typer.Option("--in-context", help="Compare a word in several texts, layer by layer.", rich_help_panel=_PANEL),
    ] = False,
    neighbors: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="List the N tokens nearest to each vector.", rich_help_panel=_PANEL),
    ] = 0,
    *,
    vectors: EmbeddingOptions,
    restrict: RestrictOption = None,
    evaluate: EvaluateOption = None,
    count_unknown: CountUnknownOption = False,
    n_head: NHeadOption = None,
    device: DeviceOption = Device.auto,
    dtype: DtypeOption = Dtype.auto,
    output: OutputOptions,
) -> None:
    """Compare words by their vectors: two in a line, more as a heat map.

    Words are read from stdin if they are - or piped in. A word that is not in
    the vocabulary may be an expression, king-man: vectors are added without
    normalisation.

    --in-context runs a GPT (tales, GPTCLI_MODEL or -m) over texts in which one
    word is marked with brackets, and compares the vectors of its last token
    at the embedding and after each layer; text after the mark is not read. A
    bracket after a backslash is a plain one. --neighbors lists the tokens
    whose embeddings are nearest, or with --unembedding those with the largest
    logits.

    --evaluate compares cosines with human scores, two words and a score a line
    (WordSim-353, SimLex-999): Spearman's rank correlation and Pearson's.

    \b
    gptcli similarity king queen
    gptcli similarity king queen man woman tower
    gptcli similarity woman-man queen-king
    gptcli similarity cat dog car --metric euclidean
    gptcli similarity king queen -m tales         a GPT's own token embedding
    gptcli similarity --evaluate wordsim353.tsv
    gptcli similarity --in-context "the month of [May]" "his aunt [May]"
    """
    given = _given(context)
    if in_context:
        _refuse(given & {"evaluate", "restrict", "no_space", "count_unknown"}, "does not go with --in-context")
        name = vectors.model if "model" in given else os.environ.get("GPTCLI_MODEL") or DEFAULT_MODEL
        texts = _texts(words)

        from gptcli.checkpoint.open import open_checkpoint
        from gptcli.inspection.contexts import compare_contexts
        from gptcli.show.contexts import draw

        placement = Placement(device=device.value, dtype=dtype.value)
        checkpoint = open_checkpoint(name, placement, n_head=n_head, inside=False, tokenizer=vectors.tokenizer)
        found = compare_contexts(checkpoint, texts, metric=metric, neighbors=neighbors, unembedding=vectors.unembedding)
        notices((*checkpoint.notes, *found.notes))
        output.present(found, lambda: draw(found))
        return
    _refuse(given & {"neighbors", "n_head", "device", "dtype"}, "goes with --in-context only")

    if evaluate is not None:
        from gptcli.embedding.evaluation import evaluate_pairs
        from gptcli.show.evaluation import draw_pair_score

        no_words_with_evaluate(words, evaluate)
        embedding = vectors.open()
        score = evaluate_pairs(embedding, evaluate, restrict=restrict, count_unknown=count_unknown)
        output.present(score, lambda: draw_pair_score(score))
        return

    from gptcli.embedding import queries
    from gptcli.show.vectors import draw_similarities

    texts = words_argument(words, "A B")
    embedding = vectors.open()
    answer = queries.similarity(embedding, texts, metric)
    notices(answer.notes)
    output.present(answer, lambda: draw_similarities(answer))


def _given(context: typer.Context) -> set[str]:
    """The parameters that the user gave a value for."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {
        name for name, source in sources.items() if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")
    }


def _refuse(options: set[str], why: str) -> None:
    if options:
        raise InputError(f"--{min(options).replace('_', '-')} {why}")


def _texts(words: list[str] | None) -> list[str]:
    """The texts to compare: the arguments, or the lines of stdin where the argument is - or missing."""
    if words and words != ["-"]:
        for word in words:
            tell_file(word)
        return words
    return [line for line in text_argument(words[0] if words else None, "TEXT").split("\n") if line.strip()]
