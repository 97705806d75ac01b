"""The names and shapes of a GPT's parameters, from its configuration alone: no torch, nothing allocated."""

from gptcli.model.config import GPTConfig

Shape = tuple[int, ...]


def parameter_shapes(config: GPTConfig) -> dict[str, Shape]:
    """Name -> shape of every parameter of ``GPT(config)``, in its order; a tied unembedding is not counted again."""
    C = config.n_embd
    shapes: dict[str, Shape] = {"wte.weight": (config.vocab_size, config.embedding_width)}
    if config.positions == "learned":
        shapes["wpe.weight"] = (config.n_positions + config.position_offset, C)
    if config.embedding_width != C:
        shapes["project_in.weight"] = (C, config.embedding_width)
        shapes["project_out.weight"] = (config.embedding_width, C)
    block = _block_shapes(config)
    for layer in range(config.n_layer):
        shapes |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    if config.final_norm:
        shapes |= _norm("ln_f", config)
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, config.embedding_width)
    if config.unembedding_bias:
        shapes["lm_head.bias"] = (config.vocab_size,)
    return shapes


def _block_shapes(config: GPTConfig) -> dict[str, Shape]:
    C = config.n_embd
    shapes = _norm("ln_1", config)
    shapes |= _with_bias("attn.c_attn", (sum(config.qkv_widths), C), config.qkv_bias)
    shapes |= _with_bias("attn.c_proj", (C, config.heads_width), config.attention_bias)
    if not config.shared_norm:
        shapes |= _norm("ln_2", config)
    for name, shape in config.mlp_shapes.items():
        shapes |= _with_bias(f"mlp.{name}", shape, config.mlp_bias)
    return shapes


def _norm(module: str, config: GPTConfig) -> dict[str, Shape]:
    return _with_bias(module, (config.n_embd,), config.norm_bias) if config.norm_weight else {}


def _with_bias(module: str, weight: Shape, bias: bool) -> dict[str, Shape]:
    shapes = {f"{module}.weight": weight}
    return shapes | {f"{module}.bias": weight[:1]} if bias else shapes
