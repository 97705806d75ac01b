"""The tokenizer of a checkpoint: its own, or another one that the user names."""

import os.path
from pathlib import Path

from gptcli.checkpoint.chat_templates import CONFIG
from gptcli.checkpoint.hub.cached import SMALL_FILES
from gptcli.checkpoint.source import Source, find
from gptcli.errors import GptcliError
from gptcli.system.bundled import bundled_folder
from gptcli.system.json_text import read_json_object
from gptcli.text import clipped
from gptcli.tokenizer import Tokenizer, encoding_names, is_gpt2s, tiktoken_encoding, tokenizer_for


def tokenizer_of(source: Source, vocab_size: int | None, given: str | None = None) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer to use with a checkpoint.

    Args:
        source: the checkpoint.
        vocab_size: the number of ids of the model, if known.
        given: another checkpoint whose tokenizer to use, or the name of a tiktoken encoding.

    Returns:
        The tokenizer, and warnings about it.

    Raises:
        GptcliError: there is none, or its files are broken.
    """
    if given is not None:
        tokenizer = _named(given)
        return tokenizer, _doubts(tokenizer, vocab_size)
    _check_fetched(source)
    tokenizer = tokenizer_for(source.folder, vocab_size)
    if not is_gpt2s(source.folder, vocab_size) or _says_gpt2(source.folder):
        return tokenizer, ()
    return tokenizer, (
        f"{clipped(source.name)} comes without a tokenizer: by the size of its vocabulary, {vocab_size:,}, it is taken "
        "to have GPT-2's (--tokenizer NAME reads it with another)",
    )


def _says_gpt2(folder: Path) -> bool:
    """Whether the checkpoint is bundled, or its tokenizer_config.json names GPT-2's tokenizer."""
    if folder.parent == bundled_folder():
        return True
    declared = folder / CONFIG
    return declared.is_file() and str(read_json_object(declared).get("tokenizer_class")).startswith("GPT2Tokenizer")


def own_tokenizer(source: Source) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer of a checkpoint of which nothing else is read (see ``tokenizer_of``).

    Raises:
        GptcliError: there is none, or its files are broken.
    """
    if (source.folder / "tokenizer.json").is_file():  # the size matters little then, and takes longer to find out
        size = (source.config or {}).get("vocab_size")
        return tokenizer_of(source, size if isinstance(size, int) else None)
    from gptcli.checkpoint.families import vocabulary_size

    return tokenizer_of(source, vocabulary_size(source))


def _named(name: str) -> Tokenizer:
    if os.path.basename(name) == "tokenizer.json" and os.path.isfile(name):
        return tokenizer_for(Path(name).parent, None)
    if name in encoding_names() and not os.path.exists(name):
        return tiktoken_encoding(name)
    source = find(name, only_look=SMALL_FILES)
    _check_fetched(source)
    return tokenizer_for(source.folder, None)


def _check_fetched(source: Source) -> None:
    """Refuse to guess a tokenizer where the model's own may be on the hub."""
    if source.lacks_tokenizer is not None:
        raise GptcliError(
            f"the cache has the weights of {source.hub_name} and not its tokenizer: run 'gptcli models pull "
            f"{source.hub_name}' where there is a network, or name a model that has the same one (--tokenizer NAME); "
            f"fetching it failed: {source.lacks_tokenizer}"
        )


def _doubts(tokenizer: Tokenizer, vocab_size: int | None) -> tuple[str, ...]:
    if vocab_size is None or tokenizer.n_vocab <= vocab_size:
        return ()
    return (
        f"the tokenizer {clipped(tokenizer.name)} has {tokenizer.n_vocab:,} tokens and the model {vocab_size:,}: "
        "is it the one that the model was trained with?",
    )
