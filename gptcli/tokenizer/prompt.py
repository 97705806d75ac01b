"""The input ids of a prompt."""

from collections.abc import Sequence

from gptcli.errors import InputError
from gptcli.text import quoted, quoted_few
from gptcli.tokenizer.base import Tokenizer


def prompt_ids(tokenizer: Tokenizer, prompt: str, *, bos: bool = False, n_vocab: int | None = None) -> list[int]:
    """The input ids of a prompt.

    They begin with the ids that the checkpoint's tokenizer puts before every text (none for GPT-2). With ``bos``, or
    for an empty prompt, they begin with the end-of-text token, which preceded every document in GPT-2's training.

    Raises:
        InputError: the end-of-text token is needed and the tokenizer has none; or an id is not below ``n_vocab``, so
            that the model has no embedding for it; or the prompt has no tokens.
    """
    read = tokenizer.encode(prompt)
    if prompt.strip() and not read:
        raise InputError(
            f"the tokenizer {tokenizer.name} makes no tokens of {quoted(prompt)}: nothing of it would be read"
        )
    ids = known(tokenizer, [*tokenizer.prefix_ids, *read], n_vocab)
    begun = bool(tokenizer.prefix_ids) and tokenizer.prefix_ids[-1] == tokenizer.eos_id
    if ids and (begun or not bos):
        return ids
    if n_vocab is not None and tokenizer.eos_id is not None and tokenizer.eos_id >= n_vocab:
        raise InputError(f"the end-of-text token of {tokenizer.name} is one that the model lacks: give a prompt")
    if tokenizer.eos_id is None:
        raise InputError(f"the tokenizer {tokenizer.name} has no end-of-text token to start from: give a prompt")
    return [tokenizer.eos_id, *ids]


def known(tokenizer: Tokenizer, ids: list[int], n_vocab: int | None, what: str = "the prompt") -> list[int]:
    """Return the ids unchanged after checking that the model has all of them.

    Raises:
        InputError: an id is not below ``n_vocab``; ``what`` names the text in the message.
    """
    unknown = next((token for token in ids if n_vocab is not None and token >= n_vocab), None)
    if unknown is not None:
        shown = f"{quoted(tokenizer.decode([unknown]))} (id {unknown:,})"
        raise InputError(f"{what} holds {shown}, a token of {tokenizer.name} that the model lacks")
    return ids


def quoted_tokens(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The first few tokens of a text and the number of the others, for a message."""
    return quoted_few((tokenizer.decode([token]) for token in ids), len(ids))
