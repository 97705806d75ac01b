"""The bundled word vectors, opened once, and the test sets that come with gensim."""

import importlib.util
from functools import lru_cache
from pathlib import Path

from gptcli.embedding.load import Embedding, open_embedding


@lru_cache
def bundled() -> Embedding:
    return open_embedding("glove-50d")


def published(name: str) -> Path:
    """A test set that comes with gensim; gensim itself, which takes a second to import, stays out."""
    found = importlib.util.find_spec("gensim")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "test" / "test_data" / name
