"""Typed access to an untrusted config.json."""

import re
import sys
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from gptcli.errors import CheckpointError
from gptcli.model.config import Activation

T = TypeVar("T")
_LARGEST = sys.float_info.max  # a JSON integer may be larger than any float

# transformers' names for an activation -> ours.
_ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_python_tanh": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}

# Our name of a size -> the names that it has in families' files.
_SIZES = {
    "n_embd": ("hidden_size", "d_model", "emb_dim", "n_embed"),
    "n_head": ("num_attention_heads", "num_heads", "n_heads"),
    "n_kv_head": ("num_key_value_heads", "num_kv_heads", "n_kv_groups"),
    "n_layer": ("num_hidden_layers", "num_layers", "n_layers"),
    "n_inner": ("intermediate_size", "ffn_dim", "ffn_hidden_size", "hidden_dim"),
    "n_positions": ("max_position_embeddings", "context_length", "block_size", "max_seq_len", "n_ctx"),
    "head_width": ("head_dim",),
    "layer_norm_epsilon": ("layer_norm_eps", "rms_norm_eps", "norm_epsilon"),
    "token_width": ("word_embed_proj_dim",),
}


def in_words_of_file(message: str, values: dict[str, Any] | None) -> str:
    """An error about a configuration, with the names that its sizes have in the file.

    Args:
        message: with our names.
        values: of config.json; None: there is none, and the message stays as it is.
    """
    if values is None:
        return message
    nested = values.get("text_config")
    there = {**(nested if isinstance(nested, dict) else {}), **values}
    for ours, theirs in _SIZES.items():
        name = next((name for name in theirs if name in there and ours not in there), None)
        if name is not None:
            message = re.sub(rf"\b{ours}\b", name, message)
    return message


class Fields:
    """Typed access to an untrusted config.json.

    Args:
        values: the JSON object.
        place: the file's name, for error messages.

    Every method takes a field's names. The first one that is present wins; null counts as absent. A missing field
    without a default and a value of the wrong type raise ``CheckpointError``.
    """

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self.values = values
        self.place = place

    def integer(self, *names: str, default: int | None = None, least: int = 1, most: int = 10**9) -> int:
        """An integer between ``least`` and ``most``."""
        value = self._get(names, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(names, value, f"a whole number from {least:,} to {most:,}")
        return value

    def optional_integer(self, *names: str) -> int | None:
        """A positive integer, or None if the field is absent."""
        return None if self._get(names, None) is None else self.integer(*names)

    def layers(self, *names: str, default: int | None = None) -> int:
        """A number of layers. It is bounded because per-layer objects are created before the weights are read."""
        return self.integer(*names, default=default, least=0, most=10_000)

    def number(self, *names: str, default: float | None = None) -> float:
        """A positive finite number."""
        value = self._get(names, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
            raise self.wrong(names, value, "a number above 0")
        return float(value)

    def optional_number(self, *names: str) -> float | None:
        """A positive finite number, or None if the field is absent."""
        return None if self._get(names, None) is None else self.number(*names)

    def numbers(self, *names: str) -> tuple[float, ...]:
        """A list of positive finite numbers; empty if the field is absent."""
        value: Any = self._get(names, [])
        ok = isinstance(value, list) and all(type(item) in (int, float) and 0 < item < _LARGEST for item in value)
        if not ok:
            raise self.wrong(names, value, "a list of numbers above 0")
        return tuple(float(item) for item in value)

    def boolean(self, *names: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._get(names, default)
        if not isinstance(value, bool):
            raise self.wrong(names, value, "true or false")
        return value

    def choice(self, *names: str, options: Sequence[str], default: str | None = None) -> str:
        """One of the strings in ``options``."""
        value = self._get(names, default)
        if not isinstance(value, str) or value not in options:
            raise self.wrong(names, value, f"one of {', '.join(options)}")
        return value

    def activation(self, *names: str, default: str) -> Activation:
        """An activation function, under any of transformers' names for it."""
        return _ACTIVATIONS[self.choice(*names, options=tuple(_ACTIVATIONS), default=default)]

    def ids(self, *names: str) -> tuple[int, ...]:
        """Token ids: a single id, a list, or empty if absent."""
        value: Any = self._get(names, [])
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in listed):
            raise self.wrong(names, value, "a token id or a list of them")
        return tuple(cast("list[int]", listed))

    def section(self, *names: str) -> "Fields":
        """The fields of a nested object; empty if it is absent."""
        value: Any = self._get(names, {})
        if not isinstance(value, dict):
            raise self.wrong(names, value, "an object")
        return Fields(value, f"{self.place}: {next((name for name in names if name in self.values), names[0])}")

    def sections(self, name: str) -> list["Fields"]:
        """The fields of each object in a list."""
        value: Any = self._get([name], [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong([name], value, "a list of objects")
        return [Fields(item, f"{self.place}: {name}[{index}]") for index, item in enumerate(value)]

    def wrong(self, names: Sequence[str], value: object, wanted: str) -> CheckpointError:
        """The error for a field with a value of the wrong kind."""
        said = "is missing" if value is None else f"is {value!r:.80}"
        name = next((name for name in names if self.values.get(name) is not None), names[0])
        return CheckpointError(f"{self.place}: {name} {said}, and should be {wanted}")

    def _get(self, names: Sequence[str], default: T) -> Any | T:
        return next((self.values[name] for name in names if self.values.get(name) is not None), default)
