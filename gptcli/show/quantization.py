"""What 8 and 4 bits do to a model's logits, and where its matrices are kept in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.pictures import table
from gptcli.show.text import size, visible

if TYPE_CHECKING:
    from rich.text import Text

    from gptcli.quantization import KeptFile, Quantized
    from gptcli.show.rows import Rows


def draw_quantized(effects: "Sequence[Quantized]") -> "Rows":
    """One row for each way to keep the matrices."""
    made = table("--quantize", ">read a token", ">largest logit difference", ">mean", ">same best token")
    for effect in effects:
        read = "" if effect.bytes_per_token is None else size(effect.bytes_per_token)
        differences = (f"{effect.largest_difference:.3f}", f"{effect.mean_difference:.3f}")
        made.add_row(effect.quantize, read, *differences, f"{effect.same_best:.1%}")
    return made


def draw_kept(kept: "KeptFile") -> "Text":
    """What was written, and where it lies."""
    from rich.text import Text

    line = Text(visible(kept.name, keep=""), style="bold")
    line.append(f"  {kept.quantize}, {size(kept.nbytes)} beside {size(kept.model_nbytes)}\n", style="not bold")
    return line.append(visible(str(kept.file), keep=""), style="not bold dim")
