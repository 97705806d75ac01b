"""How results are declared for ``--json``.

A result is a frozen dataclass; its fields' names are the keys, and its docstring's ``Attributes`` describe them. One
that a command prints has a name and version, which become the first key::

    @dataclass(frozen=True)
    class Score:
        schema: ClassVar[str] = "gptcli.score/1"
"""

from dataclasses import field
from typing import Annotated, Any

_LEFT_OUT = "left out of JSON when None"

# A number that may be infinite or NaN, which JSON does not have: there it is null.
MaybeInfinite = Annotated[float, "null where it is not finite"]


def left_out() -> Any:
    """A field whose key is left out of JSON where the value is None, instead of being null; None is its default."""
    return field(default=None, metadata={_LEFT_OUT: True})


def is_left_out(declared: Any, value: object) -> bool:
    """Whether JSON leaves out this field (of ``dataclasses.fields``) with this value."""
    return value is None and may_be_left_out(declared)


def may_be_left_out(declared: Any) -> bool:
    """Whether JSON leaves out this field where it is None."""
    return _LEFT_OUT in declared.metadata
