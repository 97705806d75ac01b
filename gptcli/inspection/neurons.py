"""Which neurons of the MLPs are active while a model reads a text, and what they write.

A neuron's activation is what the MLP's last matrix reads: behind the non-linearity, times the other number of a gated
MLP. What it writes is the activation times its column of that matrix. With the scale of every norm behind it held at
its value in the run, the neuron's effect on each logit is a number: its direct effect, without what later layers make
of it. The sum over the neurons and the bias is the MLP's own output.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.inspection.attention import chosen
from gptcli.inspection.heads import repeated_tokens
from gptcli.inspection.neuron_weights import SAMPLED, Neuron, read_neurons
from gptcli.inspection.places import Positions
from gptcli.inspection.stream import Floats, StreamWeights
from gptcli.inspection.token_scores import TokenScore, largest
from gptcli.model.config import GPTConfig
from gptcli.probability.reading import check_fits
from gptcli.system.answer import row_of
from gptcli.system.result import Result
from gptcli.text import token_text

# The most neurons of one answer: each has some tokens that it raises, lowers, and that excite it.
MOST_LISTED = 3000
_FEWEST = 4  # random tokens
# The most memory for the activations that the engine in C records; PyTorch gives them layer by layer.
_MOST_BYTES = 512_000_000
Measure = Literal["unusual", "activation", "written"]
"""What is largest: how much more it writes than it usually does, its activation, or how much it writes; signs aside."""


@dataclass(frozen=True)
class ActiveNeuron:
    """A neuron at one position of a text.

    Attributes:
        layer: from 1.
        neuron: from 1.
        activation: what the MLP's last matrix reads.
        usual: its mean activation elsewhere: on random tokens (those by which ``heads`` names heads), or at the other
            tokens of the text, the larger one in size; 0 where there are neither.
        written: the length of what it adds to the residual stream (of what the last matrix gives, before a norm on
            it): the activation times the length of its column.
        raises: the tokens whose logits it raises most here, and by how much: with the norms behind it held at their
            scale in this run, less the mean over all tokens.
        lowers: those that it lowers most.
        excited_by: the sampled tokens that excite it most, each alone, and the activation that each causes.
    """

    layer: int
    neuron: int
    activation: float
    usual: float
    written: float
    raises: list[TokenScore]
    lowers: list[TokenScore]
    excited_by: list[TokenScore]


@dataclass(frozen=True)
class TokenNeurons:
    """A token of a text and the neurons that are most active there.

    Attributes:
        position: from 1.
        id: of the token.
        token: its bytes.
        neurons: the most active ones, in order.
    """

    position: int
    id: int
    token: bytes
    neurons: list[ActiveNeuron]


@dataclass(frozen=True)
class Neurons(Result):
    """The most active neurons at the tokens of a text.

    Attributes:
        model: its name.
        prompt: the text.
        layers: those whose neurons are compared, from 1.
        width: neurons of each.
        measure: what is largest, all without signs: the ``activation``; the length of what is ``written``; or
            (``unusual``) the length of what is written less that for the usual activation.
        sampled: how many tokens ``excited_by`` is chosen from.
        tokens: of the text.
    """

    schema: ClassVar[str] = "gptcli.neurons/1"

    model: str
    prompt: str
    layers: list[int]
    width: int
    measure: Measure
    sampled: int
    tokens: list[TokenNeurons]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each neuron at each token; its lists are the texts of their tokens, the first one first."""
        for token in self.tokens:
            at = {name: value for name, value in row_of(token).items() if name != "neurons"}
            for each in token.neurons:
                lists = {"raises": each.raises, "lowers": each.lowers, "excited_by": each.excited_by}
                texts = {name: " ".join(token_text(one.token) for one in tokens) for name, tokens in lists.items()}
                yield at | row_of(each) | texts


