"""Repeat a text of ``generate --pick`` from the record that its ``--json`` printed.

The record says how each token was chosen. Picked and typed tokens are inserted; drawn ones are drawn again with the
record's seed and settings, and have to be the same.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.generation.loop import Limits
from gptcli.generation.pick.draft import Draft, Origin
from gptcli.sampling.settings import Sampling
from gptcli.text import clipped, quoted


@dataclass(frozen=True)
class Recorded:
    """The fields of a record that are needed to repeat its text.

    Attributes:
        prompt, prompt_ids: the text before it.
        ids: the tokens that were added.
        origins: how each was chosen.
        finish_reason: why it ended.
        seed: of the draws.
        model: which model it was.
        sampling: the settings of the draws.
        overflow: what happened at the end of the context.
        changes: what was changed in the model, as typed; None: nothing.
    """

    prompt: str
    prompt_ids: list[int]
    ids: list[int]
    origins: list[Origin]
    finish_reason: str
    seed: int
    model: str
    sampling: Sampling
    overflow: Literal["slide", "stop"]
    changes: list[str] | None = None


def read_record(text: str, source: str) -> Recorded:
    """Read the JSON that ``generate --pick --json`` printed.

    Args:
        text: the JSON.
        source: the file or pipe, for errors.

    Raises:
        InputError: it is no record.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise _wrong(source, "it is not an object")
    checks = {
        "prompt": isinstance(record.get("prompt"), str),
        "prompt_ids": _are_ids(record.get("prompt_ids")),
        "ids": _are_ids(record.get("ids")),
        "origins": isinstance(record.get("origins"), list) and all(each in _ORIGINS for each in record["origins"]),
        "finish_reason": isinstance(record.get("finish_reason"), str),
        "seed": _is_id(record.get("seed")) and record["seed"] < 2**64,
        "model": isinstance(record.get("model"), str),
        "sampling": isinstance(record.get("sampling"), dict),
        "overflow": record.get("overflow") in ("slide", "stop"),
        "changes": "changes" not in record or _are_options(record["changes"]),
    }
    for name, right in checks.items():
        if not right:
            raise _wrong(source, f"{name!r} {'is missing' if name not in record else 'is not as --pick writes it'}")
    if len(record["origins"]) != len(record["ids"]):
        raise _wrong(source, "'origins' and 'ids' are of different lengths")
    sampling = _sampling(record["sampling"], source)
    taken = {name: record[name] for name in checks if name != "sampling" and name in record}
    return Recorded(**taken, sampling=sampling)


def replayed(recorded: Recorded, checkpoint: OpenCheckpoint, source: str) -> Draft:
    """Repeat a record's text.

    Args:
        recorded: what the record says.
        checkpoint: the model that it was written with.
        source: the file or pipe, for errors.

    Raises:
        InputError: the model lacks a token, ends the text early, or draws something else than the record has; or what
            is changed in it is not what the record says.
    """
    n_vocab = checkpoint.n_vocab
    if checkpoint.told_changes != recorded.changes:
        told = clipped(" ".join(recorded.changes), 200) if recorded.changes else "an unchanged model"
        raise InputError(f"{source} was written with {told}: give the same options")
    largest = max([*recorded.prompt_ids, *recorded.ids, *recorded.sampling.logit_bias], default=0)
    if largest >= n_vocab:
        raise InputError(f"{source} holds token {largest:,}, and the model has {n_vocab:,}: {_ADVICE}")
    # A text may go on after an end-of-text token, unless that ended it.
    eos_ids = checkpoint.eos_ids if recorded.finish_reason == "eos" else ()
    draft = Draft(
        checkpoint.engine,
        checkpoint.tokenizer,
        recorded.prompt,
        recorded.prompt_ids,
        recorded.sampling,
        Limits(len(recorded.ids) + 1, eos_ids, recorded.overflow),
        seed=recorded.seed,
        n_vocab=n_vocab,
        changes=recorded.changes,
    )
    for number, (how, token) in enumerate(zip(recorded.origins, recorded.ids, strict=True), start=1):
        if draft.finished:
            raise InputError(f"{source}: the text ends after {number - 1:,} tokens, and the record has more: {_ADVICE}")
        draft.put(how, token)
        drawn = draft.sample.ids[-1]
        if drawn != token:
            here, there = (quoted(checkpoint.tokenizer.decode([each]), 40) for each in (drawn, token))
            made = f"{_ADVICE} (the record names {clipped(recorded.model)})"
            raise InputError(f"{source}: token {number:,} comes out as {here}, and was {there}: {made}")
    return draft


_ORIGINS = get_args(Origin)
_ADVICE = "is this the model, the device and the precision that it was written with?"


def _sampling(values: Mapping[str, Any], source: str) -> Sampling:
    names = {field.name for field in fields(Sampling)}
    numbers = {name: value for name, value in values.items() if name != "logit_bias"}
    bias = values.get("logit_bias", {})
    whole = all(isinstance(numbers.get(name, 0), int) for name in ("top_k", "no_repeat_ngram"))
    if not whole or not set(values) <= names or not all(map(_is_number, numbers.values())):
        raise _wrong(source, "'sampling' is not as --pick writes it")
    if not isinstance(bias, dict) or not all(
        key.isdecimal() and len(key) < 20 and (value is None or _is_number(value)) for key, value in bias.items()
    ):
        raise _wrong(source, "'logit_bias' is not as --pick writes it")
    # JSON has no infinity: null is -inf, the only infinite bias.
    biases = {int(key): -math.inf if value is None else float(value) for key, value in bias.items()}
    return Sampling(**numbers, logit_bias=biases)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**64  # integers of hundreds of digits do not fit into a float
    return isinstance(value, float) and math.isfinite(value)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_id, value))


def _are_options(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _wrong(source: str, what: str) -> InputError:
    return InputError(f"{source} is not a record of generate --pick --json: {what}")
