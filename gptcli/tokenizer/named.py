"""Tokenizers that are known by name: GPT-2's, which is bundled, and tiktoken's other encodings."""

import binascii
from functools import lru_cache

from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.system.bundled import bundled_folder
from gptcli.text import clipped
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.base import Declared
from gptcli.tokenizer.bpe import RankTokenizer

END_OF_TEXT = "<|endoftext|>"


@lru_cache(maxsize=4)
def gpt2_tokenizer(n_vocab: int = 50257) -> RankTokenizer:
    """GPT-2's tokenizer, from the bundled vocabulary.

    Args:
        n_vocab: the size of the model's vocabulary; ids from 50257 on are padding and have no token.

    Raises:
        CheckpointError: the bundled file is missing or broken.
    """
    path = bundled_folder() / "gpt2-bpe" / "gpt2.tiktoken"
    try:
        # No Python loop, as every command that reads a text waits for this. The file lists tokens in order of rank, so
        # the ranks themselves need not be parsed.
        words = path.read_bytes().split()
        ranks = dict(zip(map(binascii.a2b_base64, words[::2]), range(len(words) // 2), strict=True))
        if words[-1:] != [b"%d" % (len(ranks) - 1)]:
            raise ValueError("its last line is not its last rank")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}, which belongs to gptcli, is not readable ({error}): install again") from error
    added = [AddedToken(END_OF_TEXT, 50256)]
    declared = Declared({"eos_token": END_OF_TEXT}, (END_OF_TEXT,), n_vocab)
    return RankTokenizer("gpt2", ranks, patterns.GPT2, added=added, declared=declared)


def encoding_names() -> list[str]:
    """The names that ``tiktoken_encoding`` takes."""
    import tiktoken

    return sorted(tiktoken.list_encoding_names())


def tiktoken_encoding(name: str) -> RankTokenizer:
    """One of tiktoken's encodings, such as ``cl100k_base``.

    ``gpt2`` and ``r50k_base`` are bundled; the others come from tiktoken's own cache, or are downloaded to it.

    Raises:
        InputError: tiktoken has no encoding with that name.
        GptcliError: it is not in the cache and cannot be downloaded.
    """
    if name in ("gpt2", "r50k_base"):
        return gpt2_tokenizer()
    if name not in encoding_names():
        raise InputError(f"no encoding '{clipped(name)}': tiktoken knows {', '.join(encoding_names())}")
    import tiktoken

    try:
        encoding = tiktoken.get_encoding(name)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a damaged download is a ValueError
        raise GptcliError(
            f"the encoding '{name}' is not in tiktoken's cache and cannot be downloaded: run this once where there is "
            "a network, or set TIKTOKEN_CACHE_DIR to a folder that holds it"
        ) from error
    added = [AddedToken(text, token) for text, token in encoding._special_tokens.items()]
    declared = Declared(eos=(END_OF_TEXT,))
    return RankTokenizer(name, encoding._mergeable_ranks, encoding._pat_str, added=added, declared=declared)
