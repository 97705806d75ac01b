"""The activation functions of MLPs, in numpy."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import Activation

Floats = NDArray[np.float32]


def _erf(x: Floats) -> Floats:
    """The error function to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26), which numpy lacks."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    made: Floats = np.sign(x) * (1 - series * np.exp(-x * x))
    return made


def _sigmoid(x: Floats) -> Floats:
    made: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return made


ACTIVATIONS: dict[Activation, Callable[[Floats], Floats]] = {
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.square(np.maximum(x, 0)),
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
}
