"""Reads the rotary positions of a config.json, in the current fields and in those of older files.

Old: ``rope_theta``, ``partial_rotary_factor`` and ``rope_scaling``, null or an object with ``rope_type`` or ``type``.
New (transformers 5): one ``rope_parameters`` object with all of them, or one for each layer type. A field inside the
object takes precedence over the same field outside it.
"""

import math
from dataclasses import dataclass

from gptcli.checkpoint.families.fields import Fields
from gptcli.errors import CheckpointError
from gptcli.model.rotary import Rotary, RotaryKind

_KINDS: dict[str, RotaryKind] = {
    "default": "default",
    "linear": "linear",
    "dynamic": "dynamic",
    "llama3": "llama3",
    "yarn": "yarn",
    "longrope": "longrope",
    "su": "longrope",
}
_LONGEST = 10**9


@dataclass(frozen=True)
class Rope:
    """One rotary table of a config.json.

    Attributes:
        rotary: the table.
        share: the fraction of each head that is rotated.
        context: the number of positions that the model supports with it.
    """

    rotary: Rotary
    share: float
    context: int


def read_rope(
    fields: Fields, *, base: float = 10000.0, share: float = 1.0, context: int = 2048, original: int | None = None
) -> Rope:
    """The rotary table of a model that has only one.

    Args:
        fields: of config.json.
        base: the base of the wavelengths if no field gives it.
        share: the fraction of each head that is rotated if no field gives it.
        context: the default of ``max_position_embeddings``.
        original: the family's default of an ``original_max_position_embeddings`` outside the object.
    """
    section = next((said for name in _SECTIONS if (said := fields.section(name)).values), Fields({}, fields.place))
    return _read(fields, section, base, share, context, original)


def read_ropes(
    fields: Fields, *, base: float, local_base: float, local_name: str = "rope_local_base_freq", context: int
) -> tuple[Rope, Rope]:
    """The tables of a model that has one for full-attention layers and another for sliding-window layers.

    Args:
        fields: of config.json.
        base: the base of the full layers' wavelengths if no field gives it.
        local_base: the base of the sliding layers' wavelengths if the field ``local_name`` is absent.
        local_name: the field of the sliding layers' base in old files.
        context: the default of ``max_position_embeddings``.

    Returns:
        The full layers' table and the sliding layers'. An old ``rope_scaling`` applies to the full layers only.
    """
    by_type = fields.section("rope_parameters")
    local = by_type.section("sliding_attention")
    if "full_attention" in by_type.values or "sliding_attention" in by_type.values:
        full = by_type.section("full_attention")
    else:
        full = by_type
    full = Fields({**full.values, **fields.section("rope_scaling").values}, full.place)
    outside = Fields({**fields.values, "rope_theta": fields.values.get(local_name)}, fields.place)
    return _read(fields, full, base, 1.0, context), _read(outside, local, local_base, 1.0, context)


_SECTIONS = ("rope_scaling", "rope_parameters")


def _read(
    fields: Fields, section: Fields, base: float, share: float, context: int, original: int | None = None
) -> Rope:
    said = section.values.get("rope_type") or section.values.get("type") or "default"
    if said not in _KINDS:
        raise CheckpointError(
            f"{section.place}: rotary positions of type {said!r:.40} are not supported, only {', '.join(_KINDS)}"
        )
    kind = _KINDS[said]
    base = section.number("rope_theta", default=fields.number("rope_theta", "rotary_emb_base", default=base))
    share = section.number(
        "partial_rotary_factor", default=fields.number("partial_rotary_factor", "rotary_pct", "rope_pct", default=share)
    )
    if share > 1:
        raise CheckpointError(f"{fields.place}: {share:g} of each head cannot be rotated: a share is from 0 to 1")
    longest = fields.integer("max_position_embeddings", default=context)
    if kind == "default":
        return Rope(Rotary(base=base), share, longest)
    first = section.integer("original_max_position_embeddings", default=longest)
    first = fields.integer("original_max_position_embeddings", default=original or first)
    if kind == "dynamic":
        first = longest
    needed = None if kind in ("yarn", "longrope") else section.number("factor")
    factor = needed or section.number("factor", default=longest / first)
    rotary = Rotary(
        base=base,
        kind=kind,
        factor=factor,
        original=first,
        low_frequency=section.number("low_freq_factor", default=1.0),
        high_frequency=section.number("high_freq_factor", default=4.0),
        beta_fast=section.number("beta_fast", default=32.0),
        beta_slow=section.number("beta_slow", default=1.0),
        truncate=section.boolean("truncate", default=True),
        short_factors=section.numbers("short_factor"),
        long_factors=section.numbers("long_factor"),
        attention_factor=_attention_factor(section, kind, factor, first),
    )
    return Rope(rotary, share, _context(kind, longest, factor, first))


def _context(kind: RotaryKind, longest: int, factor: float, original: int) -> int:
    """The context length: ``max_position_embeddings``, or the scaled original if longer (dynamic, YaRN)."""
    stretched = min(factor * original, _LONGEST)
    return max(longest, int(stretched)) if kind in ("dynamic", "yarn") else longest


def _attention_factor(section: Fields, kind: RotaryKind, factor: float, original: int) -> float:
    """The factor on cosines and sines, by YaRN's rule (Peng et al. 2023) or LongRoPE's (Ding et al. 2024)."""
    said = section.optional_number("attention_factor")
    if kind not in ("yarn", "longrope") or said is not None:
        return said or 1.0
    if kind == "longrope":
        if original == 1 and factor > 1:
            raise section.wrong(["original_max_position_embeddings"], original, "at least 2 with longrope")
        return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    scales = section.optional_number("mscale"), section.optional_number("mscale_all_dim")
    if scales[0] is not None and scales[1] is not None:
        return _yarn_scale(factor, scales[0]) / _yarn_scale(factor, scales[1])
    return _yarn_scale(factor, 1.0)


def _yarn_scale(factor: float, strength: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * strength * math.log(factor) + 1.0
