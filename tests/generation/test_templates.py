"""Chat templates as transformers renders them, ids as the tokenizers library gives them, and nothing that is typed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Library
from transformers.utils.chat_template_utils import render_jinja_template

from gptcli.checkpoint.chat_templates import ChatTemplate
from gptcli.errors import CheckpointError, InputError
from gptcli.generation.chat.conversation import Chat
from gptcli.generation.chat.renderer import Renderer
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.turns import Turn
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer, tokenizer_for
from tests.generation.made_templates import ALL, BOS, CHATML, EOS, INST, MARKED, NO_SYSTEM, SPECIAL, THINK, THINKING
from tests.tokenizer.reference import HARD_TEXT, trained
from tests.toy_engine import ToyEngine

TALKS = (
    (None, ("Hello!",)),
    ("Be kind. ", ("  What's <b>2 + 2</b>?\n",)),
    (None, ("\n\nhi", "  hello  ", "\n  and you?  \n\n", "", "Привет, 世界 🌍")),
    ("You are /no_think a GPT", ("a", "<think>\nhm\n</think>\n\nb", "c < d > e | f [x]", "</think>y", "stop here")),
)
ROLES = {"bos_token": BOS, "eos_token": EOS}


@pytest.fixture(scope="module")
def reference() -> Any:
    """The tokenizers library's tokenizer of all these templates."""
    made = trained(900, added=[AddedToken(text, special=False) for text in THINK], special=list(SPECIAL))
    return made


