"""Checks a tokenizer.json before the library loads it: everything but the vocabulary is parsed, and sizes are bounded.

Hugging Face's library parses the whole file itself, several times as fast as Python. Some content makes it use far more
memory than the file's size: a trie of long tokens, an automaton of added tokens, a normalizer that turns one character
into a thousand. This module rejects such files.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import parse_json, parse_object
from gptcli.text import clipped

# The top-level keys that are read here, in case they come after the model.
_OTHER_KEYS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
_INSIDE = ("normalizers", "pretokenizers", "processors", "decoders")
_MODEL = re.compile(rb'"model"\s*:\s*\{')
# An escaped ASCII character that needs no escape; it could hide a key.
_HIDDEN = re.compile(rb"\\u00[2-7]")
_SUBWORD_PREFIX = re.compile(rb'"continuing_subword_prefix"\s*:\s*"[^"]')
_LIST_VOCABULARY = re.compile(rb'"vocab"\s*:\s*\[')
# The most characters of one added token and of all: the automaton that finds them takes some 75 bytes per character.
_LONGEST_ADDED, _MOST_ADDED = 10_000, 4_000_000
# The same for a vocabulary that is kept as a trie: 360 bytes per character, and one stack frame each to free it.
_LONGEST_IN_TRIE, _MOST_IN_TRIE = 1_000, 5_000_000
# The most characters that a normalizer or decoder may turn one character into.
MOST_GROWTH = 64


def read_outline(data: bytes, path: Path) -> dict[str, Any]:
    """A tokenizer.json without its vocabulary and merges.

    Args:
        data: the contents of the file.
        path: the file, for errors.

    Raises:
        CheckpointError: it is not a JSON object, has no model, or would take more memory than any tokenizer needs.
    """
    root = _head(data, path) or _whole(data, path)
    if not isinstance(root.get("model"), dict):
        raise CheckpointError(f"{path}: model is not a JSON object")
    _check_added(root.get("added_tokens"), path)
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if not isinstance(root.get(part), dict | None):
            raise CheckpointError(f"{path}: {part} is not a JSON object")
    for part in ("normalizer", "decoder"):
        if growth(root.get(part), path) > MOST_GROWTH:
            raise CheckpointError(
                f"{path}: the {part} makes more than {MOST_GROWTH} characters of one: no tokenizer needs that"
            )
    return root


def check_subword_prefix(data: bytes, path: Path) -> None:
    """Refuse merges whose second token lacks the prefix of subwords: the library cuts it off unseen, and aborts.

    Raises:
        CheckpointError: there is such a merge.
    """
    if not _SUBWORD_PREFIX.search(data) and not _HIDDEN.search(data):
        return
    model = parse_json(data, path, "").get("model", {})
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges")
    if model.get("type", "BPE") != "BPE" or not isinstance(prefix, str) or not isinstance(merges, list):
        return
    for merge in merges:
        parts = merge.split(" ", 1) if isinstance(merge, str) else merge
        second = parts[1] if isinstance(parts, list) and len(parts) == 2 else None
        if not isinstance(second, str) or not second.startswith(prefix):
            raise CheckpointError(
                f"{path}: the second token of merge {clipped(str(merge), 80)} does not begin with "
                f"{clipped(prefix, 40)!r}, the continuing_subword_prefix"
            )


def _head(data: bytes, path: Path) -> dict[str, Any] | None:
    """The fields before the model; None if the file may have other fields after it."""
    model = _MODEL.search(data)
    if model is None or _HIDDEN.search(data) or _LIST_VOCABULARY.search(data, model.start()):
        return None
    for key in _OTHER_KEYS:
        quoted = b'"%b"' % key.encode()
        # In a vocabulary, a word like this is followed by a number.
        if data.find(quoted, model.end()) >= 0 and re.compile(quoted + rb"\s*:\s*[^\s\d]").search(data, model.end()):
            return None
    try:
        return parse_object(data[: model.start()] + b'"model": {}}', path, "file")
    except CheckpointError:  # broken, or it has a nested "model"; parsing the whole file will tell
        return None


def _whole(data: bytes, path: Path) -> dict[str, Any]:
    root = parse_json(data, path, "")
    if not isinstance(root, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    model = root.get("model")
    vocabulary = model.pop("vocab", None) if isinstance(model, dict) else None
    if isinstance(model, dict):
        model.pop("merges", None)
    if isinstance(vocabulary, list):
        tokens = [entry[0] for entry in vocabulary if isinstance(entry, list) and entry and isinstance(entry[0], str)]
        longest, total = max(map(len, tokens), default=0), sum(map(len, tokens))
        if longest > _LONGEST_IN_TRIE or total > _MOST_IN_TRIE:
            raise CheckpointError(f"{path}: the vocabulary has tokens of up to {longest:,} letters, {total:,} in all")
    return root


def _check_added(entries: Any, path: Path) -> None:
    if not isinstance(entries, list | None):
        raise CheckpointError(f"{path}: added_tokens is not a list")
    total = 0
    for entry in entries or ():
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not content:
            raise CheckpointError(f"{path}: an added token has no content: {str(entry)[:80]}")
        total += len(content)
        if len(content) > _LONGEST_ADDED or total > _MOST_ADDED:
            raise CheckpointError(f"{path}: the added token {content[:40]!r}... has {len(content):,} characters")


def steps(part: Any) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer, post-processor or decoder in order, with each Sequence flattened."""
    stack = [part]
    while stack:
        step = stack.pop()
        if not isinstance(step, dict):
            continue
        inside: Any = next((step[key] for key in _INSIDE if key in step), [])
        if step.get("type") == "Sequence" and isinstance(inside, list):
            stack += reversed(inside)
        else:
            yield step


def growth(part: Any, path: Path) -> float:
    """The most characters that a normalizer or decoder can turn one into, not counting Unicode's normal forms."""
    factor = 1.0
    for step in steps(part):
        content = step.get("content") or step.get("prepend")
        longest = len(content) if isinstance(content, str) else 0
        match step:
            case {"type": "Replace", "pattern": {"String": str(text)}} if text:
                factor *= max(longest / len(text), 1)
            case {"type": "Replace" | "Prepend"}:
                factor *= 1 + longest  # a regular expression may also match the empty string between two characters
            case {"type": "Precompiled", "precompiled_charsmap": str(table)}:
                factor *= _longest_in_table(table, path)
    return factor


def _longest_in_table(table: str, path: Path) -> int:
    """The longest replacement in SentencePiece's table (a length, a trie of that length, texts separated by 0 bytes).

    The longest in Unicode's own normal forms has 18 characters.
    """
    try:
        data = base64.b64decode(table)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError(f"{path}: the normalizer's precompiled_charsmap is not base64") from error
    texts = data[4 + int.from_bytes(data[:4], "little") :]
    longest = max(map(len, texts.split(b"\0")), default=0)
    return 1 if longest <= 60 else longest
