"""The tokenizer of a checkpoint folder: tokenizer.json, or vocab.json with merges.txt."""

from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import read_bytes, read_json_object
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.bpe import Tokenizer
from gptcli.tokenizer.gpt1 import WordTokenizer, is_word_level
from gptcli.tokenizer.named import gpt2_tokenizer
from gptcli.tokenizer.pairs import byte_level
from gptcli.tokenizer.tokenizer_json import added_token, read_tokenizer_json

# GPT-2's vocabulary, and the same padded to a multiple of 64 as many training scripts do.
_GPT2_SIZES = (50257, 50304)
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_USUAL_ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>")


def tokenizer_for(folder: Path, vocab_size: int | None) -> Tokenizer:
    """The tokenizer of a checkpoint.

    Looks for tokenizer.json, then for vocab.json with merges.txt, and takes the bundled GPT-2 vocabulary where there is
    neither and the size fits.

    Args:
        folder: the checkpoint's folder.
        vocab_size: how many ids the model has, if known.

    Raises:
        CheckpointError: a file is broken, describes something other than byte-level BPE, or none is there.
    """
    declared = _declared(folder)
    if (folder / "tokenizer.json").is_file():
        return read_tokenizer_json(folder / "tokenizer.json", n_vocab=vocab_size or 0, eos=_end_of_text(declared))
    missing = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if not missing:
        return _from_vocab_and_merges(folder, declared, vocab_size or 0)
    if len(missing) == 2 and vocab_size in _GPT2_SIZES:
        return gpt2_tokenizer(vocab_size)
    if len(missing) == 2 and (folder / "tokenizer.model").is_file():
        raise CheckpointError(f"{folder / 'tokenizer.model'} is a SentencePiece model: gptcli reads byte-level BPE")
    size = "" if vocab_size is None else f", and a vocabulary of {vocab_size} is not GPT-2's"
    raise CheckpointError(
        f"{folder} has no tokenizer: there is no tokenizer.json and no {' or '.join(missing)}{size}; "
        "put the files of the model's tokenizer there"
    )


def _declared(folder: Path) -> dict[str, Any]:
    """What special_tokens_map.json and tokenizer_config.json say, the latter winning."""
    files = (folder / "special_tokens_map.json", folder / "tokenizer_config.json")
    return {key: value for path in files if path.is_file() for key, value in read_json_object(path).items()}


def _end_of_text(declared: dict[str, Any]) -> str | tuple[str, ...]:
    return _content(declared.get("eos_token")) or _USUAL_ENDS


def _content(token: Any) -> str | None:
    """The text of a token that is given as such or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) and text else None


def _from_vocab_and_merges(folder: Path, declared: dict[str, Any], n_vocab: int) -> Tokenizer:
    vocab = read_json_object(folder / "vocab.json")
    extra = read_json_object(folder / "added_tokens.json") if (folder / "added_tokens.json").is_file() else {}
    merges = _read_merges(folder / "merges.txt")
    added = _added_tokens(folder, declared, vocab, extra)
    if is_word_level(merges):
        unknown_token = _content(declared.get("unk_token")) or "<unk>"
        return WordTokenizer(folder.name, vocab, merges, unknown=unknown_token, added=added, n_vocab=n_vocab)
    unknown = vocab.get(_content(declared.get("unk_token")) or "")
    starts = [token.id for token in added if token.content == _content(declared.get("bos_token"))]
    return byte_level(
        folder.name,
        vocab,
        merges,
        patterns.GPT2,
        str(folder / "vocab.json"),
        unknown=unknown,
        added=added,
        n_vocab=n_vocab,
        eos=_end_of_text(declared),
        prefix_ids=starts if declared.get("add_bos_token") is True else (),
        prefix_space=declared.get("add_prefix_space") is True,
    )


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = read_bytes(path).decode().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not readable text: {error}") from error
    merges = []
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#version"):
            continue
        first, space, second = line.partition(" ")
        if not (first and space and second) or " " in second:
            raise CheckpointError(f"{path}, line {number}: {line[:80]!r} is not two tokens with a space between")
        merges.append((first, second))
    return merges


def _added_tokens(
    folder: Path, declared: dict[str, Any], vocab: dict[str, Any], extra: dict[str, Any]
) -> list[AddedToken]:
    """The added tokens: those with a role (as far as they have an id), added_tokens.json's, and the decoder table's."""
    known = vocab | extra
    more = declared.get("additional_special_tokens")
    named = [declared.get(role) for role in _ROLES] + (more if isinstance(more, list) else [])
    roles = {text: token for token in named if (text := _content(token)) is not None} or dict.fromkeys(_USUAL_ENDS)
    where = str(folder / "added_tokens.json")
    found = {
        text: added_token({"content": text, "id": number, "special": False}, where) for text, number in extra.items()
    }
    for text, token in roles.items():
        if text in known:
            options = token if isinstance(token, dict) else {}
            found[text] = added_token({**options, "content": text, "id": known[text], "special": True}, where)
    table = declared.get("added_tokens_decoder")
    for number, token in table.items() if isinstance(table, dict) else ():
        if isinstance(token, dict) and number.isdecimal() and len(number) <= 10:
            made = added_token({**token, "id": int(number)}, str(folder / "tokenizer_config.json"))
            found[made.content] = made
    return list(found.values())