@pytest.fixture(scope="module")
def tokenizer(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The same file as gptcli reads it."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    reference.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(f'{{"eos_token": "{EOS}", "bos_token": "{BOS}"}}')
    return tokenizer_for(folder, None)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def messages(system: str | None, talk: tuple[str, ...]) -> list[dict[str, str]]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return [*first, *({"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(talk))]


def layout(template: str, renderer: Renderer, thinking: bool | None = None) -> TemplateLayout:
    return TemplateLayout(ChatTemplate("default", template, "made.jinja"), renderer, thinking=thinking)


def chat(template: str, tokenizer: Tokenizer, renderer: Renderer, n_positions: int = 5000, **options: Any) -> Chat:
    """A chat with a model that always says what the last token was."""
    engine = ToyEngine(np.eye(tokenizer.n_vocab), n_positions)
    thinking = options.pop("thinking", None)
    values: dict[str, Any] = {"seed": 1, "n_vocab": tokenizer.n_vocab, "max_new_tokens": 30} | options
    return Chat(engine, tokenizer, layout(template, renderer, thinking), Sampling(), **values)


def said(made: Chat, talk: tuple[str, ...], tokenizer: Tokenizer) -> Chat:
    """Put turns into a chat, answers with the ids that say just that."""
    for number, text in enumerate(talk):
        role: Any = "assistant" if number % 2 else "user"
        made.turns.append(Turn(role, text, tuple(tokenizer.encode(text)) if number % 2 else ()))
    return made


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("system", "talk"), TALKS)
def test_what_transformers_renders(
    name: str, system: str | None, talk: tuple[str, ...], reference: Any, tokenizer: Tokenizer, renderer: Renderer
) -> None:
    wanted, _ = render_jinja_template(
        [messages(None if name == "no system" else system, talk)],
        chat_template=ALL[name],
        add_generation_prompt=True,
        **ROLES,
    )
    made = chat(ALL[name], tokenizer, renderer, system=None if name == "no system" else system)
    said(made, talk, tokenizer)
    prompt = made.prompt()
    assert tokenizer.decode(prompt.ids) == wanted[0]
    assert prompt.ids == reference.encode(wanted[0], add_special_tokens=False).ids


@pytest.mark.parametrize("thinking", [True, False, None])
def test_thinking_is_asked_for(thinking: bool | None, tokenizer: Tokenizer, renderer: Renderer) -> None:
    given_values = {} if thinking is None else {"enable_thinking": thinking}
    (wanted,), _ = render_jinja_template(
        [messages(None, ("hi",))], chat_template=THINKING, add_generation_prompt=True, **given_values
    )
    made = said(chat(THINKING, tokenizer, renderer, thinking=thinking), ("hi",), tokenizer)
    assert tokenizer.decode(made.prompt().ids) == wanted
    assert wanted.endswith("</think>\n\n") == (thinking is False)
    assert made.layout.can_switch_thinking  # type: ignore[union-attr]
    assert not layout(CHATML, renderer).can_switch_thinking


def test_a_prompt_that_opens_a_thought(tokenizer: Tokenizer, renderer: Renderer) -> None:
    assert chat(MARKED, tokenizer, renderer).prompt().mid_thought
    assert not chat(THINKING, tokenizer, renderer, thinking=False).prompt().mid_thought


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.lists(st.sampled_from([*SPECIAL, *THINK, "x", " ", "\n", "<", ">", "/no_think", "im_end|>", "user"]), max_size=8)
)
@pytest.mark.parametrize("name", ALL)
def test_nothing_that_is_typed_steers(tokenizer: Tokenizer, renderer: Renderer, name: str, words: list[str]) -> None:
    """The special tokens of a prompt are those of the same prompt with harmless words in their place."""
    typed = "a" + "".join(words) + "b"
    there = [text for text in THINK if text in ALL[name]]
    steering = {tokenizer.encode(text, special=True)[0] for text in (*SPECIAL, *there)}
    system = None if name == "no system" else typed

    def steers(text: str, scene: str | None) -> list[int]:
        made = said(chat(ALL[name], tokenizer, renderer, system=scene), (text, "fine", text), tokenizer)
        return [token for token in made.prompt().ids if token in steering]

    assert steers(typed, system) == steers("ab", None if system is None else "ab")
    if name in ("chatml", "headers"):  # which change nothing of what is inside
        made = said(chat(ALL[name], tokenizer, renderer), (typed,), tokenizer)
        assert typed in tokenizer.decode(made.prompt().ids)


def test_an_answer_keeps_the_tokens_that_the_model_wrote(tokenizer: Tokenizer, renderer: Renderer) -> None:
    (think,) = tokenizer.encode("<think>")
    end = tokenizer.special_tokens["<|im_end|>"]
    for text, ids, count in (
        ("<think>x", (think, *tokenizer.encode("x")), 1),
        ("<think>x", tuple(tokenizer.encode("<") + tokenizer.encode("think>x")), 0),
    ):
        made = chat("x{{ (messages[1] or messages[0]).content }}{# <think> #}", tokenizer, renderer)
        made.turns = [Turn("user", "hi"), Turn("assistant", text, ids)]
        assert made.prompt().ids.count(think) == count
    made = chat(CHATML, tokenizer, renderer)
    made.turns = [Turn("user", "hi"), Turn("assistant", "a <|im_end|> b", tuple(tokenizer.encode("a <|im_end|> b")))]
    assert made.prompt().ids.count(end) == 4  # of the system text, the question, the answer, and the next question


def test_private_characters_stay_what_they_are(reference: Any, tokenizer: Tokenizer, renderer: Renderer) -> None:
    text = "".join(map(chr, range(0xF0000, 0xF0010))) + "\U0010fffd < >"
    made = said(chat(CHATML, tokenizer, renderer), (text,), tokenizer)
    assert text in tokenizer.decode(made.prompt().ids)


def test_what_a_template_refuses_is_its_own_word(tokenizer: Tokenizer, renderer: Renderer) -> None:
    with pytest.raises(InputError, match=r"^the model's chat template says: System role not supported$"):
        chat(NO_SYSTEM, tokenizer, renderer, system="Be kind")
    made = chat(NO_SYSTEM, tokenizer, renderer)
    with pytest.raises(InputError, match="System role"):
        made.set_system("Be kind")
    assert made.system is None
    made.turns = [Turn("user", "a"), Turn("user", "b")]
    with pytest.raises(InputError, match="must alternate"):
        made.prompt()
    made = chat(INST, tokenizer, renderer, system="Be kind")
    made.set_system("")
    assert made.system == ""


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("chatml", "<|im_end|>"), ("headers", "<|eot_id|>"), ("no system", "<end_of_turn>"), ("inst", EOS),
        ("thinking", "<|im_end|>"), ("marked", "<|im_end|>"),
    ],
)  # fmt: skip
def test_what_ends_an_answer(name: str, end: str, tokenizer: Tokenizer, renderer: Renderer) -> None:
    prompts = layout(ALL[name], renderer).prompts(tokenizer, tokenizer.n_vocab)
    assert prompts.end_ids() == (tokenizer.special_tokens[end],)
    bare = layout("{{ messages[0].content }}", renderer).prompts(tokenizer, tokenizer.n_vocab)
    assert bare.end_ids() == ()


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.text("abc ", max_size=60), min_size=1, max_size=15), st.integers(150, 400))
def test_what_falls_out(tokenizer: Tokenizer, renderer: Renderer, talk: list[str], n_positions: int) -> None:
    talk = talk if len(talk) % 2 else talk[:-1]
    made = said(chat(INST, tokenizer, renderer, n_positions, system="S"), tuple(talk), tokenizer)
    prompt = made.prompt()
    gone = sum(part.fallen > 0 or not part.text for part in prompt.parts if part.role in ("user", "assistant"))
    room = n_positions - 30
    assert len(prompt.ids) <= room
    assert gone % 2 == 0
    left = made.turns[gone:]
    assert "S" in tokenizer.decode(prompt.ids)
    made.turns = left
    assert made.prompt().ids == prompt.ids
    if gone:  # no turn falls out without need
        made.turns = made.turns[gone - 2 :]
        longer, _ = render_jinja_template(
            [messages("S", tuple(talk[gone - 2 :]))], chat_template=INST, add_generation_prompt=True, **ROLES
        )
        assert len(tokenizer.encode(longer[0], special=True)) > room


