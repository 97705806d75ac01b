"""The regular expressions that tokenizers cut text by, in JavaScript's syntax and with the same matches.

Only expressions that are known, from ``tokenizer.patterns``: engines differ in what they take others to mean.
"""

import re

from gptcli.tokenizer import patterns

# Unicode's White_Space, inside brackets; JavaScript's own \s has U+FEFF and lacks U+0085.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# BLOOM's; the brackets inside the brackets are a set of their own to the library's engine.
_BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
_REWRITTEN = {_BLOOM: r" ?[^(\s|.,!?…。，、।۔،)]+"}
# In these, quantifiers that give nothing back (++, ?+) only save time: what follows matches none of what they took.
_KNOWN = (*patterns.KNOWN, patterns.GPT2, _BLOOM)
_SYMBOL = re.compile(r"\\[pP]\{\w+\}|\\.|\(\?i:|[*+?}]\+|.", re.DOTALL)
# A letter without case, and the other letter that Unicode folds to it.
_FOLDED = {"s": "\u017f", "k": "\u212a"}


class NotInJavaScript(Exception):
    """A part of a tokenizer that tokenizer.js lacks; the message is its name."""


def literal(text: str) -> str:
    """An expression that matches this text."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", text)


def javascript(expression: str, *, by_rank: bool = False) -> str:
    """An expression for JavaScript, with its flag u.

    Args:
        expression: as a tokenizer has it.
        by_rank: whether tiktoken's engine reads it, to which ``{1,3}+`` gives nothing back; to the library's, it is
            repeated.

    Raises:
        NotInJavaScript: it is none of those that are known.
    """
    if expression not in _KNOWN:
        raise NotInJavaScript(f"the regular expression {expression[:80]!r}")
    given = _REWRITTEN.get(expression, expression if by_rank else expression.replace("{1,3}+", "+"))
    written, inside, without_case = "", False, False
    for symbol in _SYMBOL.findall(given):
        if symbol == "(?i:":  # no group is inside this one
            written, without_case = f"{written}(?:", True
            continue
        if symbol == ")" and not inside:
            without_case = False
        written += _symbol(symbol, inside=inside, without_case=without_case)
        inside = symbol == "[" or (inside and symbol != "]")
    return written


def _symbol(symbol: str, *, inside: bool, without_case: bool) -> str:
    if symbol == r"\s":
        return _SPACE if inside else f"[{_SPACE}]"
    if symbol == r"\S":  # never inside brackets
        return f"[^{_SPACE}]"
    if not inside and len(symbol) == 2 and symbol[1] == "+" and symbol[0] in "*+?}":
        return symbol[0]
    if without_case and symbol.isalpha():
        folded = symbol.lower() + symbol.upper() + _FOLDED.get(symbol.lower(), "")
        return folded if inside else f"[{folded}]"
    return symbol
