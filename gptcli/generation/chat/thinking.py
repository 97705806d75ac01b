"""What a model thinks before it answers, between ``<think>`` and ``</think>``, told from the answer as both come."""

BEGIN, END = "<think>", "</think>"


class Thinking:
    """Cuts a text that comes in pieces.

    Thinking stands at the very beginning or not at all: a tag further on is a part of the answer.

    Args:
        begun: the prompt ended with ``<think>``, so that the text begins inside.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._state = "thinking" if begun else "start"
        self._held = ""

    def push(self, text: str) -> list[tuple[str, bool]]:
        """The pieces that are now certain, each with whether it is thinking (its tags are)."""
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
        """What was held back, as nothing follows."""
        return self._all(thinking=self._state == "thinking")

    def _all(self, *, thinking: bool) -> list[tuple[str, bool]]:
        held, self._held = self._held, ""
        return [(held, thinking)] if held else []


def _overlap(text: str) -> int:
    """How much of the end tag a text ends with."""
    return next((length for length in range(len(END) - 1, 0, -1) if text.endswith(END[:length])), 0)


class AnswerOnly:
    """What is shown of an answer that comes in pieces: without white space before it, and without the thinking.

    Args:
        begun: as for ``Thinking``.
        hide: leave the thinking out.
    """

    def __init__(self, *, begun: bool, hide: bool) -> None:
        self._thinking = Thinking(begun=begun)
        self._hide = hide
        self._at_start = True

    def __call__(self, text: str, last: bool = False) -> str:
        """A piece as it is shown; ``last`` says that none follows."""
        pieces = self._thinking.push(text) + (self._thinking.finish() if last else [])
        return "".join(self.shown(piece, thinking) for piece, thinking in pieces)

    def shown(self, piece: str, thinking: bool) -> str:
        """The same for a piece of which it is known whether it is thinking."""
        if thinking and self._hide:
            return ""
        kept = piece.lstrip() if self._at_start else piece
        self._at_start = self._at_start and not kept
        return kept


def split_thinking(text: str, *, begun: bool = False) -> tuple[str | None, str]:
    """What was thought, without its tags (None where nothing was), and the answer."""
    cut = Thinking(begun=begun)
    pieces = cut.push(text) + cut.finish()
    thoughts = "".join(piece for piece, thinking in pieces if thinking)
    answer = "".join(piece for piece, thinking in pieces if not thinking)
    if not thoughts and not begun:
        return None, answer
    return thoughts.strip().removeprefix(BEGIN).removesuffix(END).strip(), answer.lstrip()
