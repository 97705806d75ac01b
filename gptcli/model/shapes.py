"""Names and shapes of a GPT's parameters, from its configuration alone; without torch and without allocation."""

from collections.abc import Sequence

from gptcli.model.config import GPTConfig

Shape = tuple[int, ...]
_NORMS = ("ln_1", "ln_1_out", "ln_2", "ln_2_out")


def parameter_shapes(config: GPTConfig) -> dict[str, Shape]:
    """Name -> shape of every parameter of ``GPT(config)``, in its order; a tied unembedding is not listed again."""
    C = config.n_embd
    shapes: dict[str, Shape] = {"wte.weight": (config.vocab_size, config.embedding_width)}
    if config.positions == "learned":
        shapes["wpe.weight"] = (config.n_positions + config.position_offset, C)
    if config.embedding_width != C:
        shapes["project_in.weight"] = (C, config.embedding_width)
        shapes["project_out.weight"] = (config.embedding_width, C)
    if config.embedding_norm:
        shapes |= _norm("ln_0", config)
    for layer in range(config.n_layer):
        shapes |= {f"h.{layer}.{name}": shape for name, shape in block_shapes(config, layer).items()}
    if config.final_norm:
        shapes |= _norm("ln_f", config)
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, config.embedding_width)
    if config.unembedding_bias:
        shapes["lm_head.bias"] = (config.vocab_size,)
    return shapes


def is_matrix(name: str, shape: Sequence[int]) -> bool:
    """Whether a parameter is a matrix of a linear layer, which may be quantized; positions and norms are not."""
    return len(shape) == 2 and name != "wpe.weight" and not name.endswith(("q_norm.weight", "k_norm.weight"))


def block_shapes(config: GPTConfig, layer: int) -> dict[str, Shape]:
    """Name -> shape of every parameter of one layer, from 0, in its order."""
    C = config.n_embd
    attention = _with_bias("attn.c_attn", (sum(config.qkv_widths), C), config.qkv_bias)
    for name, shape in config.qk_norm_shapes.items() if config.norm_weight else ():
        attention[f"attn.{name}.weight"] = shape
        if config.qk_norm_bias:
            attention[f"attn.{name}.bias"] = shape
    attention |= _with_bias("attn.c_proj", (C, config.heads_width), config.attention_bias)
    if config.sinks:
        attention["attn.sinks"] = (config.n_head,)
    mlp: dict[str, Shape] = {}
    if config.experts is not None and config.experts.stand_in(layer):
        mlp = config.experts.shapes(C, config.gated)
    else:
        for name, shape in config.mlp_shapes.items():
            mlp |= _with_bias(f"mlp.{name}", shape, config.mlp_bias)
    norms = {name: _norm(name, config) if name in config.block_norms else {} for name in _NORMS}
    return {**norms["ln_1"], **attention, **norms["ln_1_out"], **norms["ln_2"], **mlp, **norms["ln_2_out"]}


def _norm(module: str, config: GPTConfig) -> dict[str, Shape]:
    return _with_bias(module, (config.n_embd,), config.norm_bias) if config.norm_weight else {}


def _with_bias(module: str, weight: Shape, bias: bool) -> dict[str, Shape]:
    shapes = {f"{module}.weight": weight}
    return shapes | {f"{module}.bias": weight[:1]} if bias else shapes