def neurons(
    checkpoint: OpenCheckpoint,
    prompt: str,
    *,
    layers: str = "all",
    top: int = 3,
    measure: Measure = "unusual",
    at: Positions | None = None,
    words: int = 8,
) -> Neurons:
    """Read a text and list the most active neurons at each token.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        layers: numbers from 1, as in ``3``, ``1,4`` or ``2-5``, or ``all``.
        top: how many neurons at each token, over all these layers.
        measure: what is largest.
        at: positions of the text; None: all.
        words: how many tokens each neuron raises, lowers and is excited by.

    Raises:
        InputError: there is no such layer or position, the text does not fit into the context, or more than
            ``MOST_LISTED`` neurons would be listed.
    """
    config = checkpoint.config
    numbers = chosen(layers, config.n_layer, "layer")
    ids = checkpoint.encode_prompt(prompt)
    data = [checkpoint.tokenizer.token_bytes(token) for token in ids]
    positions = list(range(len(ids))) if at is None else list(at.indices(data))
    if (count := len(positions) * top) > MOST_LISTED:
        raise InputError(
            f"{len(positions):,} tokens with {top:,} neurons each are {count:,}, more than {MOST_LISTED:,}: lower "
            "--top, or choose tokens with --at"
        )
    stream = StreamWeights(checkpoint.what)
    names = sorted({name for number in numbers for name in stream.norms_behind(number - 1, "mlp")})
    places = [number - 1 for number in numbers]
    run = _run(checkpoint, stream, ids, places, top, measure, names, usual_activations(checkpoint, places))
    read = _read(stream, {place for position in positions for place in run.places[position]}, words)
    tokens = [
        TokenNeurons(
            position + 1,
            ids[position],
            data[position],
            [_at(stream, run, position, rank, read) for rank in range(len(run.places[position]))],
        )
        for position in positions
    ]
    return Neurons(checkpoint.name, prompt, numbers, config.mlp_width, measure, len(stream.sample(SAMPLED)), tokens)


@dataclass(frozen=True)
class _Run:
    """What is kept of a run: at each position the most active neurons (layer and neuron, from 0).

    Attributes:
        places: of each position.
        activations, usual, lengths: their figures.
        scales: by norm: what it divides by at each position.
    """

    places: list[list[tuple[int, int]]]
    activations: list[list[float]]
    usual: list[list[float]]
    lengths: list[list[float]]
    scales: dict[str, list[float]]


def usual_activations(checkpoint: OpenCheckpoint, layers: Sequence[int]) -> dict[int, Floats] | None:
    """Each neuron's mean activation on different random tokens, twice in a row, by layer (from 0): [neurons].

    Returns:
        None where no two tokens can be repeated.
    """
    ids = repeated_tokens(checkpoint.n_vocab, checkpoint.config.n_positions)
    if len(ids) < _FEWEST:
        return None
    found: dict[int, Floats] = {}
    _watched(checkpoint, ids, layers, (), lambda layer, activations: found.update({layer: activations.mean(0)}))
    return found


def _run(
    checkpoint: OpenCheckpoint,
    stream: StreamWeights,
    ids: Sequence[int],
    layers: Sequence[int],
    top: int,
    measure: Measure,
    names: Sequence[str],
    usual: dict[int, Floats] | None,
) -> _Run:
    """Run the model; of each layer only the most active neurons are kept."""
    found: list[dict[str, Any]] = []

    def see(layer: int, activations: Floats) -> None:
        columns = np.linalg.norm(stream.arrays.rows(f"h.{layer}.mlp.c_proj.weight"), axis=0)
        normal = _elsewhere(activations, None if usual is None else usual[layer])
        lengths = np.abs(activations) * columns
        by = {"activation": np.abs(activations), "written": lengths, "unusual": lengths - np.abs(normal) * columns}
        best = largest(by[measure], top)
        figures = {"by": by[measure], "activations": activations, "usual": normal, "lengths": lengths}
        kept = {name: np.take_along_axis(each, best, -1) for name, each in figures.items()}
        found.append({"layers": np.full_like(best, layer), "neurons": best, **kept})

    scales = _watched(checkpoint, ids, layers, names, see)
    merged = {name: np.concatenate([each[name] for each in found], axis=-1) for name in found[0]}
    order = np.argsort(-merged.pop("by"), axis=-1, kind="stable")[:, :top]
    best = {name: np.take_along_axis(each, order, -1).tolist() for name, each in merged.items()}
    places = [list(zip(*rows, strict=True)) for rows in zip(best["layers"], best["neurons"], strict=True)]
    return _Run(places, best["activations"], best["usual"], best["lengths"], scales)


