"""Separates a model's thinking, between ``<think>`` and ``</think>``, from its answer while the text streams in."""

BEGIN, END = "<think>", "</think>"


class Thinking:
    """Splits a streamed text into thinking and answer.

    Thinking can only be at the very beginning: a later tag is part of the answer.

    Args:
        begun: whether the prompt ended with ``<think>``, so that the text begins with thinking.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._state = "thinking" if begun else "start"
        self._held = ""

    def push(self, text: str) -> list[tuple[str, bool]]:
        """The pieces that are now certain, each with whether it is thinking; the tags count as thinking."""
        if self._state == "answer":
            return [(text, False)] if text else []
        self._held += text
        if self._state == "start":
            begin = self._held.lstrip()
            if len(begin) < len(BEGIN) and BEGIN.startswith(begin):
                return []
            self._state = "thinking" if begin.startswith(BEGIN) else "answer"
        if self._state == "answer":
            return self._all(thinking=False)
        before, tag, behind = self._held.partition(END)
        if tag:
            self._state, self._held = "answer", behind
            return [(before + tag, True), *self._all(thinking=False)]
        sure = len(before) - _overlap(before)
        self._held = before[sure:]
        return [(before[:sure], True)] if sure else []

    def finish(self) -> list[tuple[str, bool]]:
        """The text that was held back, at the end of the stream."""
        return self._all(thinking=self._state == "thinking")

    def _all(self, *, thinking: bool) -> list[tuple[str, bool]]:
        held, self._held = self._held, ""
        return [(held, thinking)] if held else []


def _overlap(text: str) -> int:
    """The length of the longest prefix of the end tag that the text ends with."""
    return next((length for length in range(len(END) - 1, 0, -1) if text.endswith(END[:length])), 0)


class AnswerOnly:
    """The visible part of a streamed answer: without leading white space and, if asked, without the thinking.

    Args:
        begun: as for ``Thinking``.
        hide: whether to leave the thinking out.
    """

    def __init__(self, *, begun: bool, hide: bool) -> None:
        self._thinking = Thinking(begun=begun)
        self._hide = hide
        self._at_start = True

    def __call__(self, text: str, last: bool = False) -> str:
        """The visible part of a piece; ``last`` marks the final piece."""
        pieces = self._thinking.push(text) + (self._thinking.finish() if last else [])
        return "".join(self.shown(piece, thinking) for piece, thinking in pieces)

    def shown(self, piece: str, thinking: bool) -> str:
        """The visible part of a piece that is known to be thinking or not."""
        if thinking and self._hide:
            return ""
        kept = piece.lstrip() if self._at_start else piece
        self._at_start = self._at_start and not kept
        return kept


def split_thinking(text: str, *, begun: bool = False) -> tuple[str | None, str]:
    """The thinking without its tags (None if there is none), and the answer."""
    cut = Thinking(begun=begun)
    pieces = cut.push(text) + cut.finish()
    thoughts = "".join(piece for piece, thinking in pieces if thinking)
    answer = "".join(piece for piece, thinking in pieces if not thinking)
    if not thoughts and not begun:
        return None, answer
    return thoughts.strip().removeprefix(BEGIN).removesuffix(END).strip(), answer.lstrip()
