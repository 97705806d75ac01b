"""The tokenizer of a checkpoint folder: tokenizer.json, or vocab.json with merges.txt."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import read_bytes, read_json_object
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken, added_token
from gptcli.tokenizer.base import Declared, Tokenizer, name_of
from gptcli.tokenizer.bpe import RankTokenizer
from gptcli.tokenizer.named import gpt2_tokenizer
from gptcli.tokenizer.vocabulary import NotByRank, build, is_id

# The size of GPT-2's vocabulary, and the same padded to a multiple of 64, as many training scripts do.
_GPT2_SIZES = (50257, 50304)
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SURROGATES = re.compile("[\ud800-\udfff]")
_USUAL_ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")
_END_OF_WORD = "</w>"


def tokenizer_for(folder: Path, vocab_size: int | None) -> Tokenizer:
    """The tokenizer of a checkpoint.

    Looks for tokenizer.json, then for vocab.json with merges.txt. If neither exists and the vocabulary size matches,
    uses the bundled GPT-2 vocabulary.

    Args:
        folder: the checkpoint's folder.
        vocab_size: the number of ids of the model, if known.

    Raises:
        CheckpointError: a file is broken, or there is none.
    """
    files = _said(folder)
    roles = {role: text for role in _ROLES if (text := _content(files.get(role))) is not None}
    declared = Declared(roles, (roles["eos_token"],) if "eos_token" in roles else _USUAL_ENDS, vocab_size or 0)
    if (folder / "tokenizer.json").is_file():
        return _from_tokenizer_json(folder, files, declared)
    missing = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if not missing:
        return _from_vocab_and_merges(folder, files, declared)
    if is_gpt2s(folder, vocab_size):
        return gpt2_tokenizer(vocab_size or 0)
    advice = "put the files of the model's tokenizer there, or name a model that has the same (--tokenizer NAME)"
    if len(missing) == 2 and (folder / "tokenizer.model").is_file():
        raise CheckpointError(
            f"{folder / 'tokenizer.model'} is a SentencePiece model, which gptcli does not read: {advice}"
        )
    size = "" if vocab_size is None else f", and a vocabulary of {vocab_size} is not GPT-2's"
    raise CheckpointError(
        f"{folder} has no tokenizer: there is no tokenizer.json and no {' or '.join(missing)}{size}; {advice}"
    )


def is_gpt2s(folder: Path, vocab_size: int | None) -> bool:
    """Whether a checkpoint has no tokenizer files and is assumed to use GPT-2's, based only on its vocabulary size."""
    names = ("tokenizer.json", "vocab.json", "merges.txt")
    return vocab_size in _GPT2_SIZES and not any((folder / name).is_file() for name in names)


def _said(folder: Path) -> dict[str, Any]:
    """The merged fields of special_tokens_map.json and tokenizer_config.json; the latter takes precedence."""
    files = (folder / "special_tokens_map.json", folder / "tokenizer_config.json")
    return {key: value for path in files if path.is_file() for key, value in read_json_object(path).items()}


