"""How a token learns where it stands: rotary angles and fixed sines (learned tables are plain embeddings)."""

import torch
from torch import Tensor


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Fixed position vectors of Vaswani et al. 2017, section 3.5: sines in even places, cosines in odd ones.

    Args:
        positions: integer positions, [B, T].
        width: numbers a position.

    Returns:
        [B, T, width] in float32; place 2i holds sin(p / 10000^(2i/width)), place 2i + 1 its cosine.
    """
    place = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    angles = positions.unsqueeze(-1).float() * 10000.0 ** (-place / width)  # [B, T, ceil(width/2)]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :width]


def rotary_angles(positions: Tensor, dim: int, base: float) -> Tensor:
    """Angles of rotary positions (Su et al. 2021, equation 15): p * base^(-2i/dim).

    Args:
        positions: integer positions, [B, T].
        dim: how many numbers of a head are rotated; even.
        base: of the wavelengths.

    Returns:
        [B, 1, T, dim / 2] in float32; the 1 is for the heads.
    """
    place = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32)
    return (positions.unsqueeze(-1).float() * (1.0 / base ** (place / dim))).unsqueeze(1)


def rotate(x: Tensor, angles: Tensor, interleaved: bool) -> Tensor:
    """Turn the first numbers of each head, in pairs, by the angles of their positions; the rest stays.

    Args:
        x: queries or keys, [B, H, T, D].
        angles: [B, 1, T, R / 2] with R <= D.
        interleaved: pair neighbours (0 with 1, 2 with 3: GPT-J), or the two halves (0 with R/2: GPT-NeoX).

    Returns:
        [B, H, T, D].
    """
    half = angles.shape[-1]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    turning, rest = x[..., : 2 * half], x[..., 2 * half :]
    if interleaved:
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    else:
        a, b = turning[..., :half], turning[..., half:]
        turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return torch.cat((turned, rest), dim=-1)
