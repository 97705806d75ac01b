"""A loaded GPT: text in, text and probabilities out; and the same model with parts of it changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gptcli.api.choices import Overflow, one_of
from gptcli.api.inside import LooksInside
from gptcli.errors import InputError
from gptcli.system.named_options import tells_options, with_options_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.counting.parameters import ParameterCount
    from gptcli.generation.writing import Writing
    from gptcli.model.config import GPTConfig
    from gptcli.probability.next_token import NextToken
    from gptcli.probability.scoring import Score

    Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Run:
    """What ``run`` saw.

    Attributes:
        tokens: the bytes of each token of the text.
        logits: for the token after each position, [T, V].
        residual: the residual stream before the first layer and after each, [L + 1, T, C].
        attention: the attention weights, [L, H, T, T].
    """

    tokens: list[bytes]
    logits: "Floats"
    residual: "Floats"
    attention: "Floats"


@tells_options
class LoadedGPT(LooksInside):
    """A GPT that is ready to run, with its tokenizer. Comes from ``load``.

    Attributes:
        checkpoint: the tokenizer, the engine, and the model (a ``torch.nn.Module``, loaded at its first use).
    """

    def __init__(self, checkpoint: "OpenCheckpoint") -> None:
        self.checkpoint = checkpoint

    def __repr__(self) -> str:
        config = self.config
        return f"<gptcli {self.name}: {config.n_layer} layers of {config.n_head} heads, width {config.n_embd}>"

    @property
    def name(self) -> str:
        """The name that it was loaded by."""
        return self.checkpoint.name

    @property
    def config(self) -> "GPTConfig":
        """Its shape."""
        return self.checkpoint.config

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text; ``special`` reads special tokens such as ``<|endoftext|>`` as such."""
        return self.checkpoint.tokenizer.encode(text, special=special)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; incomplete characters become U+FFFD."""
        return self.checkpoint.tokenizer.decode(ids)

    def tokenize(self, text: str) -> list[bytes]:
        """The tokens of a text, each as the bytes that it stands for."""
        return [self.checkpoint.tokenizer.token_bytes(token) for token in self.encode(text)]

    def generate(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = 100,
        stop: str | Sequence[str] = (),
        bos: bool = False,
        ignore_eos: bool = False,
        overflow: Overflow = "slide",
        seed: int | None = None,
        temperature: float = 0.8,
        top_k: int = 40,
        top_p: float = 1.0,
        min_p: float = 0.0,
        typical_p: float = 1.0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
    ) -> str:
        """Continue a text; returns the continuation without the prompt.

        Args:
            prompt: the text.
            max_new_tokens: at most so many tokens.
            stop: texts that end the continuation, and are left out of it.
            bos: put ``<|endoftext|>`` before the prompt.
            ignore_eos: write on after ``<|endoftext|>``.
            overflow: when the context is full, ``slide`` drops its older half, and ``stop`` ends the text.
            seed: repeats a result; None draws one.
            temperature: divides the logits; 0 is greedy.
            top_k: keep the k largest; 0 keeps all.
            top_p: keep the most probable tokens that reach this probability together.
            min_p: keep what has this share of the largest probability.
            typical_p: keep the tokens nearest to the expected surprisal that reach this probability together.
            repetition_penalty: divides positive logits of tokens that were in the text, and multiplies negative ones.
            no_repeat_ngram: no run of so many tokens comes twice; 0 allows it.

        Raises:
            InputError: a setting is out of range, or the prompt does not fit.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "prompt")}
        return "".join(self.stream(prompt, **settings))

    @with_options_of(generate)
    def stream(self, prompt: str = "", **settings: Any) -> Iterator[str]:
        """Continue a text; yields the continuation piece by piece as it is written. Options: see ``generate``.

        Raises:
            InputError: a setting is out of range, or the prompt does not fit; before the first piece is asked for.
        """
        writing = _writing(self.checkpoint, prompt, **settings)
        return (piece.text for piece in writing if piece.text)

    def next_token(
        self, text: str, *, top: int = 20, temperatures: Sequence[float] = (1.0,), watch: Sequence[str] = ()
    ) -> "NextToken":
        """The probabilities of the token after a text, as ``gptcli logits`` shows them.

        Args:
            text: what the model reads.
            top: how many tokens to list.
            temperatures: one distribution each.
            watch: words whose tokens are listed too.

        Raises:
            InputError: the text is too long, or a temperature is out of range.
        """
        from gptcli.probability.next_token import next_token
        from gptcli.sampling.settings import Sampling

        return next_token(self.checkpoint, text, Sampling(), temperatures=temperatures, top=top, watch=watch)

    def score(self, text: str, *, bos: bool = False, stride: int | None = None) -> "Score":
        """How surprising each token of a text is, as ``gptcli score`` shows it.

        Raises:
            InputError: there are fewer than two tokens to read, or the stride does not fit into the context.
        """
        from gptcli.probability.scoring import score

        return score(self.checkpoint, text, bos=bos, stride=stride)

    def logits(self, text: str) -> "Floats":
        """Logits for the token after each position of a text: [T, V] in float32.

        Raises:
            InputError: the text is longer than the context (an empty one is read as ``<|endoftext|>``).
        """
        import numpy as np

        from gptcli.probability.reading import each_logits

        checkpoint, ids = self.checkpoint, self._ids(text)
        return np.concatenate(list(each_logits(checkpoint.engine_for(ids), ids, checkpoint.n_vocab)))

    def changed(
        self,
        *,
        without: Sequence[str] = (),
        by: Literal["zero", "mean", "resample"] = "zero",
        over: str | None = None,
        from_text: str | None = None,
        steer: Sequence[str] = (),
        freeze_attention: bool = False,
    ) -> "LoadedGPT":
        """The same model, with parts taken out or directions added in all that it does; weights are shared.

        ``gpt.changed(without=["8.3"]).generate("The")``

        Args:
            without: places that are taken out: ``4.1`` (a head), ``mlp:3``, ``layer:5@-1``, ``neuron:3.117``.
            by: what stands in their place.
            over: the text whose mean is meant; the text itself where it is not given.
            from_text: the text to resample from.
            steer: directions that are added: ``layer:7: happy - sad * 6``.
            freeze_attention: look where the model looks without the changes.

        Raises:
            ExpressionError: a place or a direction does not parse, or the model has no such place.
            InputError: the changes contradict each other, or a text does not fit into the context.
        """
        from gptcli.inspection.request import made, requested

        changes = requested(
            without=without,
            by=by,
            over=over,
            from_text=from_text,
            steer=steer,
            freeze_attention=freeze_attention,
        )
        checkpoint = self.checkpoint.changed(None)
        return LoadedGPT(checkpoint.changed(made(checkpoint, changes)))

    def run(self, text: str, interventions: Mapping[str, Any] | None = None) -> Run:
        """Read a text once, with interventions: the logits, the residual stream and the attention weights.

        Args:
            text: what it reads.
            interventions: the arguments of ``changed``: ``{"without": ["8.3"]}``.

        Raises:
            ExpressionError, InputError: see ``changed``; or the text does not fit into the context.
        """
        import numpy as np
        import torch

        from gptcli.inspection.record import record

        checkpoint = self.changed(**interventions).checkpoint if interventions else self.checkpoint
        seen, tokens = record(checkpoint.model, self._ids(text), checkpoint.changes), self.checkpoint.tokenizer
        with torch.inference_mode():
            logits = checkpoint.model.unembed(seen.stream[-1])[:, : checkpoint.n_vocab].float().cpu().numpy()
        return Run(
            [tokens.token_bytes(token) for token in seen.ids],
            np.asarray(logits),
            np.asarray(seen.stream.float().cpu().numpy()),
            np.stack([layer.pattern.cpu().numpy() for layer in seen.layers]),
        )

    def params(self) -> "ParameterCount":
        """Where its parameters are, as ``gptcli params`` counts them.

        Raises:
            GptcliError: its folder or file is not there any more.
        """
        from gptcli.counting.parameters import count_parameters

        return count_parameters(self.name)


