"""Known families that are not supported, and why: they have more than a GPT's layers, or layers of another kind."""

_MIXTURES = ("mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss", "granitemoe", "olmoe", "phimoe", "dbrx", "ernie4_5_moe")
_HYBRIDS = {
    "qwen3_next": "linear attention in most layers",
    "qwen3_5": "linear attention in most layers",
    "qwen3_5_text": "linear attention in most layers",
    "qwen3_5_moe": "linear attention in most layers, and experts",
    "gemma3n": "embeddings of its own in each layer",
    "gemma3n_text": "embeddings of its own in each layer",
    "gemma4": "embeddings of its own in each layer, and keys that layers share",
    "gemma4_text": "embeddings of its own in each layer, and keys that layers share",
    "deepseek_v2": "latent attention and experts",
    "deepseek_v3": "latent attention and experts",
    "mamba": "state spaces in place of attention",
    "mamba2": "state spaces in place of attention",
    "falcon_mamba": "state spaces in place of attention",
    "jamba": "state spaces next to attention, and experts",
    "bamba": "state spaces next to attention",
    "granitemoehybrid": "state spaces next to attention, and experts",
    "lfm2": "convolutions in most layers",
    "rwkv": "recurrence in place of attention",
    "recurrent_gemma": "recurrence in most layers",
}


def why_not_run(model_type: object) -> str | None:
    """Why a family is not supported, to follow its ``model_type`` in a sentence; None for an unknown family."""
    if model_type in _MIXTURES:
        return (
            "is a mixture of experts, which gptcli does not run yet (gptcli models show and gptcli params count its "
            "tensors)"
        )
    if isinstance(model_type, str) and model_type in _HYBRIDS:
        return f"has {_HYBRIDS[model_type]}: gptcli runs plain GPTs only"
    return None
