"""Mixtures of experts: a router selects a few of a layer's MLPs for each token (Shazeer et al. 2017).

This module describes them and gives their parameter shapes; no engine runs them yet.
"""

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Experts:
    """The mixture of experts that replaces the MLP in some layers.

    Attributes:
        count: number of experts in a layer.
        active: number of experts that process each token.
        width: width of an expert's hidden layer.
        shared_width: the same for an additional shared expert, which processes every token and has its own gate; None:
            there is no shared expert.
        bias: whether the experts' matrices and the router have biases.
        layers: for each layer whether it has experts instead of an MLP; empty: all have.
    """

    count: int
    active: int
    width: int
    shared_width: int | None = None
    bias: bool = False
    layers: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible numbers.

        Raises:
            ValueError: says which number is impossible and why.
        """
        for name in ("count", "active", "width", "shared_width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"experts: {name} must be at least 1, not {value}")
        if self.active > self.count:
            raise ValueError(f"experts: {self.active} active ones of {self.count}")

    def stand_in(self, layer: int) -> bool:
        """Whether this layer has experts; layers count from 0."""
        return self.layers[layer] if self.layers else True

    def n_layers(self, n_layer: int) -> int:
        """How many of ``n_layer`` layers have experts."""
        return sum(self.stand_in(layer) for layer in range(n_layer))

    def shapes(self, n_embd: int, gated: bool) -> dict[str, Shape]:
        """Name -> shape of the parameters of one layer's experts; the first dimension of each matrix is the expert."""
        up = (self.count, self.width, n_embd)
        matrices = ({"c_gate": up} if gated else {}) | {"c_fc": up, "c_proj": (self.count, n_embd, self.width)}
        made: dict[str, Shape] = {"mlp.router.weight": (self.count, n_embd)}
        if self.bias:
            made["mlp.router.bias"] = (self.count,)
        for name, shape in matrices.items():
            made[f"mlp.experts.{name}.weight"] = shape
            if self.bias:
                made[f"mlp.experts.{name}.bias"] = shape[:2]
        if self.shared_width is not None:
            made |= self._shared(n_embd, self.shared_width, gated)
        return made

    @staticmethod
    def _shared(n_embd: int, width: int, gated: bool) -> dict[str, Shape]:
        names = (["c_gate"] if gated else []) + ["c_fc"]
        up: dict[str, Shape] = {f"mlp.shared.{name}.weight": (width, n_embd) for name in names}
        return up | {"mlp.shared.c_proj.weight": (n_embd, width), "mlp.shared_router.weight": (1, n_embd)}
