"""What training scripts export (nanoGPT, build-nanogpt, LLMs-from-scratch), and our own format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import GPT2Config

from gptcli.checkpoint.families.own import config_json
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.errors import CheckpointError
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.rotary import Rotary
from gptcli.sampling.settings import Sampling
from tests.checkpoint.zoo import open_folder, reference, rewrite, understand

Tensors = dict[str, Tensor]
# A width of 128 makes two heads of 64, which is what is taken for granted without a config.json.
WIDE = {"vocab_size": 91, "n_positions": 40, "n_embd": 128, "n_layer": 2, "n_head": 2}
NANOGPT = {"n_layer": 2, "n_head": 2, "n_embd": 128, "block_size": 40, "vocab_size": 91, "dropout": 0.0}
BOOK = {"vocab_size": 91, "context_length": 40, "emb_dim": 128, "n_heads": 2, "n_layers": 2, "drop_rate": 0.1}


def saved(folder: Path, change: Callable[[Tensors], Tensors], **fields: Any) -> Any:
    """A GPT-2 of transformers, and its weights in a folder without a config.json, changed."""
    theirs = reference(GPT2Config(**{**WIDE, **fields}))
    theirs.save_pretrained(folder)
    rewrite(folder, fields=lambda _: None, tensors=change)
    return theirs


def linear(tensors: Tensors) -> Tensors:
    """The matrices as nn.Linear keeps them."""
    return {name: tensor.T if ".c_" in name and tensor.dim() == 2 else tensor for name, tensor in tensors.items()}


def book(tensors: Tensors) -> Tensors:
    """The names of LLMs-from-scratch."""
    made = {}
    for name, tensor in linear(tensors).items():
        if "c_attn" in name:
            block = name.split(".")[2]
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                made[f"trf_blocks.{block}.att.W_{part}.{name.rpartition('.')[2]}"] = piece
            continue
        for old, new in {
            "transformer.": "",
            "h.": "trf_blocks.",
            "wte": "tok_emb",
            "wpe": "pos_emb",
            "attn.c_proj": "att.out_proj",
            "mlp.c_fc": "ff.layers.0",
            "mlp.c_proj": "ff.layers.2",
            "ln_1.weight": "norm1.scale",
            "ln_1.bias": "norm1.shift",
            "ln_2.weight": "norm2.scale",
            "ln_2.bias": "norm2.shift",
            "ln_f.weight": "final_norm.scale",
            "ln_f.bias": "final_norm.shift",
            "lm_head": "out_head",
        }.items():
            name = name.replace(old, new, 1)
        made[name] = tensor
    made |= {f"trf_blocks.{block}.att.mask": torch.ones(40, 40).triu(1).bool() for block in range(2)}
    return made


def assert_same_logits(theirs: Any, ours: GPT) -> None:
    ids = torch.randint(ours.config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert (ours(ids) - theirs(ids).logits).abs().max() < 1e-4


def assert_wrong_logits(theirs: Any, ours: GPT) -> None:
    """The guard of the tests above: a wrong guess would show."""
    with pytest.raises(AssertionError):
        assert_same_logits(theirs, ours)


def test_gpt2_alone(tmp_path: Path) -> None:
    theirs = saved(tmp_path, lambda tensors: tensors)
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "gpt2"
    assert_same_logits(theirs, ours)


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_build_nanogpt_alone(prefix: str, tmp_path: Path) -> None:
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 40, 40).tril() for layer in range(2)}
    theirs = saved(
        tmp_path, lambda tensors: {prefix + name: tensor for name, tensor in {**linear(tensors), **masks}.items()}
    )
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "nanogpt"
    assert len(blueprint.buffers) == 2
    assert_same_logits(theirs, ours)
    assert "assumed the activation gelu_new" in blueprint.notes[0]


def unbiased(theirs: Any) -> Tensors:
    """A model without biases: those of transformers are made zero, and are not in the file."""
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    weights = {name: weight.detach() for name, weight in theirs.named_parameters() if not name.endswith("bias")}
    return {name: weight.clone().contiguous() for name, weight in linear(weights).items()}


@pytest.mark.parametrize("config", [None, {**NANOGPT, "bias": False}, NANOGPT])
def test_nanogpt_without_biases(config: dict[str, Any] | None, tmp_path: Path) -> None:
    theirs = reference(GPT2Config(**WIDE, activation_function="gelu"))
    save_file(unbiased(theirs), tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "nanogpt"
    assert not any(name.endswith("bias") for name, _ in ours.named_parameters())
    assert_same_logits(theirs, ours)


def test_nanogpt_with_biases_says_what_it_assumed(tmp_path: Path) -> None:
    theirs = saved(tmp_path, linear, activation_function="gelu")
    rewrite(tmp_path, fields=lambda _: {**NANOGPT, "bias": True})
    blueprint, ours = open_folder(tmp_path)
    assert_same_logits(theirs, ours)
    assert "assumed gelu" in blueprint.notes[0]
    rewrite(tmp_path, fields=lambda fields: {**fields, "activation_function": "gelu_new"})
    blueprint, ours = open_folder(tmp_path)
    assert not blueprint.notes
    assert_wrong_logits(theirs, ours)


def test_linear_matrices_under_a_gpt2_config(tmp_path: Path) -> None:
    theirs = reference(GPT2Config(**WIDE))
    theirs.save_pretrained(tmp_path)
    save_file(unbiased(theirs), tmp_path / "model.safetensors")
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "gpt2"
    assert not blueprint.config.mlp_bias
    assert_same_logits(theirs, ours)


@pytest.mark.parametrize("change", [lambda tensors: tensors, linear])
def test_square_mlp_does_not_hide_the_orientation(change: Callable[[Tensors], Tensors], tmp_path: Path) -> None:
    theirs = saved(tmp_path, change, n_inner=128)
    assert_same_logits(theirs, open_folder(tmp_path)[1])


def test_untied_head_without_a_config(tmp_path: Path) -> None:
    theirs = saved(tmp_path, linear, tie_word_embeddings=False)
    blueprint, ours = open_folder(tmp_path)
    assert not blueprint.config.tied
    assert_same_logits(theirs, ours)


@pytest.mark.slow
def test_padding_of_the_vocabulary_is_never_chosen(tmp_path: Path) -> None:
    saved(tmp_path, linear, vocab_size=50304, n_embd=64, n_head=1)
    checkpoint = open_checkpoint(str(tmp_path), Placement(device="cpu"))
    assert checkpoint.config.vocab_size == 50304
    assert checkpoint.n_vocab == 50257
    with torch.no_grad():
        checkpoint.model.wte.weight[50257:] = 100 * checkpoint.model.wte.weight[:1]  # would win or lose by far
    samples = new_samples([[1, 2, 3], [4]])
    steps = generate(
        checkpoint.engine, samples, Sampling(temperature=5), Limits(20), seed=0, n_vocab=checkpoint.n_vocab
    )
    assert all(step.token < 50257 and len(step.logits) == 50257 for step in steps)


@pytest.mark.parametrize("config", [None, {**BOOK, "qkv_bias": True}])
@pytest.mark.parametrize("tied", [False, True])
def test_llms_from_scratch(tied: bool, config: dict[str, Any] | None, tmp_path: Path) -> None:
    theirs = saved(tmp_path, book, tie_word_embeddings=tied)
    rewrite(tmp_path, fields=lambda _: config)
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.family == "llms_from_scratch"
    assert blueprint.config.tied == tied
    assert len(blueprint.buffers) == 2
    assert_same_logits(theirs, ours)


def test_llms_from_scratch_without_qkv_biases(tmp_path: Path) -> None:
    theirs = saved(tmp_path, book)
    with torch.no_grad():
        for block in theirs.transformer.h:
            block.attn.c_attn.bias.zero_()
    rewrite(
        tmp_path,
        fields=lambda _: BOOK,
        tensors=lambda tensors: {
            name: tensor for name, tensor in tensors.items() if not ("W_" in name and "bias" in name)
        },
    )
    assert_same_logits(theirs, open_folder(tmp_path)[1])


@pytest.mark.parametrize("change", [lambda tensors: tensors, linear, book])
def test_number_of_heads(change: Callable[[Tensors], Tensors], tmp_path: Path) -> None:
    theirs = saved(tmp_path, change, n_head=8)
    blueprint, ours = open_folder(tmp_path)
    assert blueprint.config.n_head == 2
    assert "heads of the usual size 64" in blueprint.notes[0]
    assert_wrong_logits(theirs, ours)
    blueprint, ours = open_folder(tmp_path, n_head=8)
    assert "8 heads (as --n-head says)" in blueprint.notes[0]
    assert_same_logits(theirs, ours)


@pytest.mark.parametrize("change", [linear, book])
def test_odd_width_asks_for_the_heads(change: Callable[[Tensors], Tensors], tmp_path: Path) -> None:
    theirs = saved(tmp_path, change, n_embd=30, n_head=3)
    with pytest.raises(CheckpointError, match=r"width 30 is no multiple of the usual head size 64: say .* --n-head"):
        understand(tmp_path)
    with pytest.raises(CheckpointError, match="n_embd 30 does not divide into n_head 7 heads"):
        understand(tmp_path, n_head=7)
    assert_same_logits(theirs, open_folder(tmp_path, n_head=3)[1])


OWN = {
    "attention is all you need": GPTConfig(
        vocab_size=61, n_positions=40, n_embd=24, n_layer=3, n_head=4, n_inner=50, activation="relu",
        positions="sinusoidal", norm="post", final_norm=False,
    ),
    "gpt2": GPTConfig(vocab_size=61, n_positions=40, n_embd=24, n_layer=2, n_head=3),
    "everything": GPTConfig(
        vocab_size=61, n_positions=40, n_embd=24, n_layer=3, n_head=2, n_inner=7, activation="mish",
        layer_norm_epsilon=1e-3, positions="rotary", rotary_dim=6, rotary=(Rotary(base=77.0),), rotary_interleaved=True,
        parallel_residual=True, shared_norm=True, scale_attention=False, scale_by_layer=True, windows=(None, 3, 5),
        qkv_bias=False, attention_bias=False, mlp_bias=False, norm_bias=False, norm_weight=False, tied=False,
        unembedding_bias=True, token_width=11,
    ),
    "tables and factors": GPTConfig(
        vocab_size=61, n_positions=40, n_embd=24, n_layer=2, n_head=2, n_kv_head=1, head_width=8, norm_kind="rms",
        norm_plus_one=True, norm_bias=False, gated=True, positions="rotary", rotary_dim=4, rotary_layers=(1, None),
        rotary=(Rotary(kind="llama3", factor=8.0, original=16),
                Rotary(kind="longrope", original=9, short_factors=(1.0, 2.0), long_factors=(3.0, 4.5))),
        query_growth=0.2, query_growth_every=5, norm="sandwich", qk_norm="each head", qkv_clip=3.0,
        attention_scale=0.3, attention_cap=20.0, residual_scale=0.5, embedding_scale=4.0, embedding_scale_rounded=True,
        logit_scale=0.25, logit_cap=10.0,
    ),
    "slopes": GPTConfig(
        vocab_size=61, n_positions=40, n_embd=24, n_layer=2, n_head=3, positions="alibi", alibi_slopes="mpt",
        alibi_max=4.0, alibi_scaled=True, embedding_norm=True, qk_norm="whole", qk_norm_bias=True, norm="after",
    ),
}  # fmt: skip


def save_own(folder: Path, config: GPTConfig) -> GPT:
    torch.manual_seed(0)
    model = GPT(config).eval()
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config_json(config)))
    return model


@pytest.mark.parametrize("name", OWN)
def test_own_format(name: str, tmp_path: Path) -> None:
    saved = save_own(tmp_path, OWN[name])
    blueprint, opened = open_folder(tmp_path)
    assert blueprint.config == OWN[name]
    ids = torch.randint(61, (2, 40))
    with torch.inference_mode():
        assert torch.equal(opened(ids), saved(ids))


@torch.inference_mode()
def test_attention_is_all_you_need_against_torch(tmp_path: Path) -> None:
    config = OWN["attention is all you need"]
    save_own(tmp_path, config)
    _, ours = open_folder(tmp_path)
    ids = torch.randint(61, (2, 40))
    place = torch.arange(40.0)[:, None] / 10000 ** (torch.arange(0, 24, 2) / 24)
    x = ours.wte(ids)
    x[..., 0::2] += place.sin()
    x[..., 1::2] += place.cos()
    for block in ours.h:
        layer = nn.TransformerEncoderLayer(24, 4, 50, activation="relu", batch_first=True).eval()
        layer.load_state_dict(
            {
                torch_name: block.get_parameter(name)
                for torch_name, name in {
                    "self_attn.in_proj_weight": "attn.c_attn.weight",
                    "self_attn.in_proj_bias": "attn.c_attn.bias",
                    **{
                        f"{theirs}.{leaf}": f"{mine}.{leaf}"
                        for theirs, mine in {
                            "self_attn.out_proj": "attn.c_proj",
                            "linear1": "mlp.c_fc",
                            "linear2": "mlp.c_proj",
                            "norm1": "ln_1",
                            "norm2": "ln_2",
                        }.items()
                        for leaf in ("weight", "bias")
                    },
                }.items()
            }
        )
        x = layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(40), is_causal=True)
    wanted = x @ ours.wte.weight.T
    assert wanted.std() > 0.5
    assert (ours(ids) - wanted).abs().max() < 1e-4
