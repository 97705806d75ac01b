"""The options that similarity, neighbors, analogy and direction share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli.options import TimeoutOption, TokenizerOption
from gptcli.embedding.metric import Metric
from gptcli.errors import InputError
from gptcli.text import clipped

if TYPE_CHECKING:
    from gptcli.embedding.load import Embedding

# The video's vectors. GPTCLI_MODEL names a GPT to run, and does not change this.
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


@dataclass(frozen=True)
class EmbeddingOptions:
    """Options for the vectors in which words are compared.

    Attributes:
        model, unembedding, tokenizer: as ``open_embedding`` takes them.
        no_space: the opposite of its ``leading_space``.
        timeout: how long a hub may take to answer; it applies as soon as it is parsed.
    """

    model: EmbeddingOption = DEFAULT_EMBEDDING
    unembedding: UnembeddingOption = False
    no_space: NoSpaceOption = False
    tokenizer: TokenizerOption = None
    timeout: TimeoutOption = None

    def open(self) -> "Embedding":
        """Load the vectors.

        Raises:
            GptcliError: as ``open_embedding``.
        """
        from gptcli.embedding.load import open_embedding
        from gptcli.system.notices import notices

        opened = open_embedding(
            self.model, unembedding=self.unembedding, leading_space=not self.no_space, tokenizer=self.tokenizer
        )
        notices(opened.notes)
        return opened


RestrictOption = Annotated[
    int | None,
    typer.Option(
        "--restrict", metavar="N", min=1, help="Search the N most frequent words only.", rich_help_panel=_PANEL
    ),
]
MetricOption = Annotated[Metric, typer.Option(help="How similarity is measured.")]
KeepQueryOption = Annotated[bool, typer.Option("--keep-query", help="List the query's own words too.")]
CountUnknownOption = Annotated[
    bool,
    typer.Option(
        "--count-unknown",
        help="Count items with an unknown word as wrong, instead of skipping them.",
        rich_help_panel="Evaluation",
    ),
]
EvaluateOption = Annotated[
    Path | None, typer.Option("--evaluate", metavar="FILE", help="Score a test set.", rich_help_panel="Evaluation")
]


def no_words_with_evaluate(words: list[str] | None, file: Path) -> None:
    """Refuse words together with a test set.

    Raises:
        InputError: there are words.
    """
    if words:
        asked = clipped(" ".join(words))
        raise InputError(f"--evaluate {clipped(str(file))} asks its own questions: leave out '{asked}'")
