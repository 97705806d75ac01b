"""From a name to a description of the checkpoint. No weights are loaded."""

from dataclasses import dataclass
from functools import cached_property

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.source import Source, find, no_weights
from gptcli.model.config import GPTConfig
from gptcli.tokenizer import Tokenizer, tokenizer_for
from gptcli.tokenizer.prompt import prompt_ids


@dataclass(frozen=True)
class Checkpoint:
    """The description of a checkpoint.

    Attributes:
        source: its folder and files.
        header: of its tensors.
        blueprint: its configuration and how our tensors are made of its own.
        tokenizer: text <-> ids.
        eos_ids: ids that end a text.
    """

    source: Source
    header: Header
    blueprint: Blueprint
    tokenizer: Tokenizer
    eos_ids: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self.source.name

    @property
    def config(self) -> GPTConfig:
        """Its shape."""
        return self.blueprint.config

    @cached_property
    def n_vocab(self) -> int:
        """Ids below this stand for text; the rest only pad the embedding."""
        size = min(self.tokenizer.n_vocab, self.config.vocab_size)
        return self.tokenizer.text_end(size) or size

    def encode_prompt(self, text: str, *, bos: bool = False) -> list[int]:
        """The ids that the model reads for a text (see ``prompt_ids``).

        Raises:
            InputError: the text holds a token that the model lacks, or starts from one that the tokenizer lacks.
        """
        return prompt_ids(self.tokenizer, text, bos=bos, n_vocab=self.n_vocab)


def understand(name: str, n_head: int | None = None) -> tuple[Source, Header, Blueprint]:
    """A checkpoint's source, header and blueprint, without its tokenizer.

    Args:
        name: a folder, a .safetensors file, a bundled or short name, or ``owner/name`` on the hub.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        GptcliError: it is not there, broken, or of no family known here.
    """
    source = find(name)
    header = source.header
    if header is None:
        raise no_weights(source)
    return source, header, read_blueprint(source, header, n_head)


def read_checkpoint(name: str, n_head: int | None = None) -> Checkpoint:
    """Find and understand a checkpoint.

    Args:
        name, n_head: see ``understand``.

    Raises:
        GptcliError: it is not there, broken, or of no family known here.
    """
    source, header, blueprint = understand(name, n_head)
    tokenizer = tokenizer_for(source.folder, blueprint.config.vocab_size)
    own_eos = () if tokenizer.eos_id is None else (tokenizer.eos_id,)
    return Checkpoint(source, header, blueprint, tokenizer, blueprint.eos_ids or own_eos)
