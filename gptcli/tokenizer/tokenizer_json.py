"""Reads tokenizer.json, the format of Hugging Face's tokenizers library, and added tokens from the files next to it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import parse_json, read_bytes
from gptcli.system.threads import default_threads
from gptcli.tokenizer.added import AddedToken, added_token
from gptcli.tokenizer.base import Declared, name_of
from gptcli.tokenizer.calls import load
from gptcli.tokenizer.library import LibraryTokenizer
from gptcli.tokenizer.outline import check_subword_prefix, read_outline
from gptcli.tokenizer.pipeline import Pipeline

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

# The longest word that WordPiece may try to split; 100 is usual.
_LONGEST_WORD = 10_000


def read_tokenizer_json(
    path: Path,
    *,
    extra_tokens: Sequence[AddedToken] = (),
    roles: Mapping[str, Any] | None = None,
    declared: Declared | None = None,
) -> LibraryTokenizer:
    """The tokenizer that a tokenizer.json describes.

    Args:
        path: the file.
        extra_tokens: added tokens from the files next to it, with their ids.
        roles: text of the tokens with a role in those files, to their options.
        declared: the other settings in those files.

    Raises:
        CheckpointError: the file is broken, or the library cannot use it.
    """
    return _made(read_bytes(path), path, extra_tokens, roles or {}, declared or Declared())


def made_of(
    root: Mapping[str, Any], path: Path, *, extra_tokens: Sequence[AddedToken] = (), declared: Declared | None = None
) -> LibraryTokenizer:
    """The tokenizer that a tokenizer.json with this content would describe.

    Args:
        root: the content.
        path: the file that the content was made from, for errors.
        extra_tokens, declared: as for ``read_tokenizer_json``.

    Raises:
        CheckpointError: the library cannot use it.
    """
    return _made(json.dumps(root).encode(), path, extra_tokens, {}, declared or Declared())


def _made(
    data: bytes, path: Path, extra_tokens: Sequence[AddedToken], roles: Mapping[str, Any], declared: Declared
) -> LibraryTokenizer:
    outline = read_outline(data, path)
    check_subword_prefix(data, path)
    library = _load(data, path)
    extra_tokens = [*extra_tokens, *_with_roles(library, extra_tokens, roles)]
    if not _add(library, extra_tokens):
        # The library assigns ids to added tokens itself, so a token with a given id has to be put into the vocabulary.
        data = _with_tokens(data, path, extra_tokens)
        library = _load(data, path)
        _add(library, extra_tokens)
    if getattr(library.model, "max_input_chars_per_word", 0) > _LONGEST_WORD:
        raise CheckpointError(f"{path}: max_input_chars_per_word is more than {_LONGEST_WORD:,}: no word is that long")

    def model() -> dict[str, Any]:
        found = parse_json(data, path, "").get("model")
        return found if isinstance(found, dict) else {}

    made = LibraryTokenizer(name_of(path.parent), library, Pipeline(outline, path), model, declared)
    for token in made.prefix_ids:
        if library.id_to_token(token) is None:
            raise CheckpointError(
                f"{path}: the post_processor puts id {token:,} before every text, and no token has that"
            )
    return made


def _load(data: bytes, path: Path) -> "Library":
    # The library uses as many threads as gptcli, so that a limit set by the user applies to both.
    os.environ.setdefault("RAYON_NUM_THREADS", str(default_threads()))
    from tokenizers import Tokenizer as Library

    library: Library = load(lambda: Library.from_buffer(data), str(path))
    return library


def _with_roles(library: "Library", extra_tokens: Sequence[AddedToken], roles: Mapping[str, Any]) -> list[AddedToken]:
    """The tokens with a role that are in the vocabulary and not yet special."""
    special = {token.content for token in library.get_added_tokens_decoder().values() if token.special}
    known = {token.content for token in extra_tokens if token.special} | special
    return [
        added_token({**options, "content": text, "id": number, "special": True}, "tokenizer_config.json")
        for text, options in roles.items()
        if text not in known and (number := library.token_to_id(text)) is not None
    ]


def _add(library: "Library", tokens: Sequence[AddedToken]) -> bool:
    """Add tokens to the library's tokenizer; returns whether each got the id that it should have."""
    from tokenizers import AddedToken as Added

    known = {token.content: token for token in library.get_added_tokens_decoder().values()}
    for token in sorted(tokens, key=lambda token: token.id):
        options = {name: getattr(token, name) for name in ("lstrip", "rstrip", "single_word", "normalized", "special")}
        theirs = known.get(token.content)
        if theirs is None or any(getattr(theirs, name) != value for name, value in options.items()):
            if theirs is not None and library.token_to_id(token.content) != token.id:
                continue  # the id in tokenizer.json takes precedence
            library.add_tokens([Added(token.content, **options)])
        if library.token_to_id(token.content) != token.id and theirs is None:
            return False
    return True


def _with_tokens(data: bytes, path: Path, tokens: Sequence[AddedToken]) -> bytes:
    """A tokenizer.json with more tokens in its vocabulary."""
    root = parse_json(data, path, "")
    vocabulary = root["model"].get("vocab")
    if not isinstance(vocabulary, dict):
        number, content = max((token.id, token.content) for token in tokens)
        raise CheckpointError(
            f"{path}: the files next to it give {content!r:.80} the id {number}, which it cannot have"
        )
    added = {entry["content"] for entry in root.get("added_tokens") or ()}
    for token in tokens:
        if token.content not in added:
            vocabulary.setdefault(token.content, token.id)
    return json.dumps(root).encode()
