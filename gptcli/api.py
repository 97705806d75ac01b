"""The small Python API: a model or word vectors by name, with one method for each command.

Each method makes the same call into the core as the command of that name, and returns the same frozen dataclass, or
numpy arrays. Nothing here prints. Every error is a ``GptcliError``::

    gpt = gptcli.load("gpt2")              # a name, a folder, a .safetensors file: what -m takes
    gpt.generate("The king", temperature=1.2, seed=1)
    gpt.next_token("The king and the").distributions[0].candidates
    gpt.attention("The king and the")[5, 0]  # layer 5, head 0: [T, T]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.embedding.load import Embedding
    from gptcli.embedding.queries import Neighbors, Similarities
    from gptcli.generation.writing import Writing
    from gptcli.inspection.ablation import Ablation
    from gptcli.inspection.patching import Patching
    from gptcli.measuring.compare import Comparison
    from gptcli.model.config import GPTConfig
    from gptcli.probability.next_token import NextToken
    from gptcli.probability.scoring import Score

    Floats = NDArray[np.float32]

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Settings(TypedDict, total=False):
    """How ``generate`` and ``stream`` write: the options of ``gptcli generate``, with its defaults.

    Attributes:
        max_new_tokens: at most so many tokens (100).
        stop: texts that end the continuation, and are left out of it.
        bos: put ``<|endoftext|>`` before the prompt.
        ignore_eos: write on after ``<|endoftext|>``.
        overflow: when the context is full, ``slide`` drops its older half, and ``stop`` ends the text.
        seed: repeats a result; None draws one.
        temperature: divides the logits; 0 is greedy (0.8).
        top_k: keep the k largest; 0 keeps all (40).
        top_p, min_p, typical_p, repetition_penalty, no_repeat_ngram: see ``gptcli.sampling.settings.Sampling``.
    """

    max_new_tokens: int
    stop: Sequence[str]
    bos: bool
    ignore_eos: bool
    overflow: Literal["slide", "stop"]
    seed: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    no_repeat_ngram: int


def load(
    name: str = "tales",
    *,
    device: Device = "auto",
    dtype: Dtype = "auto",
    n_head: int | None = None,
    tokenizer: str | None = None,
) -> "LoadedGPT":
    """Load a GPT.

    It generates with the same engine as ``gptcli generate`` (the one in C where that runs the model). Methods that
    look inside load the PyTorch model at their first use.

    Args:
        name: a folder, a .safetensors file, a bundled or short name, or ``owner/name`` on the hub (downloaded where it
            is not in the cache).
        device: where to run it; ``auto`` takes CUDA, then Apple's MPS, then the CPU.
        dtype: its precision; ``auto`` is bfloat16 on a GPU that has it, float32 elsewhere.
        n_head: attention heads, for a lone file whose shapes do not tell.
        tokenizer: the name of another model whose tokenizer reads its texts; ``None``: its own.

    Raises:
        GptcliError: it is not there, broken, of no family known here, or the device is not there.
    """
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.weights.placement import Placement

    return LoadedGPT(open_checkpoint(name, Placement(device, dtype), n_head, inside=False, tokenizer=tokenizer))


def compare(
    a: str,
    b: str,
    text: str | None = None,
    *,
    weights: bool = True,
    bos: bool = False,
    stride: int | None = None,
    device: Device = "auto",
    n_head: int | None = None,
) -> "Comparison":
    """Compare two models, or one in two precisions, as ``gptcli compare`` does.

    Args:
        a, b: names as for ``load``, each with a precision after a colon or without: ``compare("tales", "tales:int4")``.
        text: to read with both; None: none is read.
        weights: compare their weights, which reads all of both files.
        bos: read ``<|endoftext|>`` before the text.
        stride: tokens by which the window moves in a text that is longer than the context; None: half of that.
        device, n_head: as for ``load``.

    Raises:
        GptcliError: there is nothing to compare, or a model cannot be opened.
    """
    from gptcli.measuring import compare as measuring

    return measuring.compare(a, b, text, weights=weights, bos=bos, stride=stride, device=device, n_head=n_head)


def load_words(name: str = "glove-50d", *, unembedding: bool = False, leading_space: bool = True) -> "LoadedWords":
    """Load word vectors, or the token embedding of a GPT, without torch.

    Args:
        name: as for ``load``.
        unembedding: take a GPT's unembedding instead of its embedding.
        leading_space: look words up among a GPT's tokens as they stand inside a sentence, after a space.

    Raises:
        GptcliError: it does not exist, or is broken.
    """
    from gptcli.embedding.load import open_embedding

    return LoadedWords(open_embedding(name, unembedding=unembedding, leading_space=leading_space))


class Interventions(TypedDict, total=False):
    """What ``changed`` changes while the model runs: the options of ``gptcli generate``.

    Attributes:
        without: places that are taken out: ``4.1`` (a head), ``mlp:3``, ``layer:5@-1``, ``neuron:3.117``.
        by: what stands in their place: ``zero``, ``mean`` or ``resample``.
        over: the text whose mean is meant; the text itself where it is not given.
        from_text: the text to resample from.
        steer: directions that are added: ``layer:4: happy - sad * 6``.
        freeze_attention: look where the model looks without the changes.
    """

    without: Sequence[str]
    by: Literal["zero", "mean", "resample"]
    over: str | None
    from_text: str | None
    steer: Sequence[str]
    freeze_attention: bool


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


class LoadedGPT:
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

    def generate(self, prompt: str = "", **settings: "Unpack[Settings]") -> str:
        """Continue a text; returns the continuation without the prompt.

        Raises:
            InputError: a setting is out of range, or the prompt does not fit.
        """
        return "".join(self.stream(prompt, **settings))

    def stream(self, prompt: str = "", **settings: "Unpack[Settings]") -> Iterator[str]:
        """Continue a text; yields the continuation piece by piece as it is written.

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

    def changed(self, **changes: "Unpack[Interventions]") -> "LoadedGPT":
        """The same model, with parts taken out or directions added in all that it does; weights are shared.

        ``gpt.changed(without=["3.3"]).generate("The")``

        Raises:
            ExpressionError: a place or a direction does not parse, or the model has no such place.
            InputError: the changes contradict each other, or a text does not fit into the context.
        """
        from gptcli.inspection.request import made, requested

        checkpoint = self.checkpoint.changed(None)
        return LoadedGPT(checkpoint.changed(made(checkpoint, requested(**changes))))

    def run(self, text: str, **changes: "Unpack[Interventions]") -> Run:
        """Read a text once, with interventions: the logits, the residual stream and the attention weights.

        Raises:
            ExpressionError, InputError: see ``changed``; or the text does not fit into the context.
        """
        import numpy as np
        import torch

        from gptcli.inspection.record import record

        checkpoint = self.changed(**changes).checkpoint if changes else self.checkpoint
        seen, tokens = record(checkpoint.model, self._ids(text), checkpoint.changes), self.checkpoint.tokenizer
        with torch.inference_mode():
            logits = checkpoint.model.unembed(seen.stream[-1])[:, : checkpoint.n_vocab].float().cpu().numpy()
        return Run(
            [tokens.token_bytes(token) for token in seen.ids],
            np.asarray(logits),
            np.asarray(seen.stream.float().cpu().numpy()),
            np.stack([layer.pattern.cpu().numpy() for layer in seen.layers]),
        )

    def ablate(
        self,
        text: str,
        *,
        token: str | None = None,
        versus: str | None = None,
        measure: Literal["logit", "probability", "loss"] = "logit",
        by: Literal["zero", "mean", "resample"] = "zero",
        over: str | None = None,
        from_text: str | None = None,
        freeze_attention: bool = False,
    ) -> "Ablation":
        """What each head and MLP does for a prediction, as ``gptcli ablate`` shows it.

        Raises:
            InputError: the text does not fit into the context, or the arguments contradict each other.
        """
        from gptcli.inspection.ablation import ablate
        from gptcli.inspection.request import check_by

        check_by(by, over is not None, from_text is not None)
        how: dict[str, Any] = {"measure": measure, "by": by, "over": over, "source": from_text}
        return ablate(self.checkpoint, text, token=token, versus=versus, frozen=freeze_attention, **how)

    def patch(
        self,
        clean: str,
        corrupted: str,
        *,
        token: str | None = None,
        versus: str | None = None,
        measure: Literal["logit", "probability"] = "logit",
        heads: bool = False,
        freeze_attention: bool = False,
    ) -> "Patching":
        """Where a clean run brings its prediction back into a corrupted one, as ``gptcli patch`` shows it.

        Raises:
            InputError: the texts differ in length, or do not differ at all or in what they predict.
        """
        from gptcli.inspection.patching import patch

        how: dict[str, Any] = {"measure": measure, "heads": heads, "frozen": freeze_attention}
        return patch(self.checkpoint, clean, corrupted, token=token, versus=versus, **how)

    def embed(self, text: str) -> "Floats":
        """The token embedding of each token of a text, which does not depend on its neighbours: [T, C].

        ``residual`` has the vectors after each layer.
        """
        import numpy as np
        import torch

        with torch.inference_mode():
            weight = self.checkpoint.model.wte.weight
            return np.asarray(weight[torch.tensor(self._ids(text), device=weight.device)].float().cpu().numpy())

    def residual(self, text: str) -> "Floats":
        """The residual stream before the first layer and after each: [L + 1, T, C] in float32.

        Raises:
            InputError: the text is longer than the context (an empty one is read as ``<|endoftext|>``).
        """
        import numpy as np

        from gptcli.inspection.record import record

        return np.asarray(
            record(self.checkpoint.model, self._ids(text), self.checkpoint.changes).stream.float().cpu().numpy()
        )

    def attention(self, text: str) -> "Floats":
        """Where each position of a text looks, in every layer and head: [L, H, T, T]; each row sums to 1.

        Raises:
            InputError: the text is longer than the context (an empty one is read as ``<|endoftext|>``).
        """
        import numpy as np

        from gptcli.inspection.record import record

        layers = record(self.checkpoint.model, self._ids(text), self.checkpoint.changes).layers
        return np.stack([layer.pattern.cpu().numpy() for layer in layers])

    def _ids(self, text: str) -> list[int]:
        return self.checkpoint.encode_prompt(text)


