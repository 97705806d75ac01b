"""Any index, tokenizer.json or chat template is read or refused: Hypothesis also finds the smallest that is neither."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gptcli.checkpoint.files.shards import read_header
from gptcli.errors import CheckpointError, GptcliError
from gptcli.generation.chat.renderer import Renderer
from gptcli.tokenizer import tokenizer_for
from tests.fuzz.strategies import indexes, templates, tokenizers, values

pytestmark = pytest.mark.slow
quick = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(indexes | values)
def test_any_index_is_refused_or_stays_in_its_folder(tmp_path: Path, index: Any) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    with suppress(CheckpointError):
        assert all(file.parent == tmp_path for file in read_header(path).files)


@quick
@given(tokenizers | values)
def test_any_tokenizer_is_refused_or_encodes_what_it_decodes(tmp_path: Path, root: Any) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with suppress(GptcliError):
        tokenizer = tokenizer_for(tmp_path, None)
        for text in ("ab a é!", "aaaa"):
            with suppress(GptcliError):
                ids = tokenizer.encode(text)
                assert all(0 <= token < tokenizer.n_vocab for token in ids)
                assert isinstance(tokenizer.decode(ids), str)


@quick
@given(templates)
def test_any_template_is_refused_or_makes_a_text(template: str) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with suppress(GptcliError):
        assert isinstance(renderer().render(template, {"messages": messages}, "made"), str)


@cache
def renderer() -> Renderer:
    return Renderer()
