"""What ``generate --json``, ``--jsonl`` and ``chat --json`` print: one object a text, a token, or an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gptcli.generation.chat.turns import Turn
from gptcli.generation.clock import Timings
from gptcli.probability.choice import Explanation
from gptcli.sampling.settings import Sampling
from gptcli.system.answer import left_out


@dataclass(frozen=True)
class CompletionRecord:
    """One continuation of a prompt.

    Attributes:
        model: its name.
        prompt: the text before it.
        completion: its text.
        prompt_ids: the tokens of the prompt.
        ids: the tokens that were added.
        logprobs: natural logarithm of the probability that the model gave each of them, before temperature and filters.
        finish_reason: ``eos``, ``stop``, ``length`` or ``interrupted``.
        seed: repeats all samples.
        sample: its number among the samples of the prompt, from 1.
        timings: of the whole request.
        steps: with --explain: the candidates for each token.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.generate/1"

    model: str
    prompt: str
    completion: str
    prompt_ids: Sequence[int]
    ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str | None
    seed: int
    sample: int
    timings: Timings
    steps: list[Explanation] | None = left_out()
    changes: list[str] | None = left_out()


@dataclass(frozen=True)
class TokenRecord:
    """One token, as it is chosen.

    Attributes:
        prompt_number: of its prompt, from 1.
        sample: number of its continuation among those of the prompt, from 1.
        position: among the tokens that were added, from 1.
        id: in the vocabulary.
        token: the bytes that it stands for.
        text: what became certain with it; parts of characters, and what may begin a stop text, are held back.
        logprob: natural logarithm of the probability that the model gave it, before temperature and filters.
        finish_reason: why the text ends with it; None where it goes on.
        seed: repeats all samples.
        step: with --explain: the candidates for it.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.generate.jsonl/1"

    prompt_number: int
    sample: int
    position: int
    id: int
    token: bytes
    text: str
    logprob: float
    finish_reason: str | None
    seed: int
    step: Explanation | None = left_out()
    changes: list[str] | None = left_out()


@dataclass(frozen=True)
class DraftRecord:
    """A text that a person and a model wrote together; --replay repeats it.

    Attributes:
        model: its name.
        prompt: the text before it.
        completion: its text.
        prompt_ids: the tokens of the prompt.
        ids: the tokens that were added.
        logprobs: natural logarithm of the probability that the model gave each of them, before temperature and filters.
        finish_reason: ``eos``, ``length``, ``quit`` or ``interrupted``.
        seed: of the draws.
        sampling: the settings of the draws.
        overflow: what happens at the end of the context.
        origins: how each token was chosen.
        steps: the candidates for each token.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.generate.pick/1"

    model: str
    prompt: str
    completion: str
    prompt_ids: Sequence[int]
    ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str
    seed: int
    sampling: Sampling
    overflow: Literal["slide", "stop"]
    origins: Sequence[Literal["picked", "typed", "drawn"]]
    steps: list[Explanation]
    changes: list[str] | None = left_out()


@dataclass(frozen=True)
class AnswerRecord:
    """One answer of a chat.

    Attributes:
        model: its name.
        user: the turn before it.
        assistant: its text.
        thinking: what the model thought first, if it did.
        ids: its tokens.
        logprobs: natural logarithm of the probability that the model gave each of them, before temperature and filters.
        finish_reason: ``eos``, ``stop``, ``length`` or ``interrupted``.
        seed: of the draws.
        sample: its number among the answers, from 1.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.chat/1"

    model: str
    user: str
    assistant: str
    ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str | None
    seed: int
    sample: int
    thinking: str | None = left_out()
    changes: list[str] | None = left_out()


@dataclass(frozen=True)
class ChatRecord:
    """A whole conversation, as --save and /save write it to a .json file.

    Attributes:
        model: its name.
        format: how turns become a prompt.
        system: the system text; None: the template's own, if any.
        seed: of the draws.
        sampling: the settings of the draws.
        turns: in order.
    """

    schema: ClassVar[str] = "gptcli.chat.conversation/1"

    model: str
    format: dict[str, Any]
    system: str | None
    seed: int
    sampling: Sampling
    turns: Sequence[Turn]
