"""GPT-2: OpenAI's four sizes and models with the same tensor names (distilgpt2, DialoGPT, Cerebras-GPT, mGPT, ...).

Keys may have the prefix ``transformer.``. Matrices are stored as in Conv1D, [in, out], or as in Linear, [out, in].
The shape of ``c_attn``, which is never square, tells which.
"""

from collections.abc import Callable

from gptcli.checkpoint.families.blueprint import Blueprint, Family, How
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.infer import infer_config, with_biases
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

_BLOCK = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
NAMING = Naming(
    modules={name: name for name in ("wte", "wpe", "ln_f", "lm_head", *(f"h.N.{part}" for part in _BLOCK))},
    prefixes=("transformer.",),
    buffers=r"h\.[0-9]+\.attn\.(bias|masked_bias)",
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    if fields.boolean("add_cross_attention", default=False):
        raise CheckpointError(f"{fields.place}: add_cross_attention is true: gptcli runs decoders only")
    located = None if header is None else locate(header, NAMING, orientation(header))
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("n_positions", "max_position_embeddings", default=1024),
        n_embd=fields.integer("n_embd", "hidden_size", default=768),
        n_layer=fields.layers("n_layer", "num_hidden_layers", default=12),
        n_head=fields.integer("n_head", "num_attention_heads", default=12),
        n_inner=fields.optional_integer("n_inner"),
        activation=fields.activation("activation_function", default="gelu_new"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        scale_attention=fields.boolean("scale_attn_weights", default=True),
        scale_by_layer=fields.boolean("scale_attn_by_inverse_layer_idx", default=False),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    if header is not None and located is not None and not has_conv1d(header):
        # transformers' GPT-2 always has biases. nanoGPT exports (Linear matrices) with its model_type may have none.
        config = with_biases(config, located)
    return assemble("gpt2", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_shapes(header: Header, n_head: int | None, place: str) -> Blueprint:
    """Infer the configuration of a lone file from the shapes of its tensors."""
    located = locate(header, NAMING, orientation(header))
    config, note = infer_config(located, header, n_head, place, "gelu_new")
    return assemble("gpt2", config, header, located, notes=(note,))


def orientation(header: Header) -> Callable[[str], How]:
    """How each tensor is made: Conv1D matrices are transposed."""
    if not has_conv1d(header):
        return lambda name: "as is"
    return lambda name: "transposed" if name.endswith(".weight") and (".c_" in name) else "as is"


def has_conv1d(header: Header) -> bool:
    """Whether the matrices are [in, out]; also True if the shapes fit neither layout."""
    rows, columns = _c_attn(header) or (1, 3)
    return rows != 3 * columns


def _c_attn(header: Header) -> tuple[int, int] | None:
    shapes = (info.shape for key, info in header.tensors.items() if key.endswith(".attn.c_attn.weight"))
    return next(((shape[0], shape[1]) for shape in shapes if len(shape) == 2), None)


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "wte.weight") and NAMING.has(header, "h.0.attn.c_attn.weight") and has_conv1d(header)


FAMILY = Family("gpt2", ("gpt2",), _recognise, from_config, from_shapes)
