"""How a token learns where it stands: rotary angles and fixed sines (learned tables are plain embeddings)."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig

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


def rotary_table(config: GPTConfig, length: int | None = None) -> NDArray[np.float32]:
    """What rotary positions (Su et al. 2021, equation 15) turn pairs of numbers by: the angle p * base^(-2i/R).

    The one place where these angles are made, for every engine.

    Args:
        config: gives how many numbers R of a head are rotated, and the base.
        length: positions; None: the whole context.

    Returns:
        [length, R / 2, 2]: cosine and sine, of angles that were rounded to float32 as the families' own code does.
    """
    exponents = np.arange(0, config.rotary_dim, 2, dtype=np.float32) / np.float32(config.rotary_dim)
    # Worked out in float64 and rounded: the same numbers on every machine, and the frequencies are torch's to the bit.
    frequencies = np.float32(1) / (config.rotary_base ** exponents.astype(np.float64)).astype(np.float32)  # [R / 2]
    positions = np.arange(config.n_positions if length is None else length, dtype=np.float32)
    angles = (positions[:, None] * frequencies).astype(np.float64)
    return np.stack((np.cos(angles), np.sin(angles)), axis=-1).astype(np.float32)


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
