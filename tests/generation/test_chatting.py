"""Turns as one text, what falls out of the context, and answers that end where the next turn begins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.errors import InputError
from gptcli.generation.chat.conversation import Chat
from gptcli.generation.chat.layout import format_for
from gptcli.generation.chat.scenes import scene_of
from gptcli.generation.chat.script import Format
from gptcli.generation.chat.turns import Turn
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import AddedToken, Declared, RankTokenizer, gpt2_tokenizer
from tests.toy_engine import ToyEngine, random_table

# One token a byte, and <|end|> is 256.
BYTES = RankTokenizer(
    "bytes",
    {bytes([byte]): byte for byte in range(256)},
    r"[\s\S]",
    added=[AddedToken("<|end|>", 256)],
    declared=Declared(eos=("<|end|>",)),
)
NAMES = Format("script", "U", "A")
EOS = Format("eos", "U", "A")


class Speaker(ToyEngine):
    """Says the same text whenever it is asked; ``$`` stands for the token that ends a text."""

    def __init__(self, says: str, n_positions: int) -> None:
        super().__init__(np.zeros((257, 257)), n_positions)
        self._says, self._place = says, 0

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> Any:
        self._place = 0
        return super().prefill(rows, capacity)

    def _logits(self) -> Any:
        logits = np.zeros((1, 257), dtype=np.float32)
        character = self._says[min(self._place, len(self._says) - 1)]
        logits[0, 256 if character == "$" else ord(character)] = 50
        self._place += 1
        return logits


def chat(layout: Format = NAMES, *, n_positions: int = 1000, says: str | None = None, **options: Any) -> Chat:
    """A chat with a model that says anything, or always the same."""
    settings: dict[str, Any] = {
        "seed": 1,
        "n_vocab": 257,
        "eos_ids": (256,),
        "system": "S",
        "max_new_tokens": 30,
    } | options
    engine = ToyEngine(random_table(257), n_positions) if says is None else Speaker(says, n_positions)
    return Chat(engine, BYTES, layout, Sampling(), **settings)


def text(made: Chat) -> str:
    return "".join(part.text for part in made.prompt().parts)


def said(made: Chat, *turns: str) -> Chat:
    for place, turn in enumerate(turns):
        made.turns.append(Turn("assistant" if place % 2 else "user", turn))
    return made


def test_a_script() -> None:
    made = said(chat(), "hi", "hello", "bye")
    assert text(made) == "S\n\nU: hi\nA: hello\nU: bye\nA:"
    assert made.prompt().ids == list(text(made).encode())
    assert text(chat(system="")) == "A:"
    assert "conversation" in text(chat(system=None))


def test_turns_between_end_of_text_tokens() -> None:
    made = said(chat(EOS, system=None), "hi", "hello")
    assert text(made) == "hi<|end|>hello<|end|>"
    assert made.prompt().ids == [*b"hi", 256, *b"hello", 256]
    assert text(chat(EOS, system="S")) == "S<|end|>"
    bare = RankTokenizer("bare", {bytes([byte]): byte for byte in range(256)}, r"[\s\S]")
    with pytest.raises(InputError, match="no token that ends a text"):
        Chat(ToyEngine(random_table(256)), bare, EOS, Sampling(), seed=1, n_vocab=256)


def test_dialogpt_is_known_by_name_and_by_its_config() -> None:
    def kind(name: str, config: dict[str, Any] | None, asked: Any = "auto") -> str:
        return format_for(asked, name, config, user="U", assistant="A").kind

    assert kind("dialogpt-small", None) == kind("microsoft/DialoGPT-large@main", {}) == "eos"
    assert kind("x", {"task_specific_params": {"conversational": {"max_length": 1000}}}) == "eos"
    assert kind("gpt2", {"task_specific_params": {"text-generation": {}}}) == "script"
    assert kind("x", {"task_specific_params": ["conversational"]}) == kind("x", None) == "script"
    assert kind("dialogpt-small", None, "script") == "script"
    assert kind("gpt2", None, "eos") == "eos"


@pytest.mark.parametrize(("user", "assistant"), [("", "A"), ("U", " A"), ("U\nV", "A"), ("A", "A")])
def test_names_that_nobody_could_tell_apart(user: str, assistant: str) -> None:
    with pytest.raises(InputError, match=r"--user|--assistant"):
        Format("script", user, assistant)


@pytest.mark.parametrize(
    ("says", "answer", "reason"),
    [
        (" well\nU: x", "well", "stop"),
        (" we\nll\nA: x", "we\nll", "stop"),
        (" \n\nwell \n\n$", "well", "eos"),
        (" well" + "y" * 50, "well" + "y" * 25, "length"),
        (" U: \nU: x", "U:", "stop"),
        ("$", "", "eos"),
    ],
)
def test_an_answer_ends_where_the_next_turn_begins(says: str, answer: str, reason: str) -> None:
    made = chat(says=says)
    shown = list(made.ask("hi"))
    assert "".join(shown) == answer
    assert (made.turns[1].text, made.turns[1].finish_reason) == (answer, reason)
    assert made.turns[0] == Turn("user", "hi")
    assert len(made.turns[1].ids) == len(made.turns[1].logprobs) <= 30
    assert text(made) == f"S\n\nU: hi\nA: {answer}\nA:"
    assert "".join(chat(EOS, says="U: well\nU: x$").ask("hi")) == "U: well\nU: x"


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came() -> None:
    made = chat(says=" well and good\nU:")
    pieces = made.ask("hi")
    shown = "".join(next(pieces) for _ in range(5))
    pieces.close()
    assert shown == "well"
    assert (made.turns[1].text, made.turns[1].finish_reason) == ("well", "interrupted")


def test_the_same_seed_gives_the_same_conversation_and_each_answer_its_own_draws() -> None:
    def talk(seed: int) -> list[Turn]:
        made = chat(seed=seed)
        for line in ("x", "x"):
            list(made.ask(line))
        return made.turns

    assert talk(1) == talk(1) != talk(2)
    made = chat()
    list(made.ask("x"))
    first = list(made.turns)
    list(made.ask("x"))
    assert made.turns[1].ids != made.turns[3].ids
    made.reset()
    assert made.turns == []
    list(made.ask("x"))
    assert made.turns == first


@pytest.mark.slow
@given(
    st.lists(st.text("abc", min_size=1, max_size=60), min_size=1, max_size=12),
    st.integers(40, 300),
    st.sampled_from([NAMES, EOS]),
    st.integers(1, 200),
)
def test_what_falls_out(turns: list[str], n_positions: int, layout: Format, n: int) -> None:
    made = said(chat(layout, n_positions=n_positions, max_new_tokens=n), *turns)
    prompt = made.prompt()
    scene, *talk = [part for part in prompt.parts if part.role != "cue"]
    room = n_positions - min(n, n_positions // 2)
    assert len(prompt.ids) <= room  # an answer has its place
    assert prompt.fallen + len(prompt.ids) == sum(len(part.ids) for part in prompt.parts)
    assert scene.fallen == 0
    assert talk[-1].fallen < len(talk[-1].ids)
    gone = [part.fallen == len(part.ids) for part in talk]
    assert gone == sorted(gone, reverse=True)  # the oldest first
    assert not any(0 < part.fallen < len(part.ids) for part in talk[:-1])  # whole turns
    for part in talk:
        assert part.text.startswith(part.fallen_text)
        assert len(BYTES.encode(part.fallen_text, special=True)) == part.fallen
    if any(gone):  # no turn falls out without need
        last = [part for part in talk if part.fallen][-1]
        assert len(prompt.ids) + last.fallen > room


def test_the_model_is_asked_with_what_is_left() -> None:
    made = chat(n_positions=60, says=" yes\nU:")
    for _ in range(6):
        assert "".join(made.ask("z" * 9)) == "yes"
        engine: Any = made._engine
        read = bytes(engine.rows[0])
        assert read.startswith(b"S\n\n")
        assert b"U: zzzzzzzzz\nA:" in read
    assert made.prompt().fallen > 0


def test_a_scene_that_leaves_no_room() -> None:
    with pytest.raises(InputError, match=r"--system takes .* of the 40"):
        chat(n_positions=70, system="s" * 60)
    made = chat(n_positions=70, system="s" * 34)  # and the cue's 4: two left
    assert made.prompt().fallen == 0
    list(made.ask("much too long for that"))
    assert made.turns[0].text == "much too long for that"
    with pytest.raises(InputError, match="--system"):
        chat(n_positions=70, system="s" * 36)


def test_a_turn_that_the_model_cannot_read_leaves_no_trace() -> None:
    made = chat(n_vocab=100)
    with pytest.raises(InputError, match="lacks"):
        list(made.ask("xyz"))
    assert made.turns == []


@pytest.mark.slow
def test_against_a_prompt_written_by_hand(tales: Any) -> None:
    tokenizer = gpt2_tokenizer()
    made = Chat(
        tales.engine,
        tokenizer,
        Format(),
        Sampling(temperature=0.8, top_k=40),
        seed=7,
        n_vocab=tales.n_vocab,
        max_new_tokens=20,
    )
    list(made.ask("Who are you?"))
    from gptcli.generation.loop import Limits
    from gptcli.generation.writing import Request, Writing

    prompt = f"{made.system}\n\nUser: Who are you?\nAssistant:"
    stops = ("\nUser:", "\nAssistant:")
    request = Request([prompt], Sampling(temperature=0.8, top_k=40), Limits(20, ()), seed=7, stops=stops)
    writing = Writing(tales.engine, tokenizer, request, n_vocab=tales.n_vocab)
    list(writing)
    written = writing.completions[0]
    assert made.prompt().ids[: len(written.sample.prompt_ids) - 3] == written.sample.prompt_ids[:-3]
    assert made.prompt().ids == tokenizer.encode(prompt + f" {made.turns[1].text}\nAssistant:")
    assert made.turns[1].ids == tuple(written.sample.ids)
    assert made.turns[1].text == written.stream.text.strip()


def test_a_scene_is_told_as_a_story() -> None:
    scene = scene_of("tales")
    assert scene is not None
    made = chat(says='I am "a wolf", the girl said.')
    made.begin_scene(scene)
    assert "".join(made.ask('Are you "big"?\n')) == "I am"  # up to the quote that closes
    assert bytes(made.prompt().ids).decode() == (
        f'{scene.system}\n\nThe girl said, "Are you \'big\'?\n"\nThe wolf said, "I am"\nThe wolf said, "'
    )
    assert made.layout.facts() == {"kind": "story", "user": "Girl", "assistant": "Wolf"}
