"""generation_config.json: what ends a text, and how the model's makers would choose its tokens."""

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
_RULES = ("repetition_penalty", "no_repeat_ngram")  # those that hold without drawing too
# What transformers takes where a file draws and does not name it.
_DEFAULTS: dict[str, Any] = {"temperature": 1.0, "top_k": 50, "top_p": 1.0}


@dataclass(frozen=True)
class GenerationConfig:
    """What a checkpoint's generation_config.json says; nothing where there is none.

    Attributes:
        eos_ids: ids that end a text.
        fields: all of the file.
    """

    eos_ids: tuple[int, ...]
    fields: Fields

    def sampling(self) -> dict[str, Any]:
        """The settings of ``Sampling`` that the file asks for, by name; empty where it says nothing of choosing.

        With ``do_sample`` false the largest logit is taken, which is temperature 0. Where the file draws, what it does
        not name has the value that transformers gives it.

        Raises:
            CheckpointError: a value is no number. Ranges are left to ``Sampling``.
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
    """What a folder's generation_config.json says.

    Raises:
        CheckpointError: it is not a JSON object, or says of the end of texts what is no id and no list of ids.
    """
    path = folder / FILE
    with readable(folder):
        values = read_json_object(path) if path.is_file() else {}
    fields = Fields(values, str(path))
    return GenerationConfig(fields.ids("eos_token_id"), fields)
