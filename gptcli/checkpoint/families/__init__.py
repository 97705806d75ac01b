"""The model families that gptcli supports, and the choice of the family that reads a checkpoint.

A family file maps a ``config.json`` and tensor names to ours. To add a family, write its file and list it in
``FAMILIES``. ``llama`` is the one to read first; ``decoder`` and ``rope`` hold the code that most families share.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gptcli.checkpoint.families import (
    bloom,
    cohere,
    falcon,
    gemma,
    gpt2,
    gpt_bigcode,
    gpt_neo,
    gpt_neox,
    gptj,
    granite,
    llama,
    llms_from_scratch,
    mistral,
    mixtures,
    mpt,
    nanogpt,
    olmo,
    openai_gpt,
    opt,
    own,
    phi,
    phi3,
    qwen,
    smollm3,
    stablelm,
    starcoder2,
)
from gptcli.checkpoint.families.blueprint import Blueprint, Family, Folder, Part
from gptcli.checkpoint.families.fields import Fields, in_words_of_file
from gptcli.checkpoint.families.fit import UnknownKeysError, fitted
from gptcli.checkpoint.families.not_run import why_not_run
from gptcli.checkpoint.families.scaled import take_scales
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.text import clipped

__all__ = ["FAMILIES", "Blueprint", "Family", "Fields", "Part", "read_blueprint", "supported", "vocabulary_size"]

FAMILIES: tuple[Family, ...] = (
    gpt2.FAMILY,
    nanogpt.FAMILY,
    llms_from_scratch.FAMILY,
    gpt_neo.FAMILY,
    gptj.FAMILY,
    gpt_neox.FAMILY,
    opt.FAMILY,
    openai_gpt.FAMILY,
    llama.FAMILY,
    qwen.QWEN2,
    qwen.QWEN3,
    mistral.MISTRAL,
    mistral.MINISTRAL3,
    mistral.MISTRAL3,
    gemma.GEMMA3,
    gemma.GEMMA2,
    gemma.GEMMA,
    phi3.FAMILY,
    phi.FAMILY,
    smollm3.FAMILY,
    olmo.OLMO,
    olmo.OLMO2,
    olmo.OLMO3,
    granite.FAMILY,
    stablelm.FAMILY,
    starcoder2.FAMILY,
    gpt_bigcode.FAMILY,
    falcon.FAMILY,
    bloom.FAMILY,
    mpt.FAMILY,
    cohere.COHERE,
    cohere.COHERE2,
    own.FAMILY,
)


def supported() -> str:
    """The supported formats, as part of a sentence: every ``model_type``, and the families without one."""
    types = [model_type for family in FAMILIES for model_type in family.model_types]
    return f"{', '.join(types)}, and exports of nanoGPT and LLMs-from-scratch"


def read_blueprint(source: Folder, header: Header | None, n_head: int | None = None) -> Blueprint:
    """Build a checkpoint's blueprint from its config.json and header; no weights are loaded.

    Args:
        source: the checkpoint.
        header: the header of its weights; None uses config.json alone.
        n_head: the number of attention heads, for a file without a config.json.

    Raises:
        CheckpointError: no family reads it, its configuration is impossible, or its tensors do not fit it.
        InputError: ``n_head`` contradicts config.json.
    """
    place, weights = str(source.folder / "config.json"), str(source.weights)
    if (source.folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{source.folder} holds an adapter (adapter_config.json), not a whole model: merge it into its base model "
            "first (peft's merge_and_unload), and open what that saves"
        )
    try:
        if source.config is not None:
            fields = Fields(source.config, place)
            blueprint = _with_config(fields, header, weights)
            if n_head not in (None, blueprint.config.n_head):
                raise InputError(
                    f"--n-head {n_head}: {place} says {blueprint.config.n_head} heads; it is for files without one"
                )
            return blueprint
        if header is not None:
            place = weights
            return fitted(header, lambda renamed: _without_config(renamed, n_head, weights), _recognised, weights)
    except ValueError as error:  # GPTConfig: no GPT can have this shape
        raise CheckpointError(f"{place}: {in_words_of_file(str(error), source.config)}") from error
    raise CheckpointError(f"{source.folder} holds neither a config.json nor a .safetensors file")


def _with_config(fields: Fields, header: Header | None, weights: str) -> Blueprint:
    """The blueprint of a checkpoint with a config.json."""
    if header is None:
        return _of_family(_by_config(fields, None), fields, None)
    family = _by_config(fields, None)
    if family in mixtures.FAMILIES:
        return family.from_config(fields, header)
    return fitted(
        header, lambda renamed: _of_family(_by_config(fields, renamed), fields, renamed), _recognised, weights
    )


def _of_family(family: Family, fields: Fields, header: Header | None) -> Blueprint:
    if family in mixtures.FAMILIES:  # counted, not run
        return family.from_config(fields, header)
    _refuse_changed_arithmetic(fields)
    return _with_scales(family, fields, header)


def _with_scales(family: Family, fields: Fields, header: Header | None) -> Blueprint:
    """The family's blueprint of a checkpoint whose weights may be stored with scales."""
    plain, scales, aside = take_scales(fields, header)
    blueprint = family.from_config(fields, plain)
    if not scales:
        return blueprint
    note = "weights that are stored in 8 bits are multiplied out"
    buffers, notes = (*blueprint.buffers, *aside), (*blueprint.notes, note)
    return replace(blueprint, scales=scales, buffers=buffers, notes=notes)


