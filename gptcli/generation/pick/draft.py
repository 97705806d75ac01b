"""A text that a person and a model write together: every token is picked, typed or drawn, and can be undone."""

from typing import Literal

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.generation.explaining import explain
from gptcli.generation.loop import Limits, Row, Sample, choose, finish_reason, read_newest, window
from gptcli.generation.records import DraftRecord
from gptcli.generation.streaming import TextStream
from gptcli.generation.writing import Request
from gptcli.model.engine import Engine
from gptcli.probability.choice import Explanation, Offer, offer
from gptcli.sampling.draw import generator_for
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import known

# How a token was chosen: from the list, by typing it, or by the sampler.
Origin = Literal["picked", "typed", "drawn"]


# Candidates that a person can look through at each token.
TOP = 12


class Draft:
    """A text that a person and the model are writing.

    Each position has a random number of its own, however its token is chosen. So a drawn token depends only on the seed
    and on the tokens before it, and if all tokens are drawn, the text is that of ``generate``.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        prompt: the text before it.
        prompt_ids: its tokens.
        sampling: how tokens are drawn.
        limits: when the text ends.
        seed: determines the draws.
        n_vocab: ids from here on are never chosen.
        top: how many candidates to explain each token with.
        changes: what is changed in the model, as typed; None: nothing.

    Attributes:
        tokenizer, prompt, limits, seed, changes: as given.
        sample: the tokens.
        origins: how each was chosen.
        steps: the candidates for each.

    Raises:
        InputError: the prompt is empty, or does not fit into the context.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        prompt: str,
        prompt_ids: list[int],
        sampling: Sampling,
        limits: Limits,
        *,
        seed: int,
        n_vocab: int,
        top: int = TOP,
        changes: list[str] | None = None,
    ) -> None:
        self.tokenizer, self.prompt, self.limits, self.seed = tokenizer, prompt, limits, seed
        self.changes = changes
        self._engine, self._sampling, self._n_vocab, self._top = engine, sampling, n_vocab, top
        read = window(prompt_ids, engine.n_positions, limits.overflow)
        self.sample = Sample(0, 0, list(prompt_ids), slid=int(len(prompt_ids) > len(read)))
        self.origins: list[Origin] = []
        self.steps: list[Explanation] = []
        self._window, self._slid = len(read), self.sample.slid
        self._row = Row(self.sample, generator_for(seed, 0), len(read))
        self._before: list[tuple[int, int]] = []  # for each token: positions read, and slides, before it
        self._capacity = min(len(read) + max(limits.max_new_tokens, 1), engine.n_positions)
        self._logits = engine.prefill([read], self._capacity)[0][:n_vocab]
        if limits.max_new_tokens < 1:
            self.sample.finish_reason = "length"

    @property
    def finished(self) -> bool:
        """Whether the text has ended; a token can only be undone."""
        return self.sample.finish_reason is not None

    @property
    def text(self) -> str:
        """The text after the prompt, without the end-of-text token."""
        ids = self.sample.ids[:-1] if self.sample.finish_reason == "eos" else self.sample.ids
        stream = TextStream(self.tokenizer, (), self.sample.prompt_ids, self.prompt)
        return "".join(map(stream.push, ids)) + stream.finish()

    def offer(self) -> Offer:
        """The candidates for the next token."""
        return offer(self._logits, self.tokenizer, self._sampling, self.sample.all_ids, top=self._top)

    def draw_token(self) -> None:
        """Let the sampler add a token.

        Raises:
            InputError: the filters leave no token to choose.
        """
        self._add("drawn", None)

    def pick(self, token: int) -> None:
        """Add a token, even one that a filter would cut."""
        self._add("picked", token)

    def type(self, text: str) -> None:
        """Add the tokens of a text, as many as may still follow.

        Raises:
            InputError: the model lacks one of them, or the tokenizer cannot write the text.
        """
        for token in known(self.tokenizer, self.tokenizer.encode(text), self._n_vocab, "the text"):
            if not self.finished:
                self._add("typed", token)

    def put(self, how: Origin, token: int) -> None:
        """Add a token of a record; a drawn one is drawn again, and may turn out to be another."""
        self._add(how, None if how == "drawn" else token)

    def undo(self) -> None:
        """Remove the newest token, and its random number."""
        self.origins.pop()
        self.steps.pop()
        self.sample.ids.pop()
        self.sample.logprobs.pop()
        slid = self.sample.slid
        self._row.used, self.sample.slid = self._before.pop()
        self._row.generator = generator_for(self.seed, 0)
        self._row.generator.random(len(self.sample.ids))
        if not self.finished:  # otherwise the model has not read the token
            self._logits = self._read_back(same_window=slid == self.sample.slid)[: self._n_vocab]
        self.sample.finish_reason = None

    def _read_back(self, *, same_window: bool) -> Logits:
        """The logits after the newest token, when the one after it was removed.

        The model reads in the same steps as before, so that the logits are identical and a record repeats exactly.
        """
        seen = self.sample.all_ids[-self._row.used :]
        first = self.sample.slid == self._slid
        at_once = self._window if first else max(self._engine.n_positions // 2, 1) - 1
        if same_window and len(seen) > at_once:
            self._engine.rewind(2)
            at_once = len(seen) - 1
        elif first:
            logits = self._engine.prefill([seen[:at_once]], self._capacity)
        else:
            self._engine.refill(0, seen[:at_once])
        for token in seen[at_once:]:
            logits = self._engine.step([token])
        newest: Logits = logits[0]
        return newest

    def _add(self, how: Origin, token: int | None) -> None:
        assert not self.finished, "nothing can follow the end of a text"
        step = choose(self._row, self._logits, self._sampling, token)
        self._before.append((self._row.used, self.sample.slid))
        self.steps.append(explain(step, self.tokenizer, self._sampling, top=self._top))
        self.origins.append(how)
        self.sample.finish_reason = finish_reason(step, self._row, self._engine.n_positions, self.limits)
        if not self.finished:
            self._logits = read_newest(self._engine, [self._row])[0][: self._n_vocab]

    def record(self, model: str, left: str) -> DraftRecord:
        """What ``--json`` prints; it is enough to write the same text again (see ``replay``).

        Args:
            model: its name.
            left: the finish reason of a text that did not end by itself.
        """
        sample = self.sample
        return DraftRecord(
            model=model,
            prompt=self.prompt,
            completion=self.text,
            prompt_ids=sample.prompt_ids,
            ids=sample.ids,
            logprobs=sample.logprobs,
            finish_reason=sample.finish_reason or left,
            seed=self.seed,
            sampling=self._sampling,
            overflow=self.limits.overflow,
            origins=self.origins,
            steps=self.steps,
            changes=self.changes,
        )


def new_draft(checkpoint: OpenCheckpoint, request: Request) -> Draft:
    """An empty draft for a request's only prompt.

    Raises:
        InputError: there are several prompts, or this one is empty or does not fit into the context.
    """
    if len(request.prompts) != 1:
        raise InputError(f"--pick takes one prompt, and there are {len(request.prompts)}")
    (prompt,) = request.prompts
    ids = checkpoint.encode_prompt(prompt, bos=request.bos)
    return Draft(
        checkpoint.engine,
        checkpoint.tokenizer,
        prompt,
        ids,
        request.sampling,
        request.limits,
        seed=request.seed,
        n_vocab=checkpoint.n_vocab,
        changes=checkpoint.told_changes,
    )
