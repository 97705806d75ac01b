"""What ``attribution`` finds: the summands of a logit."""

from dataclasses import dataclass

from gptcli.system.result import Result


@dataclass(frozen=True)
class Contribution:
    """What one part adds to a logit.

    Attributes:
        kind: ``embedding``, ``position``, ``head``, ``attention bias``, ``mlp``, ``mlp bias``, ``final norm bias``,
            ``unembedding bias``; where norms with biases stand behind the sub-layers or the embedding also
            ``attention norm bias``, ``mlp norm bias``, ``embedding norm bias``. In a run with interventions also
            ``intervention``: what they made of a layer (or of the embedding) beyond the parts of it.
        layer: which block, from 1; None outside the blocks.
        head: which head, from 1; None for other parts.
        logit: its summand.
    """

    kind: str
    layer: int | None
    head: int | None
    logit: float


@dataclass(frozen=True)
class Attribution(Result):
    """One token's logit after the last position as a sum over the parts.

    Attributes:
        id: of the token whose logit it is.
        token: the bytes it stands for.
        logit: as the model computed it.
        total: the sum of the contributions; the difference is rounding in the run.
        contributions: in the model's order.
        frozen: what was held at its value in the run: the scale of ``the final norm`` or of ``every norm``, and the
            cap on logits; None where the model has nothing of the kind on the way.
    """

    id: int
    token: bytes
    logit: float
    total: float
    contributions: list[Contribution]
    frozen: str | None

    def heads(self) -> list[list[float]]:
        """What each head adds: [layers][heads]."""
        rows: dict[int, list[float]] = {}
        for each in self.contributions:
            if each.kind == "head" and each.layer is not None:
                rows.setdefault(each.layer, []).append(each.logit)
        return [rows[layer] for layer in sorted(rows)]