def _writing(checkpoint: "OpenCheckpoint", prompt: str, **settings: Any) -> "Writing":
    """One continuation of one prompt, not started yet."""
    from gptcli.errors import InputError
    from gptcli.generation.loop import Limits, Overflow
    from gptcli.generation.writing import Request, Writing
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.sampling.filters import DEFAULTS
    from gptcli.sampling.settings import Sampling

    eos_ids = () if settings.pop("ignore_eos", False) else checkpoint.eos_ids
    count, overflow = settings.pop("max_new_tokens", 100), settings.pop("overflow", "slide")
    if count < 0:
        raise InputError(f"max_new_tokens={count}: it must be 0 or more")
    if overflow not in get_args(Overflow):
        raise InputError(f"overflow={overflow!r:.80}: it must be one of {', '.join(get_args(Overflow))}")
    limits = Limits(count, eos_ids, overflow)
    seed = seed_or_drawn(settings.pop("seed", None))
    stops, bos = settings.pop("stop", ()), settings.pop("bos", False)
    sampling = Sampling(**{**DEFAULTS, **settings})
    stops = [stops] if isinstance(stops, str) else list(stops)
    request = Request([prompt], sampling, limits, seed, 1, stops, bos, scored=False)
    # A session of its own, so that several texts can be generated at the same time.
    return Writing(checkpoint.another_engine(), checkpoint.tokenizer, request, n_vocab=checkpoint.n_vocab)


