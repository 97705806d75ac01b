"""Prompts to continuations: what is put before a prompt, biases by text, stops across tokens."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.generation.logit_bias import with_logit_bias
from gptcli.generation.loop import Limits
from gptcli.generation.writing import Request, Writing
from gptcli.model.engine import rows_at_once
from gptcli.model.lookup import with_lookup
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import AddedToken, Declared, RankTokenizer, gpt2_tokenizer
from gptcli.tokenizer.prompt import prompt_ids
from tests.toy_engine import ToyEngine, random_table

GPT2 = gpt2_tokenizer()
BYTES = {bytes([byte]): byte for byte in range(256)}


def written(tales: OpenCheckpoint, prompts: Sequence[str], n: int = 30, **options: Any) -> Writing:
    sampling = options.pop("sampling", Sampling(temperature=0.8, top_k=40))
    limits = Limits(n, options.pop("eos", tales.eos_ids))
    made = Writing(
        tales.engine, tales.tokenizer, Request(prompts, sampling, limits, **({"seed": 1} | options)), n_vocab=50257
    )
    for piece in made:
        assert piece.completion.stream.text.endswith(piece.text)
    return made


def test_nothing_is_put_before_a_prompt() -> None:
    assert prompt_ids(GPT2, "Hello world") == [15496, 995]
    assert prompt_ids(GPT2, "Hello world", bos=True) == [50256, 15496, 995]
    assert prompt_ids(GPT2, "") == prompt_ids(GPT2, "", bos=True) == [50256]


def test_what_the_tokenizer_itself_puts_before_a_prompt() -> None:
    starting = RankTokenizer("starting", BYTES, r"[\s\S]", prefix_ids=[7])
    assert prompt_ids(starting, "A") == [7, 65]
    assert prompt_ids(starting, "") == [7]
    with pytest.raises(InputError, match="no end-of-text token"):
        prompt_ids(starting, "A", bos=True)
    ended = RankTokenizer(
        "ended", BYTES, r"[\s\S]", prefix_ids=[300], added=[AddedToken("</s>", 300)], declared=Declared(eos=("</s>",))
    )
    assert prompt_ids(ended, "A", bos=True) == prompt_ids(ended, "A") == [300, 65]  # once is enough
    with pytest.raises(InputError, match="give a prompt"):
        prompt_ids(RankTokenizer("bare", BYTES, r"[\s\S]"), "")


def test_logit_bias_by_text() -> None:
    made = with_logit_bias(
        Sampling(temperature=0.5), GPT2, [" the=+5", "==2", " a=-inf", "!=-1.5e2", " the=3", "<|endoftext|>=1"]
    )
    assert made.logit_bias == {262: 3.0, 28: 2.0, 257: -math.inf, 0: -150.0, 50256: 1.0}
    assert made.temperature == 0.5


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("dragon", "TEXT=NUMBER"),
        ("=5", "TEXT=NUMBER"),
        (" the=", "TEXT=NUMBER"),
        (" the=x", "TEXT=NUMBER"),
        (" the=nan", "TEXT=NUMBER"),
        (" the=inf", "TEXT=NUMBER"),
        (" extraordinarily dragonish=1", "tokens"),
    ],
)
def test_biases_that_cannot_be_are_refused(entry: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_logit_bias(Sampling(), GPT2, [entry])


def test_a_bias_reaches_the_text(tales: OpenCheckpoint) -> None:
    sampling = with_logit_bias(Sampling(temperature=0.8), tales.tokenizer, [" dragon=+1e40"])
    assert written(tales, ["A"], n=3, sampling=sampling).completions[0].stream.text == " dragon dragon dragon"
    forbidden = with_logit_bias(Sampling(temperature=0), tales.tokenizer, [" upon=-inf"])
    assert not written(tales, ["Once"], n=3, sampling=forbidden).completions[0].stream.text.startswith(" upon")


@pytest.mark.slow
def test_stop_texts_across_tokens(tales: OpenCheckpoint) -> None:
    plain = written(tales, ["Once upon a time"]).completions[0].stream.text
    middle = plain[20:31]  # begins and ends inside words
    assert plain.find(middle) == 20
    stopped = written(tales, ["Once upon a time"], stops=["never in there", middle]).completions[0]
    assert (stopped.stream.text, stopped.finish_reason) == (plain[:20], "stop")
    assert len(stopped.sample.ids) < 30


@pytest.mark.slow
def test_the_text_is_that_of_the_new_ids(tales: OpenCheckpoint) -> None:
    for completion in written(tales, ["Once upon a time", "The"], num_samples=2, eos=()).completions:
        assert completion.stream.text == tales.tokenizer.decode(completion.sample.ids)
        assert completion.finish_reason == "length"


def test_end_of_text_ends_and_is_not_shown_unless_ignored(tales: OpenCheckpoint) -> None:
    sampling = Sampling(temperature=0, logit_bias={50256: 1e6})
    ended = written(tales, ["A"], n=3, sampling=sampling).completions[0]
    assert (ended.stream.text, ended.sample.ids, ended.finish_reason) == ("", [50256], "eos")
    ignored = written(tales, ["A"], n=3, sampling=sampling, eos=()).completions[0]
    assert (ignored.stream.text, ignored.finish_reason) == ("<|endoftext|>" * 3, "length")


def test_what_cannot_be_written_is_refused_before_anything_is_shown() -> None:
    def request(prompts: Sequence[str], *, overflow: Any = "stop", stops: Sequence[str] = ()) -> Writing:
        asked = Request(prompts, Sampling(), Limits(3, (), overflow), seed=0, stops=stops)
        return Writing(ToyEngine(random_table(300), 10), GPT2, asked, n_vocab=300)

    with pytest.raises(InputError, match="--stop"):
        request(["A"], stops=["x", ""])
    with pytest.raises(InputError, match=r"12 tokens.*10"):
        request(["A", "1\n" * 6])
    with pytest.raises(InputError, match=r"' dragon'.*lacks"):
        request(["A dragon"])
    assert len(request(["1\n" * 6], overflow="slide").completions) == 1


@pytest.mark.slow
@pytest.mark.parametrize("scored", [False, True])
def test_written_a_few_at_a_time_the_texts_are_the_same(
    tales: OpenCheckpoint, monkeypatch: pytest.MonkeyPatch, scored: bool
) -> None:
    sampling, limits = Sampling(temperature=1.0, top_k=40), Limits(12, tales.eos_ids)
    request = Request(["Once upon", "The king"], sampling, limits, 3, 4, ["."], scored=scored)
    whole = Writing(tales.another_engine(), tales.tokenizer, request, n_vocab=50257)
    list(whole)
    monkeypatch.setattr("gptcli.model.engine._MOST_ROWS", 3)
    parts = Writing(tales.another_engine(), tales.tokenizer, request, n_vocab=50257)
    seen = []
    for pieces in parts.batches():
        list(pieces)
        assert len(parts.completions) <= 3
        seen += parts.completions
    assert [each.sample.ids for each in seen] == [each.sample.ids for each in whole.completions]
    assert [each.stream.text for each in seen] == [each.stream.text for each in whole.completions]
    assert [(each.sample.prompt, each.sample.number) for each in seen] == [
        (prompt, number) for prompt in range(2) for number in range(4)
    ]
    assert parts.clock.tokens == whole.clock.tokens


def test_samples_without_number_are_begun_in_their_order() -> None:
    engine = ToyEngine(random_table(300))
    request = Request(["A"], Sampling(), Limits(2), 1, 10**30)
    writing = Writing(engine, GPT2, request, n_vocab=300)
    begun = (next(pieces).completion.sample.number for pieces in writing.batches())
    numbers = [next(begun) for _ in range(3)]
    assert numbers == [0, 128, 256]
    assert len(writing.completions) == 128


@pytest.mark.parametrize(
    ("row", "free", "rows"), [(10, 1000, 50), (10, 10**9, 128), (10, 5, 1), (10, 0, 1), (10, None, 128)]
)
def test_rows_are_as_many_as_half_of_the_memory_holds(row: int, free: int | None, rows: int) -> None:
    engine: Any = ToyEngine(random_table(300))
    assert rows_at_once(engine, 100) == 128
    engine.row_bytes, engine.free_bytes = lambda capacity: row * capacity // 100, lambda: free
    assert rows_at_once(engine, 100) == rows


@pytest.mark.parametrize("lookup", [0, 4])
def test_the_engines_say_what_a_row_takes(tales: OpenCheckpoint, lookup: int) -> None:
    from gptcli.model.torch_engine import TorchEngine

    config = tales.config
    for engine in (tales.another_engine(), TorchEngine(tales.model)):
        seen: Any = with_lookup(engine, lookup)
        cache = 2 * config.n_layer * 100 * config.n_embd * 4
        assert 2 * cache < seen.row_bytes(100) < 40 * cache
        assert seen.free_bytes() > 10**6
        assert rows_at_once(seen, 100) > 1
        assert not hasattr(seen, "anything")
