"""Our own format: a config.json with the fields of GPTConfig, and tensors with our own names.

It can describe architectures that no other family can, for example the decoder of "Attention Is All You Need" without
the encoder (sinusoidal positions, ReLU, norms after the sub-layers).
"""

from dataclasses import asdict
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gptcli.checkpoint.families.blueprint import Blueprint, Family, Part
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Located, assemble
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary, RotaryKind
from gptcli.model.shapes import parameter_shapes

_MODEL_TYPE = "gptcli"
_OLD_BASE = "rotary_base"
# Other fields that a config.json may have.
_OTHERS = {
    _OLD_BASE,
    "model_type",
    "architectures",
    "dtype",
    "torch_dtype",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
}


def config_json(config: GPTConfig) -> dict[str, Any]:
    """The contents of config.json for this configuration; ``from_config`` reads them back."""
    return {"model_type": _MODEL_TYPE, **asdict(config)}


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    hints = get_type_hints(GPTConfig)
    surplus = sorted(fields.values.keys() - hints.keys() - _OTHERS)
    if surplus:
        raise CheckpointError(f"{fields.place}: no field of a GPT: {', '.join(surplus):.200}")
    config = GPTConfig(**{name: _value(fields, name, hint) for name, hint in hints.items()})
    located = None
    if header is not None:
        known = parameter_shapes(config).keys() | {"lm_head.weight"}
        tensors = {key: Part((key,)) for key in header.tensors if key in known}
        located = Located(tensors, (), tuple(key for key in header.tensors if key not in known))
    return assemble(_MODEL_TYPE, config, header, located, eos_ids=fields.ids("eos_token_id"))


def _value(fields: Fields, name: str, hint: Any) -> Any:
    """One field of GPTConfig, checked against its declared type."""
    default = getattr(GPTConfig(), name)
    if name == "windows":
        return _layer_by_layer(fields, name, least=1)
    if name == "rotary_layers":
        return _layer_by_layer(fields, name, least=0)
    if name == "rotary":
        return _tables(fields)
    if name == "n_layer":
        return fields.layers(name, default=default)
    if get_origin(hint) is Literal:
        return fields.choice(name, options=get_args(hint), default=default)
    if hint is bool:
        return fields.boolean(name, default=default)
    if hint is int:
        return fields.integer(name, default=default, least=0)
    if hint is float:
        return 0.0 if name == "query_growth" and not fields.values.get(name) else fields.number(name, default=default)
    return fields.optional_number(name) if hint == float | None else fields.optional_integer(name)


def _layer_by_layer(fields: Fields, name: str, least: int) -> tuple[int | None, ...]:
    value = fields.values.get(name) or []
    whole = isinstance(value, list) and all(item is None or (type(item) is int and item >= least) for item in value)
    if not whole:
        raise fields.wrong([name], value, f"a list of whole numbers from {least} up and nulls")
    return tuple(value)


def _tables(fields: Fields) -> tuple[Rotary, ...]:
    """The rotary tables; files of earlier versions have only the base of a single table."""
    if fields.values.get("rotary") is None:
        return (Rotary(base=fields.number(_OLD_BASE, default=Rotary().base)),)
    return tuple(_table(table) for table in fields.sections("rotary"))


def _table(fields: Fields) -> Rotary:
    default = Rotary()
    surplus = sorted(fields.values.keys() - get_type_hints(Rotary).keys())
    if surplus:
        raise CheckpointError(f"{fields.place}: no field of a rotary table: {', '.join(surplus):.200}")
    values: dict[str, Any] = {
        "kind": fields.choice("kind", options=get_args(RotaryKind), default=default.kind),
        "original": fields.optional_integer("original"),
        "truncate": fields.boolean("truncate", default=default.truncate),
        "short_factors": fields.numbers("short_factors"),
        "long_factors": fields.numbers("long_factors"),
    }
    numbers = get_type_hints(Rotary).keys() - values.keys()
    values |= {name: fields.number(name, default=getattr(default, name)) for name in numbers}
    return Rotary(**values)


FAMILY = Family(_MODEL_TYPE, (_MODEL_TYPE,), lambda header: False, from_config)
