"""A reading as data for the page's script: JSON with arrays in base64, which ``reading.js`` decodes."""

import base64
import shlex
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks import palette
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptcli.inspection.explored import Explored
    from gptcli.sampling.settings import Sampling


def page_data(answer: "Explored", sampling: "Sampling | None" = None) -> dict[str, Any]:
    """All that the views draw, and where the sliders stand at first.

    Arrays are little-endian. Attention weights are 65,535ths, the lower triangle of each head in rows.
    """
    import numpy as np

    size = len(answer.ids)
    rows, columns = np.tril_indices(size)
    lower = answer.pattern[:, :, rows, columns]
    came = [each for each in answer.came if each is not None]
    return {
        "options": _options(answer),
        "start": {
            "temperature": 1.0 if sampling is None else sampling.temperature,
            "topK": 0 if sampling is None else sampling.top_k,
            "topP": 1.0 if sampling is None else sampling.top_p,
        },
        "text": answer.text,
        "vocabulary": answer.n_vocab,
        "layers": answer.pattern.shape[0],
        "heads": answer.pattern.shape[1],
        "ids": answer.ids,
        "ends": answer.ends,
        "words": {str(each): token_text(name) for each, name in answer.names.items()},
        "named": len(answer.expected[0].ids),
        "best": _packed(np.concatenate([each.ids for each in answer.expected]), "<i4"),
        "logits": _packed(np.concatenate([each.logits for each in answer.expected]), "<f4"),
        "bins": [len(each.rest) for each in answer.expected],
        "rest": _packed(np.concatenate([each.rest for each in answer.expected]), "<f4"),
        "came": {
            "logits": _packed(np.array([each.logit for each in came]), "<f4"),
            "ranks": [each.rank for each in came],
            "bits": [round(each.surprisal_bits, 6) for each in came],
        },
        "pattern": _packed(np.rint(lower * 65535), "<u2"),
        "guessed": answer.guesses.shape[-1],
        "guesses": _packed(answer.guesses, "<i4"),
        "shares": _packed(answer.shares, "<f4"),
        "scale": {theme.name: theme.scale for theme in palette.THEMES.values()},
    }


def _options(answer: "Explored") -> str:
    """What a command line needs to say of the model; "" for the one that is meant without it."""
    named = "" if answer.model == "tales" else f" -m {shlex.quote(visible(answer.model, keep=''))}"
    return named + ("" if answer.quantize == "none" else f" --quantize {answer.quantize}")


def _packed(numbers: "NDArray[np.generic]", kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode()
