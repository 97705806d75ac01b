"""Kinds of tokenizer.json that are reported as failing elsewhere: ids and texts are those of the tokenizers library."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, normalizers, processors
from tokenizers import pre_tokenizers as pre

from gptcli.tokenizer import tokenizer_for
from gptcli.tokenizer.listing import tokenize_text
from tests.tokenizer.reference import HARD_TEXT, save, trained

LINES = (
    *HARD_TEXT.split("\n"), "", " ", "numbers 12 345 6789 and 2024", "don't you'll we've isn't", "DON’T  UPPER 1a2b ",
    " a 1 2  33   444 !!?? x_y\n\n", "Hello, world!  How are you?\r\n",
)  # fmt: skip
# A pattern with lookahead, digits by two and line ends of their own, as files converted from tiktoken's have it.
PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"


def level(**options: Any) -> Any:
    return pre.ByteLevel(**{"add_prefix_space": False, **options})


def split(pattern: str, behavior: str = "isolated", invert: bool = False) -> Any:
    return pre.Split(Regex(pattern), behavior, invert)


PRE_TOKENIZERS = {
    "a pattern, removed and inverted": [split(PATTERN, "removed", True), level(use_regex=False)],
    "digits": [pre.Digits(individual_digits=True), level()],
    "runs of digits": [pre.Digits(individual_digits=False), level()],
    "punctuation, then digits": [pre.Punctuation("contiguous"), level(), pre.Digits(individual_digits=False)],
    "digits by three, then GPT-2's": [split(r"\p{N}{1,3}"), level()],
    "two patterns": [
        split(r"\p{N}{1,3}"), split(r"\s?\p{L}+|\s?[^\s\p{L}\p{N}]+|\s+"), level(use_regex=False)
    ],
    "a space with the next word": [pre.Split(" ", "merged_with_next"), level(use_regex=False)],
    "a space with the word before": [pre.Split(" ", "merged_with_previous"), level(use_regex=False)],
    "words, each with a space": [pre.WhitespaceSplit(), level(add_prefix_space=True)],
    "words without their spaces": [pre.Whitespace(), level(use_regex=False)],
    "one alone in a sequence": [level()],
    "no pattern at all": [level(use_regex=False)],
}  # fmt: skip
NORMALIZERS: dict[str, Any] = {
    "lower case": normalizers.Lowercase(),
    "a space in front": normalizers.Prepend(" "),
    "other apostrophes": normalizers.Replace("’", "'"),
    "a pattern of spaces": normalizers.Replace(Regex(r"\s{2,}"), " "),
    "no spaces at the ends": normalizers.Strip(),
    "no space at the end": normalizers.Strip(left=False),
    "no accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "one form for all": normalizers.NFKC(),
    "nothing, in a sequence": normalizers.Sequence([]),
}


def same_as_the_library(made: Tokenizer, folder: Path) -> None:
    """Ids, places and texts, as the library has them of the file's own tokenizer, without what is put around a text."""
    ours = tokenizer_for(folder, None)
    made.no_truncation()
    made.no_padding()
    made.encode_special_tokens = True
    for text in LINES:
        expected = made.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == expected, text
        assert tokenize_text(ours, [text[:3], text[3:]]).counts.n_tokens == len(expected)
        assert ours.decode(expected) == made.decode(expected, skip_special_tokens=False)


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_ways_to_split(name: str, tmp_path: Path) -> None:
    made = trained(400, pre_tokenizer=pre.Sequence(PRE_TOKENIZERS[name]))
    save(made, tmp_path)
    same_as_the_library(made, tmp_path)


@pytest.mark.parametrize("name", NORMALIZERS)
def test_ways_to_normalize(name: str, tmp_path: Path) -> None:
    made = trained(400)
    made.normalizer = NORMALIZERS[name]
    save(made, tmp_path)
    same_as_the_library(made, tmp_path)


def test_a_merge_that_is_listed_twice_has_its_later_rank(tmp_path: Path) -> None:
    file = save(trained(400), tmp_path) / "tokenizer.json"
    root = json.loads(file.read_text())
    root["model"]["merges"].append(root["model"]["merges"][0])
    file.write_text(json.dumps(root))
    assert json.loads(trained(400).to_str())["model"]["merges"] != root["model"]["merges"]
    same_as_the_library(Tokenizer.from_file(str(file)), tmp_path)


def test_what_is_for_training_and_batches_does_not_count(tmp_path: Path) -> None:
    made = trained(400)
    file = save(made, tmp_path) / "tokenizer.json"
    root = json.loads(file.read_text())
    root["model"]["dropout"] = 0.9
    root["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    root["padding"] = {
        "strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<|endoftext|>",
    }  # fmt: skip
    file.write_text(json.dumps(root))
    same_as_the_library(made, tmp_path)  # that has none of it


def test_what_a_file_puts_after_a_text_is_not_put_there(tmp_path: Path) -> None:
    made = trained(400)
    made.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", pair="$A $B:1", special_tokens=[("<|endoftext|>", 0)]
    )
    save(made, tmp_path)
    same_as_the_library(made, tmp_path)
