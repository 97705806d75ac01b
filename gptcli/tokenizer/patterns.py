r"""The patterns that split text into pieces before bytes merge, and the cuts of a text that do not change the pieces.

Each pattern is a regular expression whose matches are encoded independently. A known pattern comes with its safe cuts.
A cut between two characters is safe if no match can contain both, and if lookahead (``(?!\S)`` and ``$``) has the same
result with the text cut there.
"""

import re
from collections.abc import Iterable

from gptcli.tokenizer.added import AddedToken

# GPT-2: contractions, words, numbers and the rest, each with one space before it; of several spaces the last belongs to
# the word. This is tiktoken's version, whose possessive quantifiers only save time.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
GPT2_AS_PUBLISHED = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# \s of the patterns above for Python's re, whose own \s also matches the separators U+001C to U+001F.
WHITESPACE = r"[^\S\x1c-\x1f]"

# tiktoken's cl100k_base and o200k_base, and the variants of the former that Llama 3 and Qwen 2 use.
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
    r"\s+(?!\S)|\s"
)
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_O200K = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

# Safe with every pattern above: no match continues from a non-whitespace character to a space.
BEFORE_SPACE = r"(?<=\S)(?= )"
# No match continues from a Chinese character or kana to the punctuation after it; this cuts text without spaces.
_BEFORE_CJK_STOP = r"(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5])(?=[、。，！？；：])"

SAFE_CUTS = {
    # With GPT-2's pattern, no match continues to other whitespace either.
    GPT2: rf"(?<=\S)(?=[ \n])|{_BEFORE_CJK_STOP}",
    # Here punctuation includes the newlines after it, but no match continues from a newline to a character that is not
    # whitespace, except to "/" in o200k.
    **dict.fromkeys(
        (_CL100K, _LLAMA3, _QWEN2, _O200K), rf"{BEFORE_SPACE}|{_BEFORE_CJK_STOP}|(?<=[A-Za-z0-9]\n)(?=[A-Za-z0-9])"
    ),
}

# The pattern in the Split of a tokenizer.json -> tiktoken's pattern with the same matches. cl100k's is missing: its
# "{1,3}+" is a possessive quantifier to tiktoken's engine, and a repeated group to that of Hugging Face.
BY_RANK = {GPT2_AS_PUBLISHED: GPT2, **{pattern: pattern for pattern in (_LLAMA3, _QWEN2, _O200K)}}

# DeepSeek V2 and V3: a sequence of three Splits.
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
)
# Mistral's tekken: o200k without contractions, and with single digits.
_TEKKEN = _O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace(r"\p{N}{1,3}", r"\p{N}")
# Splits that always cut between a non-space character and a space.
CUT_AT_SPACES = (*BY_RANK, _CL100K, _DEEPSEEK[2], _TEKKEN)
# Splits that are known to be fast, and in whose matches no space follows another character.
KNOWN = (*CUT_AT_SPACES, *_DEEPSEEK, "[0-9][0-9][0-9]", r"\p{N}", r"\p{N}{1,3}")


def outside_added(expression: str, added: Iterable[AddedToken]) -> re.Pattern[str] | None:
    """A pattern for safe cuts; None if one could split an added token, or whitespace that a token includes.

    Args:
        expression: a zero-width pattern that matches where a text may be cut.
        added: tokens that are recognised in the text first.
    """
    cut = re.compile(expression)
    for token in added:
        inside = any(0 < match.start() < len(token.content) for match in cut.finditer(token.content))
        if inside or token.rstrip:
            return None
    return cut