class LoadedWords:
    """Words and their vectors. Comes from ``load_words``.

    Attributes:
        embedding: the vectors and their vocabulary.
    """

    def __init__(self, embedding: "Embedding") -> None:
        self.embedding = embedding

    def __repr__(self) -> str:
        rows, width = self.embedding.matrix.shape
        return f"<gptcli {self.embedding.name}: {rows:,} vectors of {width} numbers>"

    def __contains__(self, word: str) -> bool:
        return self.embedding.vocabulary.has(word)

    def vector(self, word: str) -> "Floats":
        """The vector of a word, [d]; the mean of its tokens where a GPT has several for it.

        Raises:
            InputError: the word is unknown.
        """
        return self.embedding.vector(self.embedding.vocabulary.rows(word))

    def neighbors(self, word: str, *, top: int = 10) -> "Neighbors":
        """The words nearest to one, by cosine similarity.

        Raises:
            InputError: the word is unknown.
        """
        from gptcli.embedding.queries import neighbors

        return neighbors(self.embedding, word, top=top)

    def analogy(self, expression: str, *, top: int = 10) -> "Neighbors":
        """The words nearest to what an expression such as ``king-man+woman`` comes to.

        Raises:
            ExpressionError: it does not parse.
            InputError: a word in it is unknown.
        """
        from gptcli.embedding.expression import parse
        from gptcli.embedding.queries import analogy

        return analogy(self.embedding, parse(expression), top=top)

    def similarity(self, *words: str) -> "Similarities":
        """How alike two or more words are, each to each, by cosine similarity.

        Raises:
            InputError: fewer than two, or an unknown word.
        """
        from gptcli.embedding.queries import similarity

        return similarity(self.embedding, words)
