"""tokenizer.json of bad faith: what would crash the library, or take memory or time without end, is one line."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library

from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer import calls, tokenizer_for
from tests.tokenizer import kinds, reference


def root_of(made: Library, **changes: Any) -> dict[str, Any]:
    root: dict[str, Any] = json.loads(made.to_str())
    root.update(changes)
    return root


def write(folder: Path, root: Any) -> Path:
    (folder / "tokenizer.json").write_text(root if isinstance(root, str) else json.dumps(root))
    return folder


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


DOUBLING = {"type": "Sequence", "normalizers": [replace({"String": "a"}, "aa")] * 40}
# Twelve bytes of trie, then one replacement of 1,000 characters.
TABLE = base64.b64encode((12).to_bytes(4, "little") + bytes(12) + b"x" * 1000 + b"\0").decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": DOUBLING},
        {"normalizer": replace({"Regex": ""}, "x" * 100)},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": TABLE}},
        {"decoder": {"type": "Sequence", "decoders": [replace({"String": "a"}, "aaaa")] * 4}},
        {"normalizer": {"type": "Prepend", "prepend": "x" * 1000}},
    ],
)
def test_what_makes_a_text_grow_without_end_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="makes more than 64 characters of one"):
        tokenizer_for(write(tmp_path, root_of(reference.trained(300), **changes)), None)


@pytest.mark.parametrize("spelled", ["normalizer", "\\u006eormalizer"])
def test_a_key_after_the_model_is_seen_however_it_is_spelled(tmp_path: Path, spelled: str) -> None:
    root = root_of(reference.trained(300))
    del root["normalizer"]
    text = json.dumps(root)
    Library.from_str(text[:-1] + f', "{spelled}": null}}')  # the library reads it
    with pytest.raises(CheckpointError, match="makes more than 64"):
        tokenizer_for(write(tmp_path, text[:-1] + f', "{spelled}": {json.dumps(DOUBLING)}}}'), None)


def test_words_of_a_vocabulary_are_no_keys(tmp_path: Path) -> None:
    root = root_of(reference.plain([("a", "b")], ["normalizer", "decoder", "model", "padding"]))
    text = json.dumps(root, indent=2)
    assert '"decoder": 258' in text
    assert tokenizer_for(write(tmp_path, text), None).encode("ab") == [256]


def test_tokens_too_long_for_a_trie_are_refused(tmp_path: Path) -> None:
    root = root_of(kinds.unigram())
    root["model"]["vocab"].append(["x" * 100_000, -1.0])  # the library frees it one call inside the other
    with pytest.raises(CheckpointError, match="tokens of up to 100,000 letters"):
        tokenizer_for(write(tmp_path, root), None)


def test_added_tokens_are_bounded(tmp_path: Path) -> None:
    token = {"id": 900, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    root = root_of(reference.trained(300), added_tokens=[{**token, "content": "x" * 20_000}])
    with pytest.raises(CheckpointError, match="has 20,000 characters"):
        tokenizer_for(write(tmp_path, root), None)


def test_an_expression_that_breaks_on_a_text_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    split = {"type": "Split", "pattern": {"Regex": "(a|a|aa)+$"}, "behavior": "Isolated", "invert": False}
    tokenizer = tokenizer_for(write(tmp_path, root_of(kinds.unigram(), pre_tokenizer=split)), None)
    assert tokenizer.encode("some words")
    with pytest.raises(InputError, match="cannot take the text"):
        tokenizer.encode("a" * 60 + "b")  # the library panics: no Exception
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_an_expression_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = r"(?=.{0,300}.{0,300}.{0,40}(?:dq|ez))\w"  # some millions of steps at each place of the text
    split = {"type": "Split", "pattern": {"Regex": slow}, "behavior": "Isolated", "invert": False}
    tokenizer = tokenizer_for(write(tmp_path, root_of(kinds.unigram(), pre_tokenizer=split)), None)
    monkeypatch.setattr(calls, "_PATIENCE", 0.3)
    started = time.monotonic()
    with pytest.raises(InputError, match="takes over 0 s"):
        tokenizer.encode("some words without end. " * 12)
    assert time.monotonic() - started < 20


def test_what_is_for_training_is_not_done(tmp_path: Path) -> None:
    made = reference.trained()
    expected = made.encode(reference.HARD_TEXT).ids
    padding = {
        **{"strategy": {"Fixed": 1_000_000_000}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "x"},
    }
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    root = root_of(made, padding=padding, truncation=truncation)
    root["model"]["dropout"] = 0.5
    tokenizer = tokenizer_for(write(tmp_path, root), None)
    for _ in range(3):
        assert tokenizer.encode(reference.HARD_TEXT, special=True) == expected


def test_words_of_any_length_are_not_looked_through_for_all_their_parts(tmp_path: Path) -> None:
    root = root_of(kinds.word_piece())
    root["model"]["max_input_chars_per_word"] = 10**9
    with pytest.raises(CheckpointError, match="max_input_chars_per_word"):
        tokenizer_for(write(tmp_path, root), None)


def test_a_text_that_the_model_cannot_write_is_one_line(tmp_path: Path) -> None:
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "<none>"}
    tokenizer = tokenizer_for(write(tmp_path, {"model": model, "pre_tokenizer": {"type": "Whitespace"}}), None)
    assert tokenizer.encode("a a") == [0, 0]
    with pytest.raises(InputError, match="cannot take the text: WordLevel error"):
        tokenizer.encode("a b")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    text = json.dumps(root_of(reference.trained(300), normalizer=None))
    deep = '{"type": "Sequence", "normalizers": [' * 5000 + '{"type": "NFC"}' + "]}" * 5000
    with pytest.raises(CheckpointError, match=r"nested too deeply|is no tokenizer"):
        tokenizer_for(write(tmp_path, text.replace('"normalizer": null', f'"normalizer": {deep}')), None)
