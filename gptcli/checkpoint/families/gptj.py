"""GPT-J: rotary positions on interleaved pairs, attention and MLP in parallel after one norm, a biased unembedding."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "wte": "wte",
        "h.N.ln_1": "h.N.ln_1",
        "h.N.attn.out_proj": "h.N.attn.c_proj",
        "h.N.mlp.fc_in": "h.N.mlp.c_fc",
        "h.N.mlp.fc_out": "h.N.mlp.c_proj",
        "ln_f": "ln_f",
        "lm_head": "lm_head",
    },
    stacks={"h.N.attn.c_attn": tuple(f"h.N.attn.{name}_proj" for name in "qkv")},
    prefixes=("transformer.",),
    buffers=r"h\.[0-9]+\.attn\.(bias|masked_bias|embed_positions)",
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    if "rotary_dim" in fields.values and fields.values["rotary_dim"] is None:
        raise fields.wrong(["rotary_dim"], None, "a whole number")
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50400),
        n_positions=fields.integer("n_positions", "max_position_embeddings", default=2048),
        n_embd=fields.integer("n_embd", "hidden_size", default=4096),
        n_layer=fields.layers("n_layer", "num_hidden_layers", default=28),
        n_head=fields.integer("n_head", "num_attention_heads", default=16),
        n_inner=fields.optional_integer("n_inner"),
        activation=fields.activation("activation_function", default="gelu_new"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        positions="rotary",
        rotary_dim=fields.integer("rotary_dim", default=64),
        rotary_interleaved=True,
        parallel_residual=True,
        shared_norm=True,
        qkv_bias=False,
        attention_bias=False,
        tied=fields.boolean("tie_word_embeddings", default=False),
        unembedding_bias=True,
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("gptj", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "h.0.attn.q_proj.weight")


FAMILY = Family("gptj", ("gptj",), _recognise, from_config)
