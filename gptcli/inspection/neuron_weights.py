"""Neurons of MLPs by their weights: what each writes, and which tokens excite it.

A neuron is a row of an MLP's first matrix (and of its gate, where it has one) and a column of its last one. Its
activation is what the last matrix reads: how much of the column is written to the residual stream (Geva et al. 2021,
"Transformer Feed-Forward Layers Are Key-Value Memories").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gptcli.checkpoint.read import Checkpoint
from gptcli.inspection.by_weights import one_place
from gptcli.inspection.stream import Floats, StreamWeights
from gptcli.inspection.token_scores import TokenScore
from gptcli.system.answer import row_of
from gptcli.system.result import Result

# Tokens whose activation is worked out, to find those that excite a neuron.
SAMPLED = 2000


@dataclass(frozen=True)
class Neuron:
    """A neuron by its weights.

    Attributes:
        layer: from 1.
        neuron: from 1.
        raises: the tokens whose logits its column raises most, for a positive activation; less the mean over all
            tokens, and in a unit that the weights leave open (see ``stream``).
        lowers: those that it lowers most.
        excited_by: the sampled tokens that excite it most, each alone, and the activation that each causes.
    """

    layer: int
    neuron: int
    raises: list[TokenScore]
    lowers: list[TokenScore]
    excited_by: list[TokenScore]


@dataclass(frozen=True)
class NeuronView(Result):
    """A neuron by its weights, and what the figures are of.

    Attributes:
        model: its name.
        gated: whether the activation is a gate's times another number, so that it has both signs.
        activation: the non-linearity.
        sampled: how many tokens ``excited_by`` is chosen from.
        n_vocab: how many there are.
        through: how many of the first layers each token goes through alone before the neuron's MLP reads it.
        neuron: the neuron.
    """

    schema: ClassVar[str] = "gptcli.neurons.one/1"

    model: str
    gated: bool
    activation: str
    sampled: int
    n_vocab: int
    through: int
    neuron: Neuron

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each token that the neuron raises, lowers, or is excited by."""
        for what in ("raises", "lowers", "excited_by"):
            for each in getattr(self.neuron, what):
                yield {"layer": self.neuron.layer, "neuron": self.neuron.neuron, "what": what, **row_of(each)}


def view_neuron(checkpoint: Checkpoint, place: str, *, top: int = 8, sampled: int = SAMPLED) -> NeuronView:
    """A neuron by its weights. Its model is not run.

    Args:
        checkpoint: the model.
        place: ``3.117``: layer and neuron, from 1.
        top: how many tokens to list.
        sampled: of how many frequent tokens those that excite it are chosen; 0: of all.

    Raises:
        ExpressionError, InputError: there is no such neuron.
        CheckpointError: the files changed, or hold NaN.
    """
    layer, number = one_place(place, checkpoint.config, "neuron")
    stream = StreamWeights(checkpoint)
    ids = stream.sample(sampled)
    (neuron,) = read_neurons(stream, layer - 1, [number - 1], ids, top)
    return NeuronView(
        model=checkpoint.name,
        gated=checkpoint.config.gated,
        activation=checkpoint.config.activation,
        sampled=len(ids),
        n_vocab=int(stream.used.sum()),
        through=alone_through(layer - 1),
        neuron=neuron,
    )


def alone_through(layer: int) -> int:
    """How many of the first layers a token goes through alone before the MLP of a layer (from 0) reads it."""
    return min(1, layer)


def read_neurons(
    stream: StreamWeights, layer: int, neurons: Sequence[int], ids: Sequence[int], top: int
) -> list[Neuron]:
    """Some neurons of one layer by their weights.

    Args:
        stream: the model's weights.
        layer: from 0.
        neurons: which, from 0.
        ids: the tokens that may excite them.
        top: how many tokens to list.
    """
    through = alone_through(layer)
    x = stream.read_by(layer, "mlp", stream.alone(through, stream.embedded(ids)), through)
    excited = stream.activations(f"h.{layer}.", x, neurons)  # [ids, neurons]
    raised = stream.raised(stream.to_unembedding(layer, "mlp", written(stream, layer, neurons)), top)
    made = []
    for place, (number, (raises, lowers)) in enumerate(zip(neurons, raised, strict=True)):
        order = np.argsort(-excited[:, place], kind="stable")[:top]
        by = stream.tokens([ids[each] for each in order], excited[order, place].tolist())
        made.append(Neuron(layer + 1, number + 1, raises, lowers, by))
    return made


def written(stream: StreamWeights, layer: int, neurons: Sequence[int]) -> Floats:
    """What neurons of a layer (from 0) write for an activation of 1: their columns of its last matrix, [neurons, C]."""
    return np.ascontiguousarray(stream.arrays.columns(f"h.{layer}.mlp.c_proj.weight", list(neurons)).T)