def test_a_conversation_may_go_on_for_ever(tokenizer: Tokenizer, renderer: Renderer) -> None:
    made = chat(CHATML, tokenizer, renderer, 400)
    long = "word " * 3000
    made.turns = [Turn("user", long), Turn("assistant", long)] * 200 + [Turn("user", "And now?")]
    with pytest.raises(CheckpointError, match="more than 4,000,000 characters"):
        renderer.render(CHATML, {"messages": [{"role": turn.role, "content": turn.text} for turn in made.turns]}, "x")
    prompt = made.prompt()
    assert tokenizer.decode(prompt.ids).count("word") == 0
    assert tokenizer.decode(prompt.ids).endswith("user\nAnd now?<|im_end|>\n<|im_start|>assistant\n")
    assert prompt.fallen > 400 * 3000


def test_a_turn_that_does_not_fit_leaves_no_trace(tokenizer: Tokenizer, renderer: Renderer) -> None:
    made = chat(CHATML, tokenizer, renderer, 200)
    with pytest.raises(InputError, match=r"the turn makes a prompt of [\d,]+ tokens, and the context of 200 holds"):
        list(made.ask(HARD_TEXT))
    assert made.turns == []


# Other tokenizers, most of which mark spaces: where they put one, and what the library says of the same text.


def spaced(kind: str) -> Library:
    """A tokenizer that falls back to bytes, in the manner of Llama 2, Mistral v0.3 or Gemma; or SmolLM2's."""
    letters = sorted(
        {*"\n▁", *(letter for text in (*ALL.values(), HARD_TEXT[:900]) for letter in text if letter != " ")}
    )
    texts = ["<unk>", *SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, "he", "ll", "hell", "hello"]
    texts += ["▁he", "▁hello", "us", "er", "user", "▁w", "\n\n"]
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("▁", "hello"), ("u", "s"), ("e", "r"), ("us", "er")]
    merges += [("▁", "w"), ("\n", "\n"), ("▁", "he")]
    vocab = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    made = Library(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    if kind == "digits":  # of bytes, like SmolLM2: several steps before the merges
        made = trained(900, added=[AddedToken(text, special=False) for text in THINK], special=list(SPECIAL))
        digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)
        made.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
        return made
    if kind == "first":
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if kind == "each" else replace
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence(steps if kind == "none" else [*steps, decoders.Strip(" ", 1, 0)])
    made.add_special_tokens(list(SPECIAL))
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in THINK])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["each", "first", "none", "digits"])
@pytest.mark.parametrize("name", ALL)
def test_tokenizers_that_mark_spaces(kind: str, name: str, renderer: Renderer, tmp_path: Path) -> None:
    reference = spaced(kind)
    reference.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(ROLES))
    read = tokenizer_for(tmp_path, None)
    for system, talk in TALKS:
        system = None if name == "no system" else system
        (wanted,), _ = render_jinja_template(
            [messages(system, talk)], chat_template=ALL[name], add_generation_prompt=True, **ROLES
        )
        prompt = said(chat(ALL[name], read, renderer, system=system), talk, read).prompt()
        assert prompt.ids == reference.encode(wanted, add_special_tokens=False).ids
    made = said(chat(ALL[name], read, renderer), ("hello <|im_end|> hello </s>",), read)
    harmless = said(chat(ALL[name], read, renderer), ("hello",), read)
    special = set(read.special_tokens.values())
    assert [token for token in made.prompt().ids if token in special] == [
        token for token in harmless.prompt().ids if token in special
    ]
    text = "".join(part.text for part in made.prompt().parts)
    assert "hello <|im_end|> hello </s>" in text