def _writing(checkpoint: "OpenCheckpoint", prompt: str, **settings: Any) -> "Writing":
    """One continuation of one prompt, not started yet."""
    from gptcli.generation.loop import Limits
    from gptcli.generation.writing import Request, Writing
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.sampling.filters import DEFAULTS
    from gptcli.sampling.settings import Sampling

    eos_ids = () if settings.pop("ignore_eos", False) else checkpoint.eos_ids
    count, overflow = settings.pop("max_new_tokens", 100), settings.pop("overflow", "slide")
    if count < 0:
        raise InputError(f"max_new_tokens={count}: it must be 0 or more")
    one_of(overflow, Overflow, "overflow")
    limits = Limits(count, eos_ids, overflow)
    seed = seed_or_drawn(settings.pop("seed", None))
    stops, bos = settings.pop("stop", ()), settings.pop("bos", False)
    sampling = Sampling(**{**DEFAULTS, **settings})
    stops = [stops] if isinstance(stops, str) else list(stops)
    request = Request([prompt], sampling, limits, seed, 1, stops, bos, scored=False)
    # A session of its own, so that several texts can be generated at the same time.
    engine = checkpoint.another_engine()
    return Writing(engine, checkpoint.tokenizer, request, n_vocab=checkpoint.n_vocab, changes=checkpoint.changes)
