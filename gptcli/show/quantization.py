"""The pictures of quantization: its effect on the logits, and the stored files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import table
from gptcli.text import size, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from gptcli.checkpoint.weights.kept import KeptFile
    from gptcli.measuring.quantization import Keeping, Quantized
    from gptcli.show.blocks.rows import Rows


def draw_quantized(effects: "Sequence[Quantized]") -> "Rows":
    """One row for each quantization."""
    made = table("--quantize", ">read a token", ">largest logit difference", ">mean", ">same best token")
    for effect in effects:
        read = "" if effect.bytes_per_token is None else size(effect.bytes_per_token)
        differences = (f"{effect.largest_difference:.3f}", f"{effect.mean_difference:.3f}")
        made.add_row(effect.quantize, read, *differences, f"{effect.same_best:.1%}")
    return made


def draw_keeping(keeping: "Keeping") -> "Text":
    """What was written and where, and what was removed for it."""
    from rich.text import Text

    line = Text(visible(keeping.model, keep=""), style="bold")
    line.append(
        f"  {keeping.quantize}, {size(keeping.nbytes)} (the weights: {size(keeping.model_nbytes)})\n", style="not bold"
    )
    line.append(visible(str(keeping.file), keep=""), style="not bold dim")
    for other in keeping.removed:
        line.append(f"\nremoved {_kept_text(other)}, of other weights at the same path", style="not bold dim")
    return line


def draw_removed(removed: "Sequence[KeptFile]") -> "Text":
    """The removed files, a line each."""
    from rich.text import Text

    return Text("\n").join(Text(f"removed {_kept_text(kept)}") for kept in removed)


def draw_kept(kept: "Sequence[KeptFile]", folder: str) -> "RenderableType":
    """One row for each stored file."""
    made = table("model", "in", ">size", "file", title=f"Kept in 8 and 4 bits ({visible(folder, keep='')})")
    made.columns[-1].no_wrap, made.columns[-1].overflow = False, "fold"
    for one in kept:
        path = f"{one.file.parent.name}/{one.file.name}"
        made.add_row(
            visible(one.model, keep=""), visible(one.quantize, keep=""), size(one.nbytes), visible(path, keep="")
        )
    return made


def _kept_text(kept: "KeptFile") -> str:
    return f"{visible(kept.model, keep='')} in {visible(kept.quantize, keep='')}, {size(kept.nbytes)}: " + visible(
        str(kept.file), keep=""
    )
