"""Whether the tensors of a file are those of a configuration, under whichever names a trainer has saved them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from gptcli.checkpoint.families.blueprint import Blueprint
from gptcli.checkpoint.families.keys import made_shape
from gptcli.checkpoint.families.looks import look_of, one_key
from gptcli.checkpoint.families.surplus import left_out_note, why_left_out
from gptcli.checkpoint.families.wrapped import Unwrapped, without_attributes, without_markers, without_prefixes
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.shapes import parameter_shapes
from gptcli.text import clipped, listed, visible

Build = Callable[[Header], Blueprint]
"""Makes a blueprint of a header; raises ``UnknownKeysError`` where no family has its keys."""
Recognise = Callable[[Header], str | None]
"""The name of the family whose keys a header has."""


class UnknownKeysError(CheckpointError):
    """The keys of a file are of no family that is known here."""


@dataclass(frozen=True)
class _Attempt:
    """A blueprint of a file's keys without a prefix, and what is wrong with it.

    Attributes:
        prefix: that is left out.
        blueprint: with the keys of the file.
        misfits: parameters that are missing or have another shape or type.
        surplus: keys that belong to no parameter, and that might change the logits.
    """

    prefix: str
    blueprint: Blueprint
    misfits: tuple[str, ...]
    surplus: tuple[str, ...]


def fitted(header: Header, build: Build, recognise: Recognise, place: str) -> Blueprint:
    """The blueprint of a file whose tensors fit, with the keys of the file.

    Keys are read without the components that PyTorch's wrappers add. If they fit no family then, they are read without
    each prefix that they have in common: one under which every parameter is there and has the right shape is a
    trainer's. Tensors that cannot change the logits are left out, with a note.

    Args:
        header: of the file.
        build: makes a blueprint of a header.
        recognise: tells the family of a header, for errors.
        place: the file, for errors.

    Raises:
        CheckpointError: the tensors do not fit, or fit in two ways.
        ValueError: no GPT can have this configuration.
    """
    plain = without_markers(header)
    try:
        first, unknown = _attempt("", plain, header, build), None
    except UnknownKeysError as error:
        first, unknown = None, error
    if first is not None and not first.misfits:
        return _accepted(first, place)
    found, others, failures = _under_prefixes(plain, header, build)
    if len(found) == 1:
        return _accepted(found[0], place)
    if found:
        prefixes = listed(attempt.prefix for attempt in found)
        raise CheckpointError(f"{place} holds several models, under {prefixes}: save one of them alone")
    if (bare := without_attributes(plain)) is not None:
        with suppress(CheckpointError, ValueError):
            attempt = _attempt("", bare, header, build)
            if not attempt.misfits and not attempt.surplus:
                return _accepted(attempt, place)
    if first is None and failures:
        raise failures[0]
    if first is None and not others:
        assert unknown is not None, "either a blueprint or an error"
        raise CheckpointError(f"{unknown}; {_look(header, plain, recognise)}") from unknown
    nearest = min([*([first] if first else []), *others], key=lambda attempt: len(attempt.misfits))
    # Where most tensors are missing, the file's own names tell what it is.
    wanted = parameter_shapes(nearest.blueprint.config)
    foreign = 2 * len(wanted.keys() & nearest.blueprint.tensors.keys()) < len(wanted)
    tell = foreign or look_of(plain.header.tensors) is not None
    raise _does_not_fit(nearest, place, _look(header, plain, recognise) if tell else "")


def _under_prefixes(
    plain: Unwrapped, header: Header, build: Build
) -> tuple[list[_Attempt], list[_Attempt], list[CheckpointError | ValueError]]:
    """The prefixes under which all parameters are there, those under which some are, and errors of a family."""
    found: list[_Attempt] = []
    others: list[_Attempt] = []
    failures: list[CheckpointError | ValueError] = []
    for prefix, renamed in without_prefixes(plain):
        try:
            attempt = _attempt(prefix, renamed, header, build)
        except UnknownKeysError:
            continue
        except (CheckpointError, ValueError) as error:
            failures.append(error)
            continue
        inside = not any(
            name != "lm_head.weight" and renamed.outside.intersection(part.keys)
            for name, part in attempt.blueprint.tensors.items()
        )
        if not inside:
            continue
        if attempt.misfits:
            others.append(attempt)
        elif not any(prefix.startswith(other.prefix) for other in found):
            found.append(attempt)
    return found, others, failures


def _attempt(prefix: str, renamed: Unwrapped, header: Header, build: Build) -> _Attempt:
    made = build(renamed.header)
    restored = renamed.restored(made)
    reasons = {key: why_left_out(key, renamed.header.tensors[key], made.config) for key in made.unknown}
    left_out = [(renamed.originals[key], reason) for key, reason in reasons.items() if reason is not None]
    unknown = tuple(renamed.originals[key] for key, reason in reasons.items() if reason is None)
    if left_out:
        buffers = (*restored.buffers, *(key for key, _ in left_out))
        restored = replace(restored, buffers=buffers, notes=(*restored.notes, left_out_note(left_out)))
    return _Attempt(prefix, replace(restored, unknown=unknown), *_problems(restored, unknown, header))


def _problems(
    blueprint: Blueprint, unknown: tuple[str, ...], header: Header
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is missing or misshapen, and what is left over."""
    wanted = parameter_shapes(blueprint.config)
    misfits = [f"missing {name}" for name in wanted if name not in blueprint.tensors]
    surplus = [f"surplus {key}" for key in unknown]
    for name, part in blueprint.tensors.items():
        keys = ", ".join(part.keys)
        if name not in wanted:
            surplus.append(f"surplus {keys}")
        elif (found := made_shape(part, header, blueprint.config)) != wanted[name]:
            shape = list(found) if found is not None else [list(header.tensors[key].shape) for key in part.keys]
            misfits.append(f"misshapen {keys}: {shape} where {list(wanted[name])} fits")
        misfits += [
            f"{key} is {header.tensors[key].dtype}, which is no weight's type"
            for key in part.keys
            if key not in blueprint.scales and header.tensors[key].dtype not in ("F64", "F32", "F16", "BF16")
        ]
    return tuple(misfits), tuple(surplus)


def _accepted(attempt: _Attempt, place: str) -> Blueprint:
    if attempt.surplus:
        raise _does_not_fit(attempt, place)
    return attempt.blueprint


def _does_not_fit(attempt: _Attempt, place: str, look: str = "") -> CheckpointError:
    problems = (*attempt.misfits, *attempt.surplus)
    shown = "; ".join(visible(problem[:200], keep="") for problem in problems[:10])
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    end = f"; {look}" if look else ""
    return CheckpointError(f"{place} does not fit its {attempt.blueprint.family} configuration: {shown}{more}{end}")


def _look(header: Header, plain: Unwrapped, recognise: Recognise) -> str:
    """A key of the file, and what it looks like."""
    if not header.tensors:
        return "the file holds no tensors"
    said = f"a key of the file is '{one_key(header.tensors)}'"
    if (look := look_of(plain.header.tensors)) is not None:
        return f"{said}, as in {look}"
    for prefix, renamed in (("", plain), *without_prefixes(plain)):
        if (family := recognise(renamed.header)) is not None:
            return f"{said}, which looks like {family}{f' under the prefix {clipped(prefix, 60)}' if prefix else ''}"
    return f"{said}, which is of no kind that gptcli knows"
