"""Single questions: each becomes the first turn of its own chat, for ``Writing`` to answer."""

from collections.abc import Callable, Sequence

from gptcli.generation.chat.script import Format
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.thinking import AnswerOnly
from gptcli.generation.chat.turns import Prompt, Turn
from gptcli.generation.streaming import TextStream
from gptcli.generation.writing import Questions
from gptcli.tokenizer import Tokenizer


def ask_each(
    layout: Format | TemplateLayout,
    tokenizer: Tokenizer,
    questions: Sequence[str],
    *,
    n_vocab: int,
    n_positions: int,
    max_new_tokens: int,
    stops: Sequence[str] = (),
    system: str | None = None,
    hide_thinking: bool = False,
) -> tuple[Questions, tuple[int, ...]]:
    """The prompts of some questions, each a conversation of its own, and the ids that end an answer.

    Args:
        layout: how turns become a prompt.
        tokenizer: the model's tokenizer.
        questions: the texts.
        n_vocab: the size of the model's vocabulary.
        n_positions: the context length.
        max_new_tokens: the maximum length of an answer.
        stops: texts that end an answer, in addition to the layout's.
        system: as for ``Chat``.
        hide_thinking: leave the thinking out of the answers.

    Raises:
        InputError: a question does not fit into the context, or the model's template refuses it.
        CheckpointError: the model's template cannot be used.
    """
    prompts = layout.prompts(tokenizer, n_vocab)
    system = layout.system if system is None else system
    room = n_positions - min(max_new_tokens, n_positions // 2)
    made = [prompts.prompt(system, [Turn("user", text)], room, n_positions) for text in questions]

    def stream_for(prompt: Prompt) -> Callable[[], TextStream]:
        def new() -> TextStream:
            cut = AnswerOnly(begun=prompt.mid_thought, hide=hide_thinking)
            return TextStream(tokenizer, (*layout.stops, *stops), cut=cut)

        return new

    return Questions([prompt.ids for prompt in made], [stream_for(prompt) for prompt in made]), prompts.end_ids()
