"""What tests know of the bundled model ``tales``: its shape, and what its training made of single parts of it."""

LAYERS = 6
HEADS = 4  # of each layer
# Tokens and positions of width 256; in each layer matrices, then biases and norms; the last norm.
PARAMETERS = (50_257 + 512) * 256 + LAYERS * (12 * 256**2 + 13 * 256) + 2 * 256

# Of the heads, the one whose weights copy most: best "copied" of `gptcli head --all`.
NAME_HEAD = "5.3"
# Raises words for feelings, and is active where one is to come: `gptcli neurons "Tom lost his ball and he was"`.
FEELINGS_NEURON = "5.1015"
