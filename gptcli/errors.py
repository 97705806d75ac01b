"""Every error that gptcli raises on purpose.

The tree, with the exit code that the command line ends with::

    GptcliError            1   something failed that is not the caller's mistake
    ├── CheckpointError    1   a file of a checkpoint is broken, or holds a model that gptcli cannot run
    ├── OverflowedError    1   the model's numbers are beyond what its precision holds
    └── InputError         2   an option, argument or text is not usable as given
        ├── ModelNotFound  2   no checkpoint of that name
        └── ExpressionError 2  an expression or place does not parse; points at the position

A message says what is wrong, where, and what to try, on one line where it can. Anything else that escapes is a bug
and keeps its traceback.
"""


class GptcliError(Exception):
    """A failure with a message for the user; the base of all the others."""

    exit_code = 1


class CheckpointError(GptcliError):
    """A checkpoint's file is broken, or describes a model that gptcli does not know."""


class OverflowedError(GptcliError):
    """The model's numbers grew beyond what its precision holds."""

    def __init__(self) -> None:
        super().__init__("the model's logits are not finite: its numbers overflow (try --dtype float32 or bfloat16)")


class InputError(GptcliError):
    """An option, argument or input text that cannot be used as given."""

    exit_code = 2


class ModelNotFound(InputError):
    """There is no checkpoint of that name."""


class ExpressionError(InputError):
    """An expression, or a place in a model, that does not parse or does not exist.

    Args:
        message: what is wrong.
        expression: the expression as it was typed.
        position: index of the offending character in ``expression``.

    Attributes:
        message, expression, position: as given.
    """

    # Characters shown before and after the position.
    _AROUND = 100

    def __init__(self, message: str, expression: str, position: int) -> None:
        self.message, self.expression = message, expression
        self.position = position
        start = max(position - self._AROUND, 0)
        before = ("…" if start else "") + expression[start:position]
        behind = expression[position : position + self._AROUND]
        more = "…" if len(expression) > position + self._AROUND else ""
        super().__init__(f"{message}\n  {before}{behind}{more}\n  {' ' * len(before)}^")
