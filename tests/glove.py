"""The bundled word vectors, opened once."""

from functools import lru_cache

from gptcli.embedding.load import Embedding, open_embedding


@lru_cache
def bundled() -> Embedding:
    return open_embedding("glove-50d")
