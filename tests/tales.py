"""What tests know of the bundled model ``tales``: its shape, and what its training made of single parts of it."""

import numpy as np
from safetensors.numpy import load_file

from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import gpt2_tokenizer

LAYERS = 10
HEADS = 4  # of each layer
# Tokens and positions of width 256; in each layer matrices, then biases and norms; the last norm.
PARAMETERS = (50_257 + 512) * 256 + LAYERS * (12 * 256**2 + 13 * 256) + 2 * 256

# Of the heads, the one whose weights copy most: best "copied" of `gptcli head --all`.
NAME_HEAD = "8.3"
# Raises words for feelings, and is active where one is to come: `gptcli neurons "Tom lost his ball and he was"`.
FEELINGS_NEURON = "8.1015"


def cosine_of_analogy(start: str, less: str, more: str, expected: str) -> float:
    """How near a word is to start - less + more in its token embedding, by numpy in float64 from the file's rows."""
    rows = load_file(bundled_folder() / "tales" / "model.safetensors")["wte.weight"]
    ids = [gpt2_tokenizer().encode(f" {word}")[0] for word in (start, less, more, expected)]
    first, second, third, found = (row / np.linalg.norm(row) for row in rows[ids].astype(np.float64))
    step = first - second + third
    return float(found @ step / np.linalg.norm(step))
