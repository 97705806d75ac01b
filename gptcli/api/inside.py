"""What looks inside a loaded GPT: a method for each command that does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from gptcli.api.choices import Metric, one_of
from gptcli.system.named_options import tells_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.counting.tracing import Trace
    from gptcli.inspection.ablation import Ablation
    from gptcli.inspection.attention import Attention
    from gptcli.inspection.attribution import Attribution
    from gptcli.inspection.by_weights import HeadView
    from gptcli.inspection.contexts import ContextSimilarities
    from gptcli.inspection.head_label import HeadLabel
    from gptcli.inspection.head_scan import HeadScan
    from gptcli.inspection.lens import Lens
    from gptcli.inspection.neuron_weights import NeuronView
    from gptcli.inspection.neurons import Neurons
    from gptcli.inspection.passages import NeuronPassages
    from gptcli.inspection.patching import Patching
    from gptcli.show.explore_page.page import Exploration

    Floats = NDArray[np.float32]


@tells_options
class LooksInside:
    """The methods of ``LoadedGPT`` that read its weights, or what it computes for a text.

    Attributes:
        checkpoint: the tokenizer, the engine, and the model (a ``torch.nn.Module``, loaded at its first use).
    """

    checkpoint: "OpenCheckpoint"

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
        """A head by its weights, such as ``8.3``, and its kind, as ``gptcli head`` shows it.

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
        from gptcli.inspection.head_scan import scan_heads

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
        from gptcli.inspection.place_text import parse

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

        return label_heads(self.checkpoint)

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

        seen, record = lens(self.checkpoint, text, words=() if word is None else [word], attribution=True)
        track = seen.tracks[0]
        assert record is not None
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

        chosen = Metrics(one_of(metric, Metric, "metric"))
        return compare_contexts(self.checkpoint, texts, metric=chosen, neighbors=neighbors)

    def _ids(self, text: str) -> list[int]:
        return self.checkpoint.encode_prompt(text)
