"""Methods whose options have names: a misspelt one is an error that says what is near; two may share theirs."""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def tells_options(of: type[T]) -> type[T]:
    """A class whose public methods say which of their options a misspelt one may have meant."""
    for name, method in list(vars(of).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(of, name, told(method))
    return of


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; an option that it does not have is a ``TypeError`` with the nearest one that it has."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        for name in named:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
                raise TypeError(f"{function.__name__}() has no option {name!r}: {hint}")
        return function(*given, **named)

    return checked


def with_options_of(other: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """For a function that hands its options on: it has the parameters of another one, and its own result."""

    def with_options(function: Callable[..., T]) -> Callable[P, T]:
        signature = inspect.signature(other)
        returned = inspect.signature(function).return_annotation
        function.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return function

    return with_options
