"""tokenizer.json, the file of Hugging Face's tokenizers library, as far as it describes byte-level BPE."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import read_json_object
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.bpe import NormalForm, Tokenizer
from gptcli.tokenizer.gpt1 import END_OF_WORD, WordTokenizer, read_cleaning
from gptcli.tokenizer.pairs import byte_level
from gptcli.tokenizer.vocabulary import is_id

# Added tokens are looked for in every text; a longer one is no token but a way to make that slow.
_LONGEST_ADDED = 10_000
_FORMS: dict[Any, NormalForm] = {"NFC": "NFC", "NFD": "NFD", "NFKC": "NFKC", "NFKD": "NFKD"}


def read_tokenizer_json(path: Path, *, n_vocab: int = 0, eos: str | Sequence[str] | None = None) -> Tokenizer:
    """The tokenizer that a tokenizer.json describes.

    Args:
        path: the file.
        n_vocab: the size of the model's vocabulary, if known.
        eos: the token that ends a text, or candidates for it.

    Raises:
        CheckpointError: the file is broken, or describes something other than byte-level BPE.
    """
    root = read_json_object(path)
    model = _object(root.get("model"), f"{path}: model")
    if model.get("end_of_word_suffix") == END_OF_WORD:
        return _word_level(root, model, path, n_vocab, eos)
    _check_model(model, path)
    unknown = model.get("unk_token")
    vocab = _object(model.get("vocab"), f"{path}: model.vocab")
    pattern, prefix_space = _pre_tokenizer(root.get("pre_tokenizer"), path)
    return byte_level(
        path.parent.name,
        vocab,
        _merges(model.get("merges"), path),
        pattern,
        str(path),
        ignore_merges=model.get("ignore_merges") is True,
        unknown=vocab.get(unknown) if isinstance(unknown, str) else None,
        added=[added_token(entry, f"{path}: added_tokens") for entry in _list(root.get("added_tokens"), path)],
        n_vocab=n_vocab,
        eos=eos,
        prefix_ids=_prefix_ids(root.get("post_processor"), path),
        normal_forms=_normal_forms(root.get("normalizer"), path),
        prefix_space=prefix_space,
    )


def _word_level(
    root: dict[str, Any], model: dict[str, Any], path: Path, n_vocab: int, eos: str | Sequence[str] | None
) -> WordTokenizer:
    unknown = model.get("unk_token")
    return WordTokenizer(
        path.parent.name,
        _object(model.get("vocab"), f"{path}: model.vocab"),
        _merges(model.get("merges"), path),
        unknown=unknown if isinstance(unknown, str) else None,
        cleaning=read_cleaning(root.get("normalizer"), root.get("pre_tokenizer"), str(path)),
        added=[added_token(entry, f"{path}: added_tokens") for entry in _list(root.get("added_tokens"), path)],
        n_vocab=n_vocab,
        eos=eos,
    )


def added_token(entry: Any, where: str) -> AddedToken:
    """An added token as tokenizer.json writes it.

    Raises:
        CheckpointError: it has no text or no id.
    """
    fields = _object(entry, where)
    content, number = fields.get("content"), fields.get("id")
    if not isinstance(content, str) or not content:
        raise CheckpointError(f"{where}: an added token has no content: {str(entry)[:80]}")
    if not isinstance(number, int) or not is_id(number):
        raise CheckpointError(f"{where}: the added token {content!r:.80} has the id {number!r:.80}, which is no id")
    if len(content) > _LONGEST_ADDED:
        raise CheckpointError(f"{where}: the added token {content[:40]!r}... has {len(content):,} characters")
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise CheckpointError(f"{where}: the added token {content!r:.80} is no Unicode text")
    special = fields.get("special") is True
    return AddedToken(
        content,
        number,
        special=special,
        lstrip=fields.get("lstrip") is True,
        rstrip=fields.get("rstrip") is True,
        single_word=fields.get("single_word") is True,
        normalized=fields.get("normalized", not special) is True,
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(f"{where} is not a JSON object")
    return value


def _list(value: Any, where: object) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise CheckpointError(f"{where}: a list was expected, not {str(value)[:80]}")
    return value or []


def _check_model(model: dict[str, Any], path: Path) -> None:
    kind = model.get("type", "BPE")
    if kind != "BPE":
        raise CheckpointError(f"{path}: the tokenizer's model is {kind!s:.80}: gptcli reads byte-level BPE")
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(option):
            raise CheckpointError(
                f"{path}: the tokenizer has {option}, so it is not byte-level BPE, which gptcli reads"
            )


def _merges(value: Any, path: Path) -> list[tuple[str, str]]:
    """Merges as pairs; files have them as pairs or as two tokens with a space between."""
    if not isinstance(value, list):
        raise CheckpointError(f"{path}: model.merges is not a list")
    merges = []
    for place, entry in enumerate(value, start=1):
        match entry.split(" ") if isinstance(entry, str) else entry:
            case [str(first), str(second)] if first and second:
                merges.append((first, second))
            case _:
                raise CheckpointError(f"{path}: merge {place} is not two tokens: {str(entry)[:80]!r}")
    return merges


def _pre_tokenizer(value: Any, path: Path) -> tuple[str, bool]:
    """The pattern that cuts text into pieces, and whether a space is put before it."""
    steps = [value] if isinstance(value, dict) else []
    if steps and value.get("type") == "Sequence":
        steps = _list(value.get("pretokenizers"), path)
    kinds = [step.get("type") if isinstance(step, dict) else None for step in steps]
    if not kinds or kinds[-1] != "ByteLevel":
        said = ", ".join(map(str, kinds)) or "none"
        raise CheckpointError(
            f"{path}: the pre-tokenizer is not byte-level (it is {said}): gptcli reads byte-level BPE"
        )
    prefix_space = steps[-1].get("add_prefix_space", True) is True
    cuts_words = steps[-1].get("use_regex", True) is True
    if kinds == ["ByteLevel"]:
        return (patterns.GPT2 if cuts_words else patterns.WHOLE), prefix_space
    if kinds == ["Split", "ByteLevel"] and not cuts_words and not prefix_space:
        return _split_pattern(steps[0], path), False
    raise CheckpointError(
        f"{path}: gptcli does not know pre-tokenizers in this combination: {', '.join(map(str, kinds))}"
    )


def _split_pattern(step: dict[str, Any], path: Path) -> str:
    pattern = step.get("pattern")
    behaviour, inverted = step.get("behavior"), step.get("invert") is True
    if isinstance(pattern, dict) and behaviour == "Isolated" and not inverted:
        if isinstance(expression := pattern.get("Regex"), str):
            if re.search(r"[0-9]\}\+", expression):
                # Hugging Face's engine reads "repeat the repetition" where tiktoken's reads "do not give back".
                raise CheckpointError(
                    f"{path}: gptcli does not know how to read }}+ in the pre-tokenizer: {expression:.200}"
                )
            return patterns.isolating(expression)
        if isinstance(literal := pattern.get("String"), str) and literal:
            return patterns.isolating(patterns.literal(literal))
    raise CheckpointError(f"{path}: the pre-tokenizer splits in a way that gptcli does not know: {str(step)[:200]}")


def _normal_forms(value: Any, path: Path) -> list[NormalForm]:
    if value is None:
        return []
    steps = _list(value.get("normalizers"), path) if _object(value, str(path)).get("type") == "Sequence" else [value]
    kinds = [str(step.get("type")) if isinstance(step, dict) else None for step in steps]
    for kind in kinds:
        if kind not in _FORMS:
            raise CheckpointError(f"{path}: gptcli does not know the normalizer {kind!s:.80}")
    return [_FORMS[kind] for kind in kinds]


def _prefix_ids(value: Any, path: Path) -> list[int]:
    """What the post-processor puts before a text."""
    if not isinstance(value, dict):
        return []
    match value.get("type"):
        case "Sequence":
            return [token for step in _list(value.get("processors"), path) for token in _prefix_ids(step, path)]
        case "TemplateProcessing":
            return _template_prefix(value, path)
        case "RobertaProcessing" | "BertProcessing":
            match value.get("cls"):
                case [str(), token] if is_id(token):
                    return [token]
    return []


def _template_prefix(template: dict[str, Any], path: Path) -> list[int]:
    tokens = _object(template.get("special_tokens") or {}, f"{path}: post_processor.special_tokens")
    prefix: list[int] = []
    for item in _list(template.get("single"), path):
        match item:
            case {"SpecialToken": {"id": str(name)}}:
                match tokens.get(name):
                    case {"ids": [*ids]} if all(map(is_id, ids)):
                        prefix += ids
                    case _:
                        raise CheckpointError(f"{path}: the post-processor puts {name!r:.80} first and gives it no id")
            case _:
                break
    return prefix
