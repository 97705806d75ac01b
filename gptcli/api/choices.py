"""The words that options take, and the check that a value is one of them."""

from typing import Any, Literal, get_args

from gptcli.errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantize = Literal["none", "int8", "int4"]
Cache = Literal["auto", "float32", "float16"]
Overflow = Literal["slide", "stop"]
Metric = Literal["cosine", "dot", "euclidean"]


def one_of(value: str, choices: Any, name: str) -> Any:
    """A value that is one of a few.

    Raises:
        InputError: it is not.
    """
    if value not in get_args(choices):
        raise InputError(f"{name}={value!r:.80}: it must be one of {', '.join(get_args(choices))}")
    return value
