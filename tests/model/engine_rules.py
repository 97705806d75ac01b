"""What holds for every engine: rules that test_engines tries on each, in one process and in several.

Run by torchrun (``-m tests.model.engine_rules FOLDER...``) it tries them on the model in each folder, held by all of
its processes, and the first writes into ``rules.json`` there what went wrong with each.
"""

import json
import math
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.model.engine import Engine
from gptcli.model.gpt import GPT
from gptcli.model.shapes import parameter_shapes

_SIZES: dict[str, Any] = {"vocab_size": 101, "n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4}
_BARE = dict.fromkeys(("norm_bias", "qkv_bias", "attention_bias", "mlp_bias", "tied"), False)
FIELDS: dict[str, dict[str, Any]] = {
    "gpt2": {**_SIZES, "n_inner": 128},
    "llama": {
        **_SIZES, **_BARE, "n_kv_head": 2, "head_width": 6, "n_inner": 44, "activation": "silu", "gated": True,
        "norm_kind": "rms", "positions": "rotary", "rotary_dim": 6,
    },
}  # fmt: skip
LONG, SHORT, LAST = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1], [100]
TOLERANCE = 1e-4


class Told:
    """An engine, and what a model that keeps no cache says after the same tokens."""

    def __init__(self, engine: Engine, model: GPT) -> None:
        self.engine, self.model = engine, model

    @torch.inference_mode()
    def after(self, *rows: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each of these texts, [B, V]."""
        return np.concatenate([self.model(torch.tensor([list(row)]))[:, -1].numpy() for row in rows])

    def says(self, logits: NDArray[np.float32], *rows: Sequence[int]) -> None:
        """These are the logits after these texts."""
        wanted = self.after(*rows)
        assert logits.shape == wanted.shape
        assert logits.dtype == np.float32
        assert np.abs(logits - wanted).max() < TOLERANCE


def nothing_before_a_batch(told: Told) -> None:
    engine = told.engine
    for call in (lambda: engine.step([1]), lambda: engine.extend([1]), lambda: engine.rewind(0)):
        with pytest.raises(IndexError):
            call()
    for call in (lambda: engine.refill(0, [1]), lambda: engine.select([0]), lambda: engine.step([])):
        with pytest.raises(IndexError):
            call()


def rows_read_and_grow(told: Told) -> None:
    engine = told.engine
    told.says(engine.prefill([LONG, SHORT, LAST], 12), LONG, SHORT, LAST)
    told.says(engine.step([11, 12, 0]), [*LONG, 11], [*SHORT, 12], [*LAST, 0])
    told.says(engine.step([13, 14, 15]), [*LONG, 11, 13], [*SHORT, 12, 14], [*LAST, 0, 15])
    told.says(engine.prefill([SHORT], 24), SHORT)


def rows_come_and_go(told: Told) -> None:
    engine = told.engine
    engine.prefill([LONG, SHORT], 16)
    engine.select([1, 0, 1])
    told.says(engine.step([5, 6, 7]), [*SHORT, 5], [*LONG, 6], [*SHORT, 7])
    engine.refill(1, [8, 9])
    engine.refill(2, [])
    told.says(engine.step([1, 2, 3]), [*SHORT, 5, 1], [8, 9, 2], [3])
    engine.select([1])
    told.says(engine.step([4]), [8, 9, 2, 4])


def one_row_reads_ahead_and_forgets(told: Told) -> None:
    engine = told.engine
    engine.prefill([SHORT], 24)
    told.says(engine.extend([5, 6, 7, 8]), *([*SHORT, *[5, 6, 7, 8][:count]] for count in range(1, 5)))
    engine.rewind(3)
    told.says(engine.step([9]), [*SHORT, 5, 9])
    engine.rewind(0)
    engine.rewind(5)
    told.says(engine.step([1]), [1])
    text = [1, 2, 3, 1, 2, 3, 1, 2, 3]  # where there is something to guess
    told.says(engine.prefill([text], 24), text)
    for token in (1, 2, 9, 1, 2, 3, 1):
        text.append(token)
        told.says(engine.step([token]), text)
    engine.rewind(2)
    told.says(engine.extend([1, 2]), [*text[:-2], 1], [*text[:-2], 1, 2])


def texts_are_read_token_by_token(told: Told) -> None:
    engine = told.engine
    for rows in ([LONG, SHORT, LAST], [SHORT], [LAST, LAST], [LONG * 3, SHORT, LONG * 2, LAST]):
        told.says(engine.read_texts(rows, 24), *(row[:end] for row in rows for end in range(1, len(row) + 1)))
    engine.read_texts([LONG, SHORT], 9)  # a batch like that of a prefill
    told.says(engine.step([11, 12]), [*LONG, 11], [*SHORT, 12])
    engine.read_texts([SHORT], 9)
    told.says(engine.extend([5, 6]), [*SHORT, 5], [*SHORT, 5, 6])


def a_text_is_read_by_blocks(told: Told) -> None:
    for ids, first in ((LONG * 3, 0), (LONG * 3, 1), (LONG * 2, 11), (LAST, 0), (SHORT, 2)):
        logits = by_blocks(told.engine, ids, first)
        told.says(logits, *(ids[:end] for end in range(first + 1, len(ids) + 1)))
        told.engine.rewind(1)  # a batch like that of a prefill
        told.says(told.engine.step([12]), [*ids[:-1], 12])


def by_blocks(engine: Engine, ids: Sequence[int], first: int = 0) -> NDArray[np.float32]:
    """What ``Engine.read_by_blocks`` gives, in one array."""
    blocks: list[NDArray[np.float32]] = []
    engine.read_by_blocks(ids, lambda logits: blocks.append(logits.copy()), first)
    return np.concatenate(blocks)


Call = Callable[[Engine], object]
# Of a batch of two rows of 8 and 3 tokens, which may grow to 9.
WRONG: dict[str, Call] = {
    "an id behind the vocabulary": lambda engine: engine.step([1, 101]),
    "an id far behind it": lambda engine: engine.step([200_000_000, 1]),
    "a negative id": lambda engine: engine.step([1, -1]),
    "too few ids": lambda engine: engine.step([1]),
    "too many ids": lambda engine: engine.step([1, 2, 3]),
    "several tokens of two rows": lambda engine: engine.extend([1]),
    "two rows to rewind": lambda engine: engine.rewind(1),
    "a row that is not there": lambda engine: engine.refill(2, [1]),
    "a negative row": lambda engine: engine.refill(-1, [1]),
    "more than a row holds": lambda engine: engine.refill(1, [1] * 10),
    "an unknown id in a row": lambda engine: engine.refill(1, [1, 2, 101]),
    "a negative id in a row": lambda engine: engine.refill(1, [1, -2]),
    "rows that are not there": lambda engine: engine.select([0, 2]),
    "negative rows": lambda engine: engine.select([0, -1]),
    "an unknown id in a prompt": lambda engine: engine.prefill([[1], [101]], 9),
    "a negative id in a prompt": lambda engine: engine.prefill([[-1]], 9),
    "a prompt without ids": lambda engine: engine.prefill([[1], []], 9),
    "no prompt": lambda engine: engine.prefill([], 9),
    "a prompt that does not fit": lambda engine: engine.prefill([[1] * 10], 9),
    "more room than positions": lambda engine: engine.prefill([[1]], 25),
    "a text that does not fit": lambda engine: engine.read_texts([[1], [1] * 10], 9),
    "an unknown id in a text": lambda engine: engine.read_texts([[1], [101]], 9),
    "a text longer than the context": lambda engine: engine.read_by_blocks([1] * 25, lambda logits: None),
    "an unknown id in a text by blocks": lambda engine: engine.read_by_blocks([1, 101], lambda logits: None),
    "no room": lambda engine: engine.prefill([[1]], 0),
}
# Of a batch of one row of 8 tokens, which may grow to 10.
WRONG_OF_ONE: dict[str, Call] = {
    "too many tokens at once": lambda engine: engine.extend([1, 2, 3]),
    "no tokens at once": lambda engine: engine.extend([]),
    "an unknown id at once": lambda engine: engine.extend([1, 101]),
    "a negative id at once": lambda engine: engine.extend([-1]),
    "to rewind behind the beginning": lambda engine: engine.rewind(9),
    "to rewind forwards": lambda engine: engine.rewind(-1),
}


def what_is_wrong_is_refused_and_changes_nothing(told: Told) -> None:
    engine = told.engine
    for what, call in WRONG.items():
        engine.prefill([LONG, SHORT], 9)
        with pytest.raises(IndexError):
            raise AssertionError(f"{what}: {call(engine)!r:.200}")
        told.says(engine.step([11, 12]), [*LONG, 11], [*SHORT, 12])
        with pytest.raises(IndexError, match="position 9 of a row that may grow to 9"):
            engine.step([1, 1])
    for what, call in WRONG_OF_ONE.items():
        engine.prefill([LONG], 10)
        with pytest.raises(IndexError):
            raise AssertionError(f"{what}: {call(engine)!r:.200}")
        told.says(engine.extend([11, 12]), [*LONG, 11], [*LONG, 11, 12])


def sessions_do_not_meet(told: Told) -> None:
    engine = told.engine
    engine.prefill([LONG], 24)
    if "processes" in engine.facts().name:
        with pytest.raises(InputError, match="several processes hold this model"):
            engine.new_session()
        return
    other = engine.new_session()
    with pytest.raises(IndexError):
        other.step([1])
    told.says(other.prefill([SHORT, LAST], 9), SHORT, LAST)
    told.says(engine.step([1]), [*LONG, 1])
    told.says(other.step([5, 6]), [*SHORT, 5], [*LAST, 6])


def it_says_what_it_is(told: Told) -> None:
    facts, engine, config = told.engine.facts(), told.engine, told.model.config
    assert engine.n_positions == config.n_positions
    assert engine.guessed is None or engine.guessed >= 0
    assert facts.name.startswith(("C (", "PyTorch"))
    assert (facts.device, facts.dtype, facts.weights, facts.cache_itemsize) == ("cpu", "float32", "float32", 4)
    assert facts.threads >= 1
    shapes = {name: math.prod(shape) for name, shape in parameter_shapes(config).items() if len(shape) == 2}
    matrices = sum(shapes.values()) - shapes.get("wpe.weight", 0) - (0 if config.tied else shapes["wte.weight"])
    assert matrices <= facts.weight_bytes / 4 < 1.1 * matrices


RULES: dict[str, Callable[[Told], None]] = {
    rule.__name__: rule
    for rule in (
        nothing_before_a_batch,
        rows_read_and_grow,
        rows_come_and_go,
        one_row_reads_ahead_and_forgets,
        texts_are_read_token_by_token,
        a_text_is_read_by_blocks,
        what_is_wrong_is_refused_and_changes_nothing,
        sessions_do_not_meet,
        it_says_what_it_is,
    )
}


def main(folders: Sequence[Path]) -> None:
    """Try every rule on each model that all processes hold together."""
    from gptcli.checkpoint.read import understand
    from gptcli.checkpoint.weights.placement import Placement
    from gptcli.checkpoint.weights.torch_loader import load_gpt
    from gptcli.model.parallel import join

    group = join(torch.device("cpu"))
    for folder in folders:
        _, header, blueprint = understand(str(folder))
        model = load_gpt(blueprint, header, Placement("cpu", "float32", group=group))
        if not group.leads:
            group.follow(model)
            continue
        engine = group.engine(model)
        told = Told(engine, load_gpt(blueprint, header, Placement("cpu", "float32")))
        (folder / "rules.json").write_text(json.dumps({name: _broken(rule, told) for name, rule in RULES.items()}))
        engine.end()


def _broken(rule: Callable[[Told], None], told: Told) -> str | None:
    try:
        rule(told)
    except BaseException:  # pytest.raises raises one that is no Exception
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
