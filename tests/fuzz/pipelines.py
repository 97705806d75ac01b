"""Steps of a tokenizer.json as today's files have them, and what can be wrong with each."""

import json
import random
from typing import Any

from tests.fuzz.values import any_value

# Regular expressions that take exponential time, too much memory or stack, or that one of the engines refuses.
PATTERNS = (
    *(r"(a+)+$", r"(?:a|a)*b", r"(\w+\s?)*!", r"(a|aa)+$", r"(.*)*x", r"(?=(a+))*b", r"(?:(?:a*)*)*c", r"(.+)+\1!"),
    *(r"a{1,1000}{1,1000}", r"(?:a{1000}){1000}", r"\p{L}{1,65535}", "(" * 300 + ")" * 300, "[" * 300, "a" * 100_000),
    *(r"(", r"*", r"\p{Nope}", r"(?P<x>a)(?P<x>b)", r"\9", r"(?<=a+)b", r"[z-a]", r"(?R)", r"\Z\A", "", r"x*", r"()"),
    *(r"\x{110000}", "\ud800", "\0", r"(?i)k", r"(?>a+)b", r"\G", r"\K", r"(?#", "|" * 10_000, r"[[:alpha:]]", r"\X"),
)
_MARK = "▁"
_BEHAVIORS = ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", "None")


def _pattern(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"Regex": rng.choice(PATTERNS)}
    return {"String": rng.choice((" ", _MARK, "", "a", "\0", "a" * 1000))}


