"""Hypothesis strategies for the files of a checkpoint: nearly right, and anything at all."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutators import PLACES
from tests.fuzz.pipelines import PATTERNS, any_step
from tests.fuzz.values import NUMBERS, TEXTS

# json.dumps writes NaN, infinities and lone surrogates as untrusted files may.
scalars = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.integers() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
_TOKENS = st.sampled_from(["a", "b", "ab", "Ġ", "Ġa", "<|endoftext|>", "é", "\ud800", ""]) | st.text(max_size=3)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, or now and then anything."""
    return st.one_of(good, good, good, values)


indexes = st.fixed_dictionaries(
    {"weight_map": mostly(st.dictionaries(st.text(), mostly(st.sampled_from(PLACES) | st.just("a.safetensors"))))}
)
_splits = st.fixed_dictionaries(
    {
        "type": st.just("Split"),
        "pattern": st.fixed_dictionaries({"Regex": mostly(st.sampled_from(PATTERNS))}),
        "behavior": mostly(st.just("Isolated")),
        "invert": mostly(st.just(False)),
    }
)


def _steps(part: str) -> st.SearchStrategy[Any]:
    """A step of today's files."""
    return st.randoms(use_true_random=False).map(lambda rng: any_step(rng, part))


_byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
tokenizers = st.fixed_dictionaries(
    {
        "model": mostly(
            st.fixed_dictionaries(
                {
                    "type": mostly(st.just("BPE")),
                    "vocab": mostly(st.dictionaries(_TOKENS, mostly(st.integers(0, 20)), max_size=6)),
                    "merges": mostly(st.lists(mostly(st.tuples(_TOKENS, _TOKENS)), max_size=4)),
                    "byte_fallback": st.booleans(),
                }
            )
        ),
        "pre_tokenizer": mostly(
            st.just(_byte_level)
            | _steps("pre_tokenizer")
            | _splits.map(lambda split: {"type": "Sequence", "pretokenizers": [split, _byte_level]})
        ),
        "added_tokens": mostly(
            st.lists(st.fixed_dictionaries({"content": mostly(_TOKENS), "id": mostly(st.integers(0, 30))}), max_size=3)
        ),
        "post_processor": values | _steps("post_processor"),
        "normalizer": st.none() | values | _steps("normalizer"),
        "decoder": st.none() | values | _steps("decoder"),
    }
)

_PIECES = (
    *("{%", "%}", "{{", "}}", "{#", "#}", "-%}", "{%-", "|", "~", "+", "*", "(", ")", "[", "]", "'", "x", " ", "\n"),
    *(
        "for m in messages",
        "endfor",
        "if",
        "else",
        "endif",
        "set ns = namespace()",
        "set ns.x = ns.x + 'a'",
        "macro f()",
    ),
    *(
        "endmacro",
        "f()",
        "loop.index0",
        "messages[0]",
        "messages[-1].content",
        ".role",
        "['content']",
        "content.items()",
    ),
    *(
        "generation",
        "endgeneration",
        "break",
        "continue",
        "raise_exception('no')",
        "strftime_now('%Y')",
        "tojson",
        "trim",
    ),
    *(
        "10**9",
        "range(10**5)",
        "'a' * 10**9",
        "bos_token",
        "__class__",
        "is defined",
        "is string",
        "not",
        "and",
        "false",
    ),
)
templates = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=25).map(" ".join) | st.lists(
    st.sampled_from(_PIECES).map("{{{{ {} }}}}".format) | st.sampled_from(_PIECES).map("{{% {} %}}".format), max_size=8
).map("".join)
