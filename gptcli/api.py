"""The small Python API: a model or word vectors by name, with one method for each command.

Each method makes the same call into the core as the command of that name, and returns the same frozen dataclass, or
numpy arrays. Nothing here prints. ``print`` shows a result as the terminal does, and a notebook shows it as a page;
``to_dict``, ``to_json`` and ``to_pandas`` hand it on. Every error is a ``GptcliError``::

    gpt = gptcli.load("gpt2")              # a name, a folder, a .safetensors file: what -m takes
    gpt.generate("The king", temperature=1.2, seed=1)
    gpt.next_token("The king and the").distributions[0].candidates
    gpt.attention("The king and the")[5, 0]  # the sixth layer, the first head: [T, T]
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from gptcli.system.named_options import tells_options
from gptcli.system.result import show_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.counting.parameters import ParameterCount
    from gptcli.counting.tracing import Trace
    from gptcli.embedding.load import Embedding
    from gptcli.embedding.queries import Direction, Neighbors, Similarities
    from gptcli.embedding.word_map import WordMap
    from gptcli.generation.writing import Writing
    from gptcli.inspection.ablation import Ablation
    from gptcli.inspection.attention import Attention
    from gptcli.inspection.attribution import Attribution
    from gptcli.inspection.by_weights import HeadScan, HeadView
    from gptcli.inspection.contexts import ContextSimilarities
    from gptcli.inspection.head_label import HeadLabel
    from gptcli.inspection.lens import Lens
    from gptcli.inspection.neuron_weights import NeuronView
    from gptcli.inspection.neurons import Neurons
    from gptcli.inspection.passages import NeuronPassages
    from gptcli.inspection.patching import Patching
    from gptcli.measuring.compare import Comparison
    from gptcli.model.config import GPTConfig
    from gptcli.probability.next_token import NextToken
    from gptcli.probability.scoring import Score
    from gptcli.show.explore_page.page import Exploration

    Floats = NDArray[np.float32]

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


Overflow = Literal["slide", "stop"]
Metric = Literal["cosine", "dot", "euclidean"]


class _Viewer:
    """Shows results; what draws them is imported when one is shown."""

    def json(self, result: Any, indent: int | None) -> str:
        from gptcli.show import notebook

        return notebook.json(result, indent)

    def html(self, result: Any) -> str | None:
        from gptcli.show import notebook

        return notebook.html(result)

    def text(self, result: Any) -> str | None:
        from gptcli.show import notebook

        return notebook.text(result)

    def rows(self, result: Any) -> list[dict[str, Any]]:
        from gptcli.show import notebook

        return notebook.rows(result)


show_with(_Viewer())


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

    def stream(
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
    ) -> Iterator[str]:
        """Continue a text; yields the continuation piece by piece as it is written. Options: see ``generate``.

        Raises:
            InputError: a setting is out of range, or the prompt does not fit; before the first piece is asked for.
        """
        settings = {name: value for name, value in locals().items() if name not in ("self", "prompt")}
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

        ``gpt.changed(without=["3.3"]).generate("The")``

        Args:
            without: places that are taken out: ``4.1`` (a head), ``mlp:3``, ``layer:5@-1``, ``neuron:3.117``.
            by: what stands in their place.
            over: the text whose mean is meant; the text itself where it is not given.
            from_text: the text to resample from.
            steer: directions that are added: ``layer:4: happy - sad * 6``.
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
            interventions: the arguments of ``changed``: ``{"without": ["3.3"]}``.

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

    def head(
        self,
        place: str,
        *,
        words: Sequence[str] = (),
        top: int = 8,
        distance: int = 1,
        sampled: int = 1000,
        through: int | None = None,
    ) -> "HeadView":
        """A head by its weights, such as ``5.3``, and its kind, as ``gptcli head`` shows it.

        Raises:
            InputError: there is no such head, word, distance or layer.
        """
        from gptcli.inspection.by_weights import view_head

        how: dict[str, Any] = {"top": top, "distance": distance, "sampled": sampled, "through": through}
        return view_head(self.checkpoint.what, place, words=words, labels=self._kinds, **how)

    def heads(self, *, sampled: int = 200, distance: int = 1, through: int | None = None) -> "HeadScan":
        """All heads by their weights, as ``gptcli head --all`` shows them.

        Raises:
            InputError: there is no such distance or layer.
        """
        from gptcli.inspection.by_weights import scan_heads

        how: dict[str, Any] = {"sampled": sampled, "distance": distance, "through": through}
        return scan_heads(self.checkpoint.what, labels=self._kinds, **how)

    def neurons(
        self,
        text: str,
        *,
        layers: str = "all",
        top: int = 3,
        measure: Literal["unusual", "activation", "written"] = "unusual",
        at: str | None = None,
    ) -> "Neurons":
        """The most active neurons at each token of a text, as ``gptcli neurons`` shows them.

        Raises:
            InputError: there is no such layer or position, or the text does not fit into the context.
        """
        from gptcli.inspection.neurons import neurons
        from gptcli.inspection.places import parse

        positions = None if at is None else parse(f"embedding@{at}").positions
        return neurons(self.checkpoint, text, layers=layers, top=top, measure=measure, at=positions)

    def neuron(self, place: str, *, top: int = 8) -> "NeuronView":
        """A neuron by its weights, such as ``3.117``, as ``gptcli neurons --neuron`` shows it.

        Raises:
            InputError: there is no such neuron.
        """
        from gptcli.inspection.neuron_weights import view_neuron

        return view_neuron(self.checkpoint.what, place, top=top)

    def passages(self, place: str, text: str, *, top: int = 10, window: int | None = None) -> "NeuronPassages":
        """The passages of a text of any length that excite a neuron, as ``gptcli neurons --neuron`` shows them.

        Raises:
            InputError: there is no such neuron, the text is empty, or the window does not fit.
        """
        from gptcli.inspection.neuron_weights import view_neuron
        from gptcli.inspection.passages import find_passages

        neuron = view_neuron(self.checkpoint.what, place).neuron
        ids = self.checkpoint.tokenizer.encode(text)
        return find_passages(self.checkpoint, neuron, [ids], "the text", top=top, window=window)

    def _kinds(self) -> "list[list[HeadLabel]] | None":
        from gptcli.inspection.heads import label_heads

        return label_heads(self.checkpoint.model, self.checkpoint.n_vocab)

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

    def attention(
        self,
        text: str,
        *,
        layers: str = "all",
        heads: str = "all",
        scores: bool = False,
        columns: bool = False,
    ) -> "Attention":
        """Where each position of a text looks. ``np.asarray`` of it, or an index, is an array: [L, H, T, T].

        Args:
            text: what the model reads.
            layers, heads: numbers from 1, as in ``3``, ``1,4`` or ``2-5``, or ``all``.
            scores: the scores before the softmax instead of the weights, which sum to 1.
            columns: queries as columns.

        Raises:
            InputError: there is no such layer or head, or the text is longer than the context (an empty one is read as
                ``<|endoftext|>``), or the result would be too large.
        """
        from gptcli.inspection.attention import attention

        return attention(self.checkpoint, text, layers=layers, heads=heads, scores=scores, columns=columns)

    def lens(self, text: str, *, sublayers: bool = False, words: Sequence[str] = ()) -> "Lens":
        """What each layer would say if it were the last one.

        Args:
            text: what the model reads.
            sublayers: also between attention and MLP.
            words: follow the first tokens of these through the layers instead of the prediction.

        Raises:
            InputError: the text is too long, or a word is empty.
        """
        from gptcli.inspection.lens import lens

        return lens(self.checkpoint, text, sublayers=sublayers, words=words)[0]

    def attribution(self, text: str, *, word: str | None = None) -> "Attribution":
        """What each head, MLP and bias adds to the logit of the next token.

        Args:
            text: what the model reads.
            word: the token, by the first one of this word; the most probable one if None.

        Raises:
            InputError: the text is too long, or the word is empty.
        """
        from gptcli.inspection.attribution import attribute
        from gptcli.inspection.lens import lens

        seen, record = lens(self.checkpoint, text, words=() if word is None else [word])
        track = seen.tracks[0]
        return attribute(self.checkpoint.model, record, track.id, track.token)

    def explore(self, text: str) -> "Exploration":
        """All that ``gptcli explore --save`` puts on a page of a text; a notebook shows it, ``save`` writes it.

        Raises:
            InputError: the text does not fit into the context, or is too long for a page.
        """
        from gptcli.inspection.explored import explored
        from gptcli.show.explore_page.page import Exploration

        return Exploration(explored(self.checkpoint, text))

    def trace(self, text: str, *, layer: int | None = None, head: int | None = None) -> "Trace":
        """The run of a text through the model, step by step.

        Args:
            text: what the model reads.
            layer: open this layer, from 1.
            head: open this head of it, from 1.

        Raises:
            InputError: there is no such layer or head, or the text is too long.
        """
        from gptcli.inspection.trace import trace

        return trace(self.checkpoint, text, layer=layer, head=head)

    def params(self) -> "ParameterCount":
        """Where its parameters are, as ``gptcli params`` counts them.

        Raises:
            GptcliError: its folder or file is not there any more.
        """
        return params(self.name)

    def similarity(self, *texts: str, metric: Metric = "cosine", neighbors: int = 0) -> "ContextSimilarities":
        """How alike a word is in several texts, layer by layer; it is marked with brackets in each.

        Args:
            texts: such as ``"the month of [May]"``.
            metric: how vectors are compared.
            neighbors: list so many tokens nearest to each vector.

        Raises:
            InputError: fewer than two texts, or one without a marked word.
        """
        from gptcli.embedding.metric import Metric as Metrics
        from gptcli.inspection.contexts import compare_contexts

        chosen = Metrics(_one_of(metric, Metric, "metric"))
        return compare_contexts(self.checkpoint, texts, metric=chosen, neighbors=neighbors)

    def _ids(self, text: str) -> list[int]:
        return self.checkpoint.encode_prompt(text)


def params(name: str = "tales", *, n_head: int | None = None) -> "ParameterCount":
    """Where the parameters of a model are, or of a published size such as ``gpt3``, without loading it.

    Args:
        name: as for ``load``, or a published size.
        n_head: attention heads, for a lone file whose shapes do not tell.

    Raises:
        GptcliError: there is no such model.
    """
    from gptcli.counting.parameters import count_parameters

    return count_parameters(name, n_head)


def _one_of(value: str, choices: Any, name: str) -> Any:
    """A value that is one of a few.

    Raises:
        InputError: it is not.
    """
    from gptcli.errors import InputError

    if value not in get_args(choices):
        raise InputError(f"{name}={value!r:.80}: it must be one of {', '.join(get_args(choices))}")
    return value


def _writing(checkpoint: "OpenCheckpoint", prompt: str, **settings: Any) -> "Writing":
    """One continuation of one prompt, not started yet."""
    from gptcli.errors import InputError
    from gptcli.generation.loop import Limits
    from gptcli.generation.writing import Request, Writing
    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.sampling.filters import DEFAULTS
    from gptcli.sampling.settings import Sampling

    eos_ids = () if settings.pop("ignore_eos", False) else checkpoint.eos_ids
    count, overflow = settings.pop("max_new_tokens", 100), settings.pop("overflow", "slide")
    if count < 0:
        raise InputError(f"max_new_tokens={count}: it must be 0 or more")
    _one_of(overflow, Overflow, "overflow")
    limits = Limits(count, eos_ids, overflow)
    seed = seed_or_drawn(settings.pop("seed", None))
    stops, bos = settings.pop("stop", ()), settings.pop("bos", False)
    sampling = Sampling(**{**DEFAULTS, **settings})
    stops = [stops] if isinstance(stops, str) else list(stops)
    request = Request([prompt], sampling, limits, seed, 1, stops, bos, scored=False)
    # A session of its own, so that several texts can be generated at the same time.
    engine = checkpoint.another_engine()
    return Writing(engine, checkpoint.tokenizer, request, n_vocab=checkpoint.n_vocab, changes=checkpoint.changes)


@tells_options
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

    def similarity(self, *words: str, metric: Metric = "cosine") -> "Similarities":
        """How alike two or more words are, each to each.

        Raises:
            InputError: fewer than two, or an unknown word.
        """
        from gptcli.embedding.metric import Metric as Metrics
        from gptcli.embedding.queries import similarity

        return similarity(self.embedding, words, Metrics(_one_of(metric, Metric, "metric")))

    def direction(self, expression: str, *words: str, sort: bool = True) -> "Direction":
        """The dot product of words with a direction such as ``cats-cat``.

        Args:
            expression: the direction.
            words: to measure.
            sort: largest first, instead of the order given.

        Raises:
            ExpressionError: it does not parse.
            InputError: no words, or an unknown one.
        """
        from gptcli.embedding.expression import parse
        from gptcli.embedding.queries import direction

        return direction(self.embedding, parse(expression), words, sort=sort)

    def map(self, *words: str, axes: Sequence[str] = (), neighbors: int = 0) -> "WordMap":
        """Words on a plane and in space, along the axes of their greatest variance.

        Args:
            words: words, expressions, or arrows such as ``"man->woman"``.
            axes: at most two expressions, whose directions are the first axes.
            neighbors: add so many of the nearest words of each.

        Raises:
            InputError: fewer than two words, more than two axes, or an unknown word.
        """
        from gptcli.embedding.word_map import word_map

        return word_map(self.embedding, words, axes=axes, neighbors=neighbors)