def _normalizer(rng: random.Random) -> dict[str, Any]:
    content = rng.choice(("", " ", _MARK, "aa", "x" * 30, "x" * 100, "\0", "\ud800"))
    table = rng.choice(("", "AAAA", "////", "DAAAAAAAAAAAAAAAAAAA", "=", "é"))
    return rng.choice(
        (
            {"type": "Replace", "pattern": _pattern(rng), "content": content},
            {"type": "Prepend", "prepend": content},
            {"type": "Precompiled", "precompiled_charsmap": table},
            {"type": "Strip", "strip_left": True, "strip_right": rng.random() < 0.5},
            {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
            {"type": rng.choice(("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "ByteLevel"))},
        )
    )


def _pre_tokenizer(rng: random.Random) -> dict[str, Any]:
    scheme, behavior = rng.choice(("first", "always", "never", "twice")), rng.choice(_BEHAVIORS)
    mark = rng.choice((_MARK, "_", "", "ab", " "))
    return rng.choice(
        (
            {
                "type": "Split",
                "pattern": _pattern(rng),
                "behavior": behavior,
                "invert": rng.random() < 0.3,
            },
            {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": rng.random() < 0.5},
            {"type": "ByteLevel", "add_prefix_space": rng.random() < 0.5, "use_regex": rng.random() < 0.5},
            {"type": "Digits", "individual_digits": rng.random() < 0.5},
            {"type": "Punctuation", "behavior": behavior},
            {"type": "CharDelimiterSplit", "delimiter": mark},
            {"type": "FixedLength", "length": rng.choice((0, 1, 5, 2**64))},
            {"type": rng.choice(("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts"))},
        )
    )


def _decoder(rng: random.Random) -> dict[str, Any]:
    content, ends = rng.choice((" ", _MARK, "", "ab")), rng.choices((0, 1, 2**63), k=2)
    return rng.choice(
        (
            {"type": "Replace", "pattern": _pattern(rng), "content": rng.choice((" ", "", "x" * 100))},
            {
                "type": "Strip",
                "content": content,
                "start": ends[0],
                "stop": ends[1],
            },
            {"type": "Metaspace", "replacement": content, "prepend_scheme": "always", "split": True},
            {"type": "WordPiece", "prefix": content, "cleanup": True},
            {"type": "BPEDecoder", "suffix": content},
            {"type": "CTC", "pad_token": content, "word_delimiter_token": "|", "cleanup": True},
            {"type": rng.choice(("ByteFallback", "Fuse", "ByteLevel"))},
        )
    )


def _post_processor(rng: random.Random) -> dict[str, Any]:
    order = rng.choice((["a"], [0], [-1], [10**9], [10**30], [True], [None], [], [0] * 10_000))
    template = {"special_tokens": {"X": {"id": "X", "ids": order, "tokens": ["X"] * len(order)}}}
    single = [{"SpecialToken": {"id": "X", "type_id": 0}}, {"Sequence": {"id": rng.choice("ABC"), "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return rng.choice(
        (
            {"type": "TemplateProcessing", "single": single, "pair": pair, **template},
            {"type": "BertProcessing", "sep": ["a", 0], "cls": ["b", rng.choice((1, -1, 10**9))]},
            {"type": "ByteLevel", "trim_offsets": True},
        )
    )


_PARTS = {
    "normalizer": (_normalizer, "normalizers"),
    "pre_tokenizer": (_pre_tokenizer, "pretokenizers"),
    "decoder": (_decoder, "decoders"),
    "post_processor": (_post_processor, "processors"),
}


def any_step(rng: random.Random, part: str) -> dict[str, Any]:
    """One step of a part (``normalizer``, ...)."""
    return _PARTS[part][0](rng)


def change_pipeline(rng: random.Random, root: dict[str, Any]) -> None:
    """Put one step in the place of a part, or a Sequence of several, deep ones and long ones among them."""
    part = rng.choice(sorted(_PARTS))
    make, inside = _PARTS[part]
    steps = [make(rng) for _ in range(rng.choice((1, 1, 2, 3, 40)))]
    made: Any = steps[0] if len(steps) == 1 else {"type": "Sequence", inside: steps}
    if rng.random() < 0.1:
        for _ in range(rng.choice((2, 100, 900))):
            made = {"type": "Sequence", inside: [made]}
    if isinstance(root.get(part), dict) and rng.random() < 0.3:
        made = {"type": "Sequence", inside: rng.sample([root[part], made], 2)}
    if rng.random() < 0.1:
        made[rng.choice(sorted(made))] = any_value(rng)
    root[part] = made


def change_model(rng: random.Random, root: dict[str, Any]) -> None:
    """Set an option of the model, of its own kind or of another."""
    model = root["model"]
    options: dict[str, tuple[Any, ...]] = {
        "byte_fallback": (True, False, None, 1),
        "fuse_unk": (True, False),
        "ignore_merges": (True, False),
        "dropout": (0.0, 0.5, 1.0, -1.0, 2.0, 1e300),
        "unk_token": ("<unk>", "a", "", None, 7),
        "unk_id": (0, 5, 10**9, -1, None),
        "continuing_subword_prefix": ("##", "", "a", "x" * 1000),
        "end_of_word_suffix": ("</w>", "", "a", "x" * 1000),
        "max_input_chars_per_word": (0, 1, 10**9, 10**30, -1),
        "type": ("BPE", "WordPiece", "WordLevel", "Unigram", "Nope", None),
    }
    option = rng.choice(sorted(options))
    model[option] = rng.choice(options[option])
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list) and vocabulary and rng.random() < 0.5:
        score = rng.choice((0.0, -1e300, 1e300, None, "x", -0.0))
        entry = rng.choice((["", score], ["a" * 2000, score], ["a"], [1, 2], ["\ud800", score], vocabulary[0]))
        vocabulary.insert(rng.randrange(len(vocabulary) + 1), entry)


def change_length(rng: random.Random, root: dict[str, Any]) -> None:
    """Padding and truncation, which a file may ask for."""
    root["padding"] = {
        **{"strategy": {"Fixed": rng.choice((0, 10, 10**12, -1))}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": rng.choice((0, 10**9)), "pad_type_id": 0, "pad_token": "x"},
    }
    root["truncation"] = {
        **{"direction": rng.choice(("Right", "Left", "Up")), "max_length": rng.choice((0, 1, 2**64, -1))},
        **{"strategy": "LongestFirst", "stride": rng.choice((0, 1, 10**9))},
    }


def hide_key(rng: random.Random, root: Any) -> bytes:
    """JSON with a key after the model, perhaps spelled with an escape."""
    text = json.dumps(root)
    part = rng.choice(sorted(_PARTS))
    key = rng.choice((part, f"\\u{ord(part[0]):04x}{part[1:]}"))
    return (text[:-1] + f', "{key}": {json.dumps(_PARTS[part][0](rng))}}}').encode()
