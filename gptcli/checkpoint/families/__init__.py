"""The families that gptcli opens: which file reads which checkpoint.

A family file says what its ``config.json`` and its keys mean. To add one, write it and name it in ``FAMILIES``.
"""

from types import ModuleType

from gptcli.checkpoint.families import gpt2
from gptcli.checkpoint.families.blueprint import Blueprint, Fields, Part
from gptcli.checkpoint.header import Header
from gptcli.checkpoint.source import Source
from gptcli.errors import CheckpointError
from gptcli.model.shapes import parameter_shapes

__all__ = ["FAMILIES", "Blueprint", "Fields", "Part", "read_blueprint"]

FAMILIES: tuple[ModuleType, ...] = (gpt2,)


def read_blueprint(source: Source, header: Header | None, n_head: int | None = None) -> Blueprint:
    """Understand a checkpoint from its config.json and header; nothing is loaded.

    Args:
        source: where it lies.
        header: of its weights; None counts from config.json alone.
        n_head: attention heads, for a file without a config.json.

    Raises:
        CheckpointError: no family reads it, its configuration is impossible, or its tensors do not fit it.
    """
    place = str(source.folder / "config.json")
    try:
        if source.config is not None:
            fields = Fields(source.config, place)
            blueprint: Blueprint = _by_model_type(fields).from_config(fields, header)
        elif header is not None:
            place = str(source.weights)
            blueprint = _by_keys(header, place).from_shapes(header, n_head, place)
        else:
            raise CheckpointError(f"{source.folder} holds neither a config.json nor a .safetensors file")
    except ValueError as error:  # GPTConfig: no GPT can have this shape
        raise CheckpointError(f"{place}: {error}") from error
    if header is not None:
        _check(blueprint, header, source)
    return blueprint


def _by_model_type(fields: Fields) -> ModuleType:
    known = [model_type for family in FAMILIES for model_type in family.MODEL_TYPES]
    model_type = fields.choice("model_type", options=[str(fields.values.get("model_type"))], default="gpt2")
    if model_type not in known:
        raise CheckpointError(
            f"{fields.place}: model_type {model_type!r:.60} is not supported; gptcli runs {', '.join(known)}"
        )
    return next(family for family in FAMILIES if model_type in family.MODEL_TYPES)


def _by_keys(header: Header, place: str) -> ModuleType:
    for family in FAMILIES:
        if family.recognise(header):
            return family
    keys = ", ".join(list(header.tensors)[:3])
    raise CheckpointError(f"{place} has no config.json beside it, and its keys ({keys}, ...) are of no GPT known here")


def _check(blueprint: Blueprint, header: Header, source: Source) -> None:
    """Every parameter is there, has its shape, and nothing is left over."""
    wanted = parameter_shapes(blueprint.config)
    problems = [f"missing {name}" for name in wanted if name not in blueprint.tensors]
    for name, part in blueprint.tensors.items():
        shapes = [header.tensors[key].shape for key in part.keys]
        if name not in wanted:
            problems.append(f"surplus {', '.join(part.keys)}")
        elif (found := _made_shape(shapes, part)) != wanted[name]:
            problems.append(f"misshapen {', '.join(part.keys)}: {list(found)} where {list(wanted[name])} fits")
        problems += [
            f"{key} is {header.tensors[key].dtype}, which is no weight's type"
            for key in part.keys
            if header.tensors[key].dtype not in ("F64", "F32", "F16", "BF16")
        ]
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise CheckpointError(
            f"{source.weights} does not fit its {blueprint.family} configuration: {'; '.join(problems[:10])}{more}"
        )


def _made_shape(shapes: list[tuple[int, ...]], part: Part) -> tuple[int, ...]:
    if part.how == "transposed":
        return shapes[0][::-1]
    if part.how == "stacked":
        return (sum(shape[0] if shape else 0 for shape in shapes), *shapes[0][1:])
    return shapes[0]