def context_length(source: Folder) -> int | None:
    """How many tokens a checkpoint reads, by its config.json; None where that does not say."""
    if source.config is None:
        return None
    with suppress(GptcliError):
        return read_blueprint(source, None).config.n_positions
    return None


def vocabulary_size(source: Folder) -> int | None:
    """The number of rows of a checkpoint's token embedding, from its config.json or its shapes; None if unknown.

    Raises:
        CheckpointError: it has no config.json, and no family reads its tensors.
    """
    if source.config is not None:
        text = source.config.get("text_config")
        size = {**(text if isinstance(text, dict) else {}), **source.config}.get("vocab_size")
        if size is None and isinstance(text, dict):  # the family has defaults for missing fields
            return read_blueprint(source, None).config.vocab_size
        return size if isinstance(size, int) else None
    if source.header is None:
        return None
    return read_blueprint(source, source.header, n_head=1).config.vocab_size  # any number of heads will do


def _by_config(fields: Fields, header: Header | None) -> Family:
    """The family that a config.json names; if it names none, the one that matches its fields or the keys."""
    model_type = fields.values.get("model_type")
    if model_type is not None:
        named = [family for family in (*FAMILIES, *mixtures.FAMILIES) if model_type in family.model_types]
        if model_type == "word-vectors":
            raise CheckpointError(
                f"{clipped(Path(fields.place).parent.name)} holds word vectors, not a model that reads text: they are "
                "for gptcli neighbors, analogy, similarity, direction and map"
            )
        if not named and (why := why_not_run(model_type)) is not None:
            raise CheckpointError(f"{fields.place}: model_type {model_type!r:.60} {why}")
        if not named:
            raise CheckpointError(
                f"{fields.place}: model_type {model_type!r:.60} is not supported; gptcli runs {supported()}"
            )
        return named[0]
    told = next((family for family in FAMILIES if family.config_field in fields.values), None)
    return told or (gpt2.FAMILY if header is None else _by_keys(header, fields.place))


def _recognised(header: Header) -> str | None:
    return next((family.name for family in FAMILIES if family.recognise(header)), None)


def _by_keys(header: Header, place: str) -> Family:
    for family in FAMILIES:
        if family.recognise(header):
            return family
    raise UnknownKeysError(
        f"{place}: nothing says which model this is, and its keys are of no GPT known here; gptcli runs {supported()}"
    )


def _without_config(header: Header, n_head: int | None, place: str) -> Blueprint:
    family = _by_keys(header, place)
    if family.from_shapes is None:
        raise CheckpointError(
            f"{place} looks like {family.name}, but its shapes do not tell the whole configuration: put the model's "
            "config.json next to it"
        )
    return family.from_shapes(header, n_head, place)


def _refuse_changed_arithmetic(fields: Fields) -> None:
    """Refuse fields that change what a model computes, under any model_type, and that no family here supports."""
    known = f"gptcli runs plain {supported()}"
    # Multiplying by one, and what is switched off, changes nothing.
    mup = next((k for k, v in fields.values.items() if k.startswith(("mup_", "use_mup")) and v not in (False, 1)), None)
    if mup is not None:
        raise CheckpointError(
            f"{fields.place}: {mup:.60} belongs to a muP-style model, which is not supported; {known}"
        )
    positions = fields.values.get("position_embedding_type")
    if positions not in (None, "learned", "absolute", "rotary"):
        raise CheckpointError(f"{fields.place}: positions of type {positions!r:.40} are not supported; {known}")