def _watched(
    checkpoint: OpenCheckpoint,
    ids: Sequence[int],
    layers: Sequence[int],
    norms: Sequence[str],
    see: Callable[[int, Floats], None],
) -> dict[str, list[float]]:
    """Run the model.

    Args:
        checkpoint: the model.
        ids: the text.
        layers: from 0.
        norms: of the stream, by their names.
        see: is given each of these layers and what its MLP's last matrix reads, [T, neurons].

    Returns:
        What each norm divides by at each position.
    """
    config, engine = checkpoint.config, checkpoint.native
    few = 4 * len(ids) * config.n_layer * config.mlp_width <= _MOST_BYTES
    if engine is None or not few or set(norms) - {"ln_f"}:
        from gptcli.inspection.neurons_torch import watched

        return watched(checkpoint.model, ids, layers, dict.fromkeys(norms, _divisors), see)
    check_fits(ids, config.n_positions)
    run = engine.record(ids, parts=["neurons"])
    for layer in layers:
        see(layer, run.parts["neurons"][layer])
    return {name: _divisors(config, run.stream[-1]) for name in norms}


def _elsewhere(activations: Floats, usual: Floats | None) -> Floats:
    """For each position the mean activation at the others, or on random tokens where that is larger in size.

    Args:
        activations: of a layer, [T, neurons].
        usual: on random tokens, [neurons]; None: there are none.
    """
    length = len(activations)
    others = (activations.sum(0) - activations) / (length - 1) if length > 1 else np.zeros_like(activations)
    return others if usual is None else np.where(np.abs(others) > np.abs(usual), others, usual)


def _divisors(config: GPTConfig, stream: Floats) -> list[float]:
    """What a norm divides by at each position of what it reads, [T, C]."""
    x = stream.astype(np.float64)
    if config.norm_kind == "layer":
        x = x - x.mean(-1, keepdims=True)
    found: list[float] = np.sqrt(np.square(x).mean(-1) + config.layer_norm_epsilon).tolist()
    return found


def _read(stream: StreamWeights, places: set[tuple[int, int]], words: int) -> dict[tuple[int, int], Neuron]:
    """The neurons by their weights: each is read once, wherever it is active."""
    by_layer: dict[int, list[int]] = {}
    for layer, neuron in sorted(places):
        by_layer.setdefault(layer, []).append(neuron)
    ids = stream.sample(SAMPLED)
    return {
        (layer, number): neuron
        for layer, numbers in by_layer.items()
        for number, neuron in zip(numbers, read_neurons(stream, layer, numbers, ids, words), strict=True)
    }


def _at(
    stream: StreamWeights, run: _Run, position: int, rank: int, read: dict[tuple[int, int], Neuron]
) -> ActiveNeuron:
    """A neuron at a position: its column's effect times the activation, over the scales of the norms behind it.

    A scale is one number for all tokens: it changes how much is raised, and not which tokens are.
    """
    place = run.places[position][rank]
    neuron, activation = read[place], run.activations[position][rank]
    behind = [run.scales[name][position] for name in stream.norms_behind(place[0], "mlp")]
    factor = activation / float(np.prod(behind)) if behind else activation
    raises, lowers = (neuron.raises, neuron.lowers) if factor >= 0 else (neuron.lowers, neuron.raises)

    def times(tokens: Sequence[TokenScore]) -> list[TokenScore]:
        return [TokenScore(each.id, each.token, each.score * factor) for each in tokens]

    return ActiveNeuron(
        neuron.layer,
        neuron.neuron,
        activation,
        run.usual[position][rank],
        run.lengths[position][rank],
        times(raises),
        times(lowers),
        neuron.excited_by,
    )
