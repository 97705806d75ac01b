r"""How text is cut into pieces before bytes merge, and where a long text may be cut without changing the pieces.

Each pattern is a regular expression whose matches are encoded each on its own. A pattern that we know comes with its
safe places: between a character a and the next one b it is safe to cut where no match can hold both, and where what a
match sees (``(?!\S)`` and ``$`` look ahead) is the same with the text cut there.
"""

import re
from collections.abc import Iterable

from gptcli.tokenizer.added import AddedToken

# GPT-2: contractions, words, numbers and the rest, each with one space before it; of several spaces the last goes with
# the word. This spelling is tiktoken's, whose possessive quantifiers only save time.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
GPT2_AS_PUBLISHED = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# What \s is in the patterns above, written for Python's re, whose \s has the separators 1C to 1F too.
WHITESPACE = r"[^\S\x1c-\x1f]"

# tiktoken's cl100k_base and o200k_base, and the spellings of the former that Llama 3 and Qwen 2 use.
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

# Safe with every pattern above: no match goes on from a character that is not whitespace to a space.
BEFORE_SPACE = r"(?<=\S)(?= )"
# No match goes from a Chinese character or kana to the punctuation after it: text without spaces is cut here.
_BEFORE_CJK_STOP = r"(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5])(?=[、。，！？；：])"

SAFE_CUTS = {
    # Nor to any other whitespace.
    GPT2: rf"(?<=\S)(?=[ \n])|{_BEFORE_CJK_STOP}",
    # Punctuation takes newlines after it along here, but a newline never takes what follows it, except "/" in o200k.
    **dict.fromkeys(
        (_CL100K, _LLAMA3, _QWEN2, _O200K), rf"{BEFORE_SPACE}|{_BEFORE_CJK_STOP}|(?<=[A-Za-z0-9]\n)(?=[A-Za-z0-9])"
    ),
}

# As the Split of a tokenizer.json has them -> what tiktoken takes for the same words. cl100k's is not among them: its
# "{1,3}+" means "do not give back" to tiktoken's engine, and "again and again" to that of Hugging Face.
BY_RANK = {GPT2_AS_PUBLISHED: GPT2, **{pattern: pattern for pattern in (_LLAMA3, _QWEN2, _O200K)}}

# DeepSeek V2 and V3: three Splits, one after the other.
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
)
# Mistral's tekken: o200k without contractions, digits one by one.
_TEKKEN = _O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace(r"\p{N}{1,3}", r"\p{N}")
# Splits that cut between a character that is no space and a space, whatever the text.
CUT_AT_SPACES = (*BY_RANK, _CL100K, _DEEPSEEK[2], _TEKKEN)
# Those that are known to be quick, and in whose words no space follows another character.
KNOWN = (*CUT_AT_SPACES, *_DEEPSEEK, "[0-9][0-9][0-9]", r"\p{N}", r"\p{N}{1,3}")


def outside_added(expression: str, added: Iterable[AddedToken]) -> re.Pattern[str] | None:
    """A place to cut a text at, or None where that might cut an added token, or whitespace that one takes along.

    Args:
        expression: matches, with no characters, where a text may be cut.
        added: tokens that are cut out of the text first.
    """
    cut = re.compile(expression)
    for token in added:
        inside = any(0 < match.start() < len(token.content) for match in cut.finditer(token.content))
        if inside or token.rstrip:
            return None
    return cut
