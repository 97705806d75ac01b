"""A tokenizer as tokenizer.js takes it: byte-pair encoding and the steps around it, in the terms of JavaScript."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from gptcli.errors import InputError
from gptcli.show.live.expressions import NotInJavaScript, javascript, literal
from gptcli.text import clipped
from gptcli.tokenizer import RankTokenizer, Tokenizer
from gptcli.tokenizer.library import LibraryTokenizer
from gptcli.tokenizer.patterns import GPT2_AS_PUBLISHED
from gptcli.tokenizer.vocabulary import merge_list, token_to_bytes

_BEHAVIOURS = {
    "Isolated": "isolated",
    "Removed": "removed",
    "Contiguous": "contiguous",
    "MergedWithPrevious": "with_previous",
    "MergedWithNext": "with_next",
}
_PUNCTUATION = r"[!-/:-@[-`{-~\p{P}]"
_BYTES = {"step": "bytes"}


def pack_tokenizer(tokenizer: Tokenizer, n_vocab: int) -> bytes:
    """A tokenizer for tokenizer.js, as JSON.

    Args:
        tokenizer: text <-> ids.
        n_vocab: how many ids the model has.

    Raises:
        InputError: it has a step that tokenizer.js lacks.
    """
    try:
        if isinstance(tokenizer, RankTokenizer):
            made = _ranked(tokenizer)
        elif isinstance(tokenizer, LibraryTokenizer):
            made = _of_library(tokenizer)
        else:
            raise NotInJavaScript(f"its kind, {tokenizer.kind}")
    except NotInJavaScript as error:
        raise InputError(f"a page cannot run the tokenizer of {clipped(tokenizer.name)}: it lacks {error}") from error
    added = sorted({token.id for token in tokenizer.added})
    about = {
        "prefix": tokenizer.prefix_ids,
        "end": tokenizer.eos_id if tokenizer.eos_id is not None and tokenizer.eos_id < n_vocab else None,
        "n_vocab": n_vocab,
        "added": [asdict(token) for token in tokenizer.added],
        "others": [[token, _letters(tokenizer.token_bytes(token))] for token in added],
        **made,
    }
    return json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _letters(data: bytes) -> str:
    """Bytes as characters below U+0100."""
    return data.decode("latin-1")


def _split(expression: str, behaviour: str = "isolated", *, invert: bool = False) -> dict[str, Any]:
    return {"step": "split", "expression": expression, "behaviour": behaviour, "invert": invert}


def _ranked(tokenizer: RankTokenizer) -> dict[str, Any]:
    """A tokenizer that merges by rank."""
    ranks, ids, others = tokenizer.by_rank()
    return {
        "normalizers": [{"step": "form", "form": form} for form in tokenizer.normal_forms],
        "splitters": [
            *([{"step": "prefix_space"}] if tokenizer.prefix_space else []),
            _split(javascript(tokenizer.pattern, by_rank=True)),
            _BYTES,
        ],
        "ranks": list(map(_letters, ranks)),
        "ids": None if ids == list(range(len(ids))) else [-1 if token is None else token for token in ids],
        "others": [[token, _letters(data)] for token, data in others.items()],
    }


def _of_library(tokenizer: LibraryTokenizer) -> dict[str, Any]:
    """A tokenizer that merges by pair, as its tokenizer.json says."""
    pipeline, model = tokenizer.pipeline, tokenizer.model()
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise NotInJavaScript(f"models other than byte-pair encoding ({model.get('type')})")
    for option in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise NotInJavaScript(option)
    splitters = [each for step in pipeline.pre_tokenizers for each in _splitters(step)]
    bytewise = _BYTES in splitters
    return {
        "normalizers": [each for step in pipeline.normalizers for each in _normalizers(step)],
        "splitters": splitters,
        "pairs": _pairs(tokenizer, model, bytewise=bytewise),
        "texts": None if bytewise and tokenizer.bytewise else list(_texts(tokenizer)),
    }


def _pairs(tokenizer: LibraryTokenizer, model: dict[str, Any], *, bytewise: bool) -> dict[str, Any]:
    vocab: dict[str, int] = model["vocab"]
    tokens: list[str | None] = [None] * (max(vocab.values(), default=-1) + 1)
    for text, number in vocab.items():
        data = token_to_bytes(text) if bytewise else None
        tokens[number] = text if not bytewise else None if data is None else _letters(data)
    pairs = merge_list(model["merges"], tokenizer.name)
    unknown = vocab.get(model.get("unk_token") or "")
    return {
        "tokens": tokens,
        "merges": [number for left, right in pairs for number in (vocab[left], vocab[right], vocab[left + right])],
        "unknown": unknown,
        "fuse_unknown": model.get("fuse_unk") is True,
        "byte_tokens": [vocab.get(f"<0x{byte:02X}>") for byte in range(256)] if model.get("byte_fallback") else None,
        "whole": model.get("ignore_merges") is True,
    }


def _texts(tokenizer: Tokenizer) -> Iterator[str]:
    for token in range(tokenizer.n_vocab):
        yield _letters(tokenizer.token_bytes(token))


def _normalizers(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match step:
        case {"type": "NFC" | "NFD" | "NFKC" | "NFKD" as form}:
            yield {"step": "form", "form": form}
        case {"type": "Prepend", "prepend": str(content)}:
            yield {"step": "prepend", "content": content}
        case {"type": "Replace", "pattern": {"String": str(text)}, "content": str(content)} if text:
            yield {"step": "replace", "from": text, "to": content}
        case {"type": "Lowercase"}:
            yield {"step": "lowercase"}
        case _:
            raise NotInJavaScript(f"the normalizer {step.get('type')}")


def _splitters(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps that a pre-tokenizer is there."""
    match step:
        case {"type": "ByteLevel"}:
            if step.get("add_prefix_space", True):
                yield {"step": "prefix_space"}
            if step.get("use_regex", True):
                yield _split(javascript(GPT2_AS_PUBLISHED))
            yield _BYTES
        case {"type": "Split", "behavior": str(behavior), "pattern": {"Regex": str(expression)}}:
            yield _split(javascript(expression), _BEHAVIOURS[behavior], invert=step.get("invert") is True)
        case {"type": "Split", "behavior": str(behavior), "pattern": {"String": str(text)}}:
            yield _split(literal(text), _BEHAVIOURS[behavior], invert=step.get("invert") is True)
        case {"type": "Digits"}:
            yield _split(r"\p{N}", "isolated" if step.get("individual_digits") else "contiguous")
        case {"type": "Punctuation"}:
            yield _split(_PUNCTUATION, _BEHAVIOURS[step.get("behavior", "Isolated")])
        case {"type": "Metaspace"}:
            schemes = {True: "always", False: "never"}
            scheme = step.get("prepend_scheme", schemes[step.get("add_prefix_space") is not False])
            mark = step.get("replacement", "▁")
            yield {"step": "metaspace", "mark": mark, "scheme": scheme, "split": step.get("split") is not False}
        case _:
            raise NotInJavaScript(f"the pre-tokenizer {step.get('type')}")
