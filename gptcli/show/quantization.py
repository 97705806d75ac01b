"""The table of what 8 and 4 bits do to a model's logits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.pictures import table
from gptcli.show.text import size

if TYPE_CHECKING:
    from rich.table import Table

    from gptcli.quantization import Quantized


def draw_quantized(effects: "Sequence[Quantized]") -> "Table":
    """One row for each way to keep the matrices."""
    made = table("--quantize", ">read a token", ">largest logit difference", ">mean", ">same best token")
    for effect in effects:
        read = "" if effect.bytes_per_token is None else size(effect.bytes_per_token)
        differences = (f"{effect.largest_difference:.3f}", f"{effect.mean_difference:.3f}")
        made.add_row(effect.quantize, read, *differences, f"{effect.same_best:.1%}")
    return made
