"""Position encodings: rotary angles, ALiBi, fixed sines (a learned table is an ordinary embedding)."""

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
    """Fixed position vectors of Vaswani et al. 2017, section 3.5: sines at even indices, cosines at odd ones.

    Args:
        positions: integer positions, [B, T].
        width: numbers in each position vector.

    Returns:
        [B, T, width] in float32; index 2i holds sin(p / 10000^(2i/width)), index 2i + 1 the cosine of the same angle.
    """
    import torch

    place = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions.unsqueeze(-1).float() * 10000.0 ** (-place / width)  # [B, T, ceil(width/2)]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :width]


def rotary_table(
    config: GPTConfig, length: int | None = None, *, place: int = 0, sequence: int | None = None
) -> Floats:
    """Cosines and sines of the rotary angles p * f_i (Su et al. 2021, equation 15).

    All engines take their angles from this function.

    Args:
        config: gives the tables, and how many numbers R of a head are rotated.
        length: number of positions; None: the whole context.
        place: index of the table in ``config.rotary``.
        sequence: length of the whole sequence, on which some frequencies depend (see ``Rotary.epoch``); None:
            ``length``.

    Returns:
        [length, R / 2, 2]: cosine and sine, times the table's attention factor. The angles are rounded to float32, as
        in the families' own code.
    """
    length = config.n_positions if length is None else length
    rotary = config.rotary[place]
    scaled = frequencies(rotary, config.rotary_dim, length if sequence is None else sequence)
    positions = np.arange(length, dtype=np.float32)
    angles = (positions[:, None] * scaled).astype(np.float64)
    table = np.stack((np.cos(angles), np.sin(angles)), axis=-1).astype(np.float32)
    return table if rotary.attention_factor == 1 else table * np.float32(rotary.attention_factor)


def frequencies(rotary: Rotary, rotated: int, length: int) -> Floats:
    """The rotation frequencies: the angle of each pair from one position to the next.

    Args:
        rotary: describes the table. The formulas of its kinds are those of transformers' ``modeling_rope_utils``.
        rotated: how many numbers R of a head are rotated.
        length: of the sequence, in positions.

    Returns:
        [R / 2].
    """
    base, original, factor = rotary.base, rotary.original or 0, np.float32(rotary.factor)
    if rotary.kind == "dynamic" and length > original:
        base *= (rotary.factor * length / original - (rotary.factor - 1)) ** (rotated / (rotated - 2))
    exponents = np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated)
    # Computed in float64 and rounded: the same on every machine, and bitwise equal to torch's.
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
    """The fraction of each frequency that is not scaled: 1 for high frequencies, 0 for low ones."""
    turns = np.float32(original) * plain / np.float32(2 * math.pi)
    low, high = np.float32(rotary.low_frequency), np.float32(rotary.high_frequency)
    share: Floats = np.clip((turns - low) / (high - low), np.float32(0), np.float32(1))
    return share


def _yarn_share(rotary: Rotary, rotated: int, original: int) -> Floats:
    """The fraction of each frequency that is divided by the factor: 0 for high frequencies, 1 for low ones."""

    def pair(turns: float) -> float:
        """The fractional index of the pair that makes so many full rotations within the original context."""
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
    """The factor of the queries at each position, applied after the rotation (``GPTConfig.query_growth``): [length].

    Args:
        config: gives the formula's parameters.
        length: number of positions; None: the whole context.
    """
    positions = np.arange(config.n_positions if length is None else length, dtype=np.float32)
    steps = np.floor(positions / np.float32(config.query_growth_every))
    growth: Floats = np.float32(1) + np.float32(config.query_growth) * np.log1p(steps)
    return growth


def alibi_slopes(config: GPTConfig) -> Floats:
    """ALiBi's slopes: the scaled score of a query decreases by this for each position of distance to the key: [H].

    Press et al. 2022 define the slopes for a number of heads that is a power of two: 2^(-8 (h + 1) / H). For other
    numbers, BLOOM takes those of the next lower power and then every other one of the next higher power. MPT takes
    those of the next higher power, first every second one, starting with the second, and then the rest.
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
    """Rotate the first R numbers of each head, in pairs, by the angles of their positions; the rest is unchanged.

    Args:
        x: queries or keys, [B, H, T, D].
        turns: cosines and sines from ``rotary_table``, [B or 1, 1, T, R / 2, 2] with R <= D.
        interleaved: whether pairs are neighbours (0 and 1, 2 and 3: GPT-J), not from two halves (0 and R/2: GPT-NeoX).

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
