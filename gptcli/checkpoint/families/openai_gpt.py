"""GPT-1 (Radford et al. 2018): GPT-2's predecessor, with norms after the sub-layers and no final norm."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.gpt2 import orientation
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import Activation, GPTConfig

_BLOCK = ("attn.c_attn", "attn.c_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2")
NAMING = Naming(
    modules={
        "tokens_embed": "wte",
        "positions_embed": "wpe",
        **{f"h.N.{part}": f"h.N.{part}" for part in _BLOCK},
        "lm_head": "lm_head",
    },
    prefixes=("transformer.",),
    buffers=r"h\.[0-9]+\.attn\.(bias|masked_bias)|position_ids",
)
# The family has its own names for activations: its "gelu" is the tanh approximation.
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=40478),
        n_positions=fields.integer("n_positions", "max_position_embeddings", default=512),
        n_embd=fields.integer("n_embd", "hidden_size", default=768),
        n_layer=fields.layers("n_layer", "num_hidden_layers", default=12),
        n_head=fields.integer("n_head", "num_attention_heads", default=12),
        activation=_ACTIVATIONS[fields.choice("afn", options=tuple(_ACTIVATIONS), default="gelu")],
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        norm="post",
        final_norm=False,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None if header is None else locate(header, NAMING, orientation(header))
    return assemble("openai-gpt", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "tokens_embed.weight")


FAMILY = Family("openai-gpt", ("openai-gpt",), _recognise, from_config)
