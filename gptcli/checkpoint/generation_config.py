"""generation_config.json: the ids that end a text, and the sampling settings that the model's authors recommend."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptcli.checkpoint.families.fields import Fields
from gptcli.system.json_text import read_json_object
from gptcli.system.regular_file import readable

FILE = "generation_config.json"
# transformers' name of a setting -> ours.
_SETTINGS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repetition_penalty": "repetition_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
}
_WHOLE = ("top_k", "no_repeat_ngram_size")
_RULES = ("repetition_penalty", "no_repeat_ngram")  # these also apply to greedy decoding
# transformers' defaults for settings that a file with do_sample does not name.
_DEFAULTS: dict[str, Any] = {"temperature": 1.0, "top_k": 50, "top_p": 1.0}


@dataclass(frozen=True)
class GenerationConfig:
    """The contents of a checkpoint's generation_config.json; empty if there is none.

    Attributes:
        eos_ids: ids that end a text.
        fields: the whole JSON object.
    """

    eos_ids: tuple[int, ...]
    fields: Fields

    def sampling(self) -> dict[str, Any]:
        """The settings of ``Sampling`` that the file specifies, by name; empty if it specifies none.

        ``do_sample`` false means greedy decoding, which is temperature 0. If the file samples, settings that it does
        not name have transformers' defaults.

        Raises:
            CheckpointError: a value is not a number. ``Sampling`` checks the ranges.
        """
        draws = self.fields.boolean("do_sample", default=True)
        named = {ours: self._number(name) for name, ours in _SETTINGS.items() if self._has(name)}
        if not draws:
            return {"temperature": 0.0} | {name: value for name, value in named.items() if name in _RULES}
        return _DEFAULTS | named if named or self._has("do_sample") else {}

    def _has(self, name: str) -> bool:
        return self.fields.values.get(name) is not None

    def _number(self, name: str) -> Any:
        value, kind = self.fields.values[name], int if name in _WHOLE else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not abs(value) < 1e9 or math.isnan(value):
            raise self.fields.wrong([name], value, "a whole number" if name in _WHOLE else "a number")
        return value if name in _WHOLE else float(value)


def read_generation_config(folder: Path) -> GenerationConfig:
    """Read a folder's generation_config.json.

    Raises:
        CheckpointError: it is not a JSON object, or its end-of-text field is neither an id nor a list of ids.
    """
    path = folder / FILE
    with readable(folder):
        values = read_json_object(path) if path.is_file() else {}
    fields = Fields(values, str(path))
    return GenerationConfig(fields.ids("eos_token_id"), fields)
