"""From a name to a description of the checkpoint. No weights are loaded."""

from dataclasses import dataclass
from functools import cached_property

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.families.not_run import why_not_run
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.generation_config import GenerationConfig, read_generation_config
from gptcli.checkpoint.source import Source, find, no_weights
from gptcli.checkpoint.tokenizers import tokenizer_of
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import prompt_ids


@dataclass(frozen=True)
class Checkpoint:
    """The description of a checkpoint.

    Attributes:
        source: where it lies.
        header: where its tensors lie.
        blueprint: what it is and how that is known.
        tokenizer: text <-> ids, as it was trained with.
        eos_ids: ids that end a text: generation_config.json's, else config.json's, else the tokenizer's.
        generation: what its generation_config.json says.
        tokenizer_notes: what should be told about the tokenizer.
    """

    source: Source
    header: Header
    blueprint: Blueprint
    tokenizer: Tokenizer
    eos_ids: tuple[int, ...]
    generation: GenerationConfig
    tokenizer_notes: tuple[str, ...] = ()

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

    @cached_property
    def unused(self) -> tuple[int, ...]:
        """Ids below ``n_vocab`` that no token has."""
        return tuple(self.tokenizer.unused(self.n_vocab))

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
    blueprint = read_blueprint(source, header, n_head)
    if blueprint.config.experts is not None:
        why = why_not_run(blueprint.family)
        raise CheckpointError(f"{source.folder / 'config.json'}: model_type {blueprint.family!r} {why}")
    return source, header, blueprint


def read_checkpoint(name: str, n_head: int | None = None, tokenizer: str | None = None) -> Checkpoint:
    """Find and understand a checkpoint.

    Args:
        name, n_head: see ``understand``.
        tokenizer: the name of another one whose tokenizer reads its texts; None: its own.

    Raises:
        GptcliError: it is not there, broken, or of no family known here.
    """
    source, header, blueprint = understand(name, n_head)
    text, notes = tokenizer_of(source, blueprint.config.vocab_size, tokenizer)
    own_eos = () if text.eos_id is None else (text.eos_id,)
    generation = read_generation_config(source.folder)
    eos_ids = generation.eos_ids or blueprint.eos_ids or own_eos
    return Checkpoint(source, header, blueprint, text, eos_ids, generation, notes)
