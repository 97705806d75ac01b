"""The options that similarity, neighbors, analogy and direction share."""

from pathlib import Path
from typing import Annotated

import typer

from gptcli.embedding.metric import Metric
from gptcli.errors import InputError
from gptcli.options import text_argument

# The vectors of the video. GPTCLI_MODEL names a GPT to run, and does not change what words are compared in.
DEFAULT_EMBEDDING = "glove-50d"
_PANEL = "Embedding"

EmbeddingOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FOLDER|FILE",
        help="Word vectors, or a GPT for the vectors of its tokens.",
        rich_help_panel=_PANEL,
    ),
]
UnembeddingOption = Annotated[
    bool, typer.Option("--unembedding", help="A GPT's unembedding, not its embedding.", rich_help_panel=_PANEL)
]
NoSpaceOption = Annotated[
    bool,
    typer.Option(
        "--no-space",
        help="A GPT's token for a word that starts a text, not for one after a space.",
        rich_help_panel=_PANEL,
    ),
]
RestrictOption = Annotated[
    int | None,
    typer.Option(
        "--restrict", metavar="N", min=1, help="Search the N most frequent words only.", rich_help_panel=_PANEL
    ),
]
MetricOption = Annotated[Metric, typer.Option(help="How likeness is measured.")]
KeepQueryOption = Annotated[bool, typer.Option("--keep-query", help="List the query's own words too.")]
CountUnknownOption = Annotated[
    bool,
    typer.Option(
        "--count-unknown",
        help="Count what has an unknown word as wrong; it is skipped otherwise.",
        rich_help_panel="Evaluation",
    ),
]
EvaluateOption = Annotated[
    Path | None, typer.Option("--evaluate", metavar="FILE", help="Score a test set.", rich_help_panel="Evaluation")
]


def words_argument(words: list[str] | None, what: str) -> list[str]:
    """The words to work on: the arguments, or those on stdin, between spaces, where the argument is - or missing.

    Args:
        words: the arguments as given.
        what: their name, for the error message.

    Raises:
        InputError: there is neither an argument nor a pipe.
    """
    if words and words != ["-"]:
        return words
    return text_argument(words[0] if words else None, what).split()


def no_words_with_evaluate(words: list[str] | None, file: Path) -> None:
    """Refuse a question beside a test set.

    Raises:
        InputError: there are words too.
    """
    if words:
        raise InputError(f"--evaluate {file} asks its own questions: leave out '{' '.join(words)}'")