def _content(token: Any) -> str | None:
    """The text of a token that is given as a string or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    # Lone surrogates, which JSON can write, are no text.
    return text if isinstance(text, str) and text and not _SURROGATES.search(text) else None


def _extra(folder: Path) -> dict[str, Any]:
    path = folder / "added_tokens.json"
    return read_json_object(path) if path.is_file() else {}


def _from_tokenizer_json(folder: Path, files: dict[str, Any], declared: Declared) -> Tokenizer:
    from gptcli.tokenizer.tokenizer_json import read_tokenizer_json

    path = folder / "tokenizer.json"
    return read_tokenizer_json(
        path, extra_tokens=_numbered(folder, files, _extra(folder)), roles=_roles(files), declared=declared
    )


def _from_vocab_and_merges(folder: Path, files: dict[str, Any], declared: Declared) -> Tokenizer:
    path = folder / "vocab.json"
    vocab, extra = read_json_object(path), _extra(folder)
    merges = _read_merges(folder / "merges.txt")
    added = _added_tokens(folder, files, vocab, extra)
    unknown = _content(files.get("unk_token"))
    if any(second.endswith(_END_OF_WORD) for _, second in merges[:1000]):
        return _by_library(_gpt1(vocab, merges, unknown or "<unk>"), path, added, declared)
    starts = [token.id for token in added if token.content == declared.roles.get("bos_token")]
    prefix_ids = starts if files.get("add_bos_token") is True else []
    prefix_space = files.get("add_prefix_space") is True
    try:
        built = build(vocab, merges, str(path), unknown=vocab.get(unknown or ""))
    except NotByRank:
        root = _gpt2(vocab, merges, unknown, prefix_space=prefix_space)
        return _by_library(root, path, added, declared, prefix_ids)
    return RankTokenizer(
        name_of(folder),
        built.ranks,
        patterns.GPT2,
        ids=built.ids,
        unmerged=built.unmerged,
        added=added,
        prefix_ids=prefix_ids,
        prefix_space=prefix_space,
        declared=declared,
    )


def _by_library(
    root: Mapping[str, Any],
    path: Path,
    added: list[AddedToken],
    declared: Declared,
    prefix_ids: Sequence[int] = (),
) -> Tokenizer:
    from gptcli.tokenizer.tokenizer_json import made_of

    made = made_of(root, path, extra_tokens=added, declared=declared)
    made.prefix_ids += prefix_ids
    return made


def _gpt1(vocab: dict[str, Any], merges: list[tuple[str, str]], unknown: str) -> dict[str, Any]:
    """GPT-1's tokenizer (Radford et al. 2018) as a tokenizer.json: lower-cased words with an end-of-word suffix."""
    options = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": True, "lowercase": True}
    return {
        "normalizer": {"type": "BertNormalizer", **options},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "BPEDecoder", "suffix": _END_OF_WORD},
        "model": {
            "type": "BPE",
            "unk_token": unknown if unknown in vocab else None,
            "end_of_word_suffix": _END_OF_WORD,
            "vocab": vocab,
            "merges": merges,
        },
    }


def _gpt2(
    vocab: dict[str, Any], merges: list[tuple[str, str]], unknown: str | None, *, prefix_space: bool
) -> dict[str, Any]:
    """A GPT-2-like tokenizer as a tokenizer.json."""
    step = {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "unk_token": unknown if unknown in vocab else None, "vocab": vocab, "merges": merges}
    return {"pre_tokenizer": step, "decoder": step, "model": model}


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


def _roles(files: dict[str, Any]) -> dict[str, Any]:
    """The tokens with a role: text to the options given for it."""
    named = [files.get(role) for role in _ROLES]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = files.get(key)
        named += more if isinstance(more, list) else []
    return {text: token if isinstance(token, dict) else {} for token in named if (text := _content(token)) is not None}


def _numbered(folder: Path, files: dict[str, Any], extra: dict[str, Any]) -> list[AddedToken]:
    """The added tokens that have an id: those in added_tokens.json, and in the table of tokenizer_config.json."""
    where = str(folder / "added_tokens.json")
    found = {text: added_token({"content": text, "id": number}, where) for text, number in extra.items()}
    table = files.get("added_tokens_decoder")
    for number, token in table.items() if isinstance(table, dict) else ():
        if isinstance(token, dict) and number.isdecimal() and len(number) <= 10:
            made = added_token({**token, "id": int(number)}, str(folder / "tokenizer_config.json"))
            found[made.content] = made
    return list(found.values())


def _added_tokens(
    folder: Path, files: dict[str, Any], vocab: dict[str, Any], extra: dict[str, Any]
) -> list[AddedToken]:
    """All added tokens, and the tokens with a role that are in the vocabulary."""
    known = vocab | extra
    roles = _roles(files) or {text: {} for text in _USUAL_ENDS}
    numbered = {token.content: token for token in _numbered(folder, files, extra)}
    said = files.get("added_tokens_decoder")
    table = {_content(token) for token in said.values()} if isinstance(said, dict) else set()
    where = str(folder / "vocab.json")
    for text, options in roles.items():
        if text in known and text not in table:
            numbered[text] = added_token({**options, "content": text, "id": known[text], "special": True}, where)
    return [token for token in numbered.values() if is_id(token.id)]
