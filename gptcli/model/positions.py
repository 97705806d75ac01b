"""How a token learns where it stands: rotary angles, ALiBi, fixed sines (learned tables are plain embeddings)."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary

Floats = NDArray[np.float32]

if TYPE_CHECKING:  # the engine in C reads the table without torch
    from torch import Tensor


def sinusoids(positions: "Tensor", width: int) -> "Tensor":
    """Fixed position vectors of Vaswani et al. 2017, section 3.5: sines in even places, cosines in odd ones.

    Args:
        positions: integer positions, [B, T].
        width: numbers a position.

    Returns:
        [B, T, width] in float32; place 2i holds sin(p / 10000^(2i/width)), place 2i + 1 its cosine.
    """
    import torch

    place = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions.unsqueeze(-1).float() * 10000.0 ** (-place / width)  # [B, T, ceil(width/2)]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :width]


def rotary_table(
    config: GPTConfig, length: int | None = None, *, place: int = 0, sequence: int | None = None
) -> Floats:
    """What rotary positions (Su et al. 2021, equation 15) turn pairs of numbers by: the angle p * f_i.

    The one place where these angles are made, for every engine.

    Args:
        config: gives how many numbers R of a head are rotated, and the tables.
        length: positions; None: the whole context.
        place: which table of ``config.rotary``.
        sequence: length of the sequence that is read, on which some frequencies depend (see ``Rotary.epoch``); None:
            ``length``.

    Returns:
        [length, R / 2, 2]: cosine and sine, of angles that were rounded to float32 as the families' own code does,
        times the table's attention factor.
    """
    length = config.n_positions if length is None else length
    rotary = config.rotary[place]
    scaled = frequencies(rotary, config.rotary_dim, length if sequence is None else sequence)
    positions = np.arange(length, dtype=np.float32)
    angles = (positions[:, None] * scaled).astype(np.float64)
    table = np.stack((np.cos(angles), np.sin(angles)), axis=-1).astype(np.float32)
    return table if rotary.attention_factor == 1 else table * np.float32(rotary.attention_factor)


def frequencies(rotary: Rotary, rotated: int, length: int) -> Floats:
    """The angle that each pair turns by from one position to the next.

    Args:
        rotary: the table's description. The formulas of its kinds are those of transformers' ``modeling_rope_utils``.
        rotated: how many numbers R of a head are rotated.
        length: of the sequence, in positions.

    Returns:
        [R / 2].
    """
    base, original, factor = rotary.base, rotary.original or 0, np.float32(rotary.factor)
    if rotary.kind == "dynamic" and length > original:
        base *= (rotary.factor * length / original - (rotary.factor - 1)) ** (rotated / (rotated - 2))
    exponents = np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated)
    # Worked out in float64 and rounded: the same numbers on every machine, and torch's to the bit.
    wavelengths = (base ** exponents.astype(np.float64)).astype(np.float32)  # over 2 pi
    plain: Floats = np.float32(1) / wavelengths
    if rotary.kind == "linear":
        plain = plain / factor
    elif rotary.kind == "llama3":
        stays = _llama3_share(rotary, plain, original)
        plain = (1 - stays) * plain / factor + stays * plain
    elif rotary.kind == "yarn":
        stretched = _yarn_share(rotary, rotated, original)
        plain = np.float32(1) / (factor * wavelengths) * stretched + plain * (1 - stretched)
    elif rotary.kind == "longrope":
        listed = rotary.long_factors if length > original else rotary.short_factors
        plain = np.float32(1) / (np.array(listed, np.float32) * wavelengths)
    return plain


def _llama3_share(rotary: Rotary, plain: Floats, original: int) -> Floats:
    """How much of each frequency stays as it is: all of the fast ones, nothing of the slow ones."""
    turns = np.float32(original) * plain / np.float32(2 * math.pi)
    low, high = np.float32(rotary.low_frequency), np.float32(rotary.high_frequency)
    share: Floats = np.clip((turns - low) / (high - low), np.float32(0), np.float32(1))
    return share


def _yarn_share(rotary: Rotary, rotated: int, original: int) -> Floats:
    """How much of each frequency is divided by the factor: nothing of the fast ones, all of the slow ones."""

    def pair(turns: float) -> float:
        """The pair, a broken number, that makes so many turns within the original context."""
        return rotated * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(rotary.base))

    low, high = pair(rotary.beta_fast), pair(rotary.beta_slow)
    if rotary.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0.0), min(high, rotated - 1.0)
    high += 0.001 if low == high else 0.0
    pairs = np.arange(rotated // 2, dtype=np.float32)
    share: Floats = np.clip((pairs - np.float32(low)) / np.float32(high - low), np.float32(0), np.float32(1))
    return share


def query_growth(config: GPTConfig, length: int | None = None) -> Floats:
    """What queries at each position are multiplied by after their rotation (see ``GPTConfig.query_growth``): [length].

    Args:
        config: gives the rule.
        length: positions; None: the whole context.
    """
    positions = np.arange(config.n_positions if length is None else length, dtype=np.float32)
    steps = np.floor(positions / np.float32(config.query_growth_every))
    growth: Floats = np.float32(1) + np.float32(config.query_growth) * np.log1p(steps)
    return growth


def alibi_slopes(config: GPTConfig) -> Floats:
    """What ALiBi adds to the scaled score of a query, for each position that the key stands nearer: [H].

    Press et al. 2022 give the slopes of a power of two of heads, 2^(-8 (h + 1) / H). For other numbers BLOOM takes
    those of the power below, and every other one of the power above; MPT those of the power above, the even ones first.
    """
    heads = config.n_head
    below = 1 << (heads.bit_length() - 1)
    if config.alibi_slopes == "mpt":
        rule = _slopes(below if below == heads else 2 * below, config.alibi_max)
        slopes = rule if below == heads else np.concatenate((rule[1::2], rule[::2]))[:heads]
    else:
        between = _slopes(2 * below, config.alibi_max)[::2]
        slopes = np.concatenate((_slopes(below, config.alibi_max), between[: heads - below]))
    return (slopes * (config.scale(0) if config.alibi_scaled else 1.0)).astype(np.float32)


def _slopes(heads: int, steepest: float) -> NDArray[np.float64]:
    return np.exp2(-steepest / heads * np.arange(1, heads + 1, dtype=np.float64))


def rotate(x: "Tensor", turns: "Tensor", interleaved: bool) -> "Tensor":
    """Turn the first numbers of each head, in pairs, by the angles of their positions; the rest stays.

    Args:
        x: queries or keys, [B, H, T, D].
        turns: cosines and sines from ``rotary_table``, [B or 1, 1, T, R / 2, 2] with R <= D.
        interleaved: pair neighbours (0 with 1, 2 with 3: GPT-J), or the two halves (0 with R/2: GPT-NeoX).

    Returns:
        [B, H, T, D].
    """
    import torch

    half = turns.shape[-2]
    cos, sin = turns.to(x.dtype).unbind(-1)
    turning, rest = x[..., : 2 * half], x[..., 2 * half :]
    if interleaved:
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    else:
        a, b = turning[..., :half], turning[..., half:]
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return torch.cat((turned, rest), dim=-1)
