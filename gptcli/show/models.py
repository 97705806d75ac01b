"""The pictures of ``gptcli models``: the list of names, and the description of one checkpoint."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary
from gptcli.show.blocks.palette import current
from gptcli.show.blocks.pictures import table
from gptcli.show.quantization import draw_kept
from gptcli.text import clipped, size, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from gptcli.checkpoint.catalogue import Catalogue, LocalModel
    from gptcli.counting.description import Description, FileFacts, TensorFacts, TokenizerFacts
    from gptcli.show.blocks.rows import Rows

_GPT2 = GPTConfig()
_ROOM_FOR_SOURCES = 60  # columns


def draw_catalogue(catalogue: "Catalogue") -> "RenderableType":
    """Bundled models, cached ones, their quantized matrices, and the short names."""
    from rich.console import Group
    from rich.text import Text

    cache = visible(str(catalogue.cache), keep="")
    cached: RenderableType = _models(f"In the cache ({cache})", catalogue.cached)
    if not catalogue.cached:
        cached = Text("In the cache", style="bold").append(f"\n\n  nothing yet ({cache})\n", style="not bold dim")
    kept = [draw_kept(catalogue.kept, str(catalogue.kept_folder))] if catalogue.kept else []
    return Group(_models("Bundled", catalogue.bundled), cached, *kept, _short_names(catalogue))


def draw_pulled(model: "LocalModel") -> "RenderableType":
    """The model that was downloaded, and its folder."""
    from rich.text import Text

    line = Text(visible(model.model, keep=""), style="bold")
    return line.append(f"  {visible(model.family, keep='')}, {size(model.nbytes)}\n", style="not bold").append(
        visible(str(model.folder), keep=""), style="not bold dim"
    )


def draw_description(about: "Description") -> "RenderableType":
    """One line for each fact, with its source; then the tensors, if requested."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    head = Text(visible(about.model, keep=""), style="bold")
    origin = f"{about.repo} at commit {about.commit}\n" if about.repo and about.repo != about.model else ""
    head.append(f"\n{visible(origin)}{visible(str(about.folder), keep='')}\n", style="not bold dim")
    parts: list[RenderableType] = [head, _Facts(about)]
    parts += [Padding(Text(f"! {visible(note)}", style=current().warning), (0, 0, 0, 2)) for note in about.notes]
    if about.tensors is not None:
        parts.append(_tensors(about.tensors))
    return Group(*parts)


def _models(title: str, models: Sequence["LocalModel"]) -> "Rows":
    made = table("name", "family", ">size", "", title=title)
    for model in models:
        made.add_row(
            visible(model.model, keep=""),
            visible(model.family, keep=""),
            size(model.nbytes),
            "" if model.runs else "not a model that gptcli runs",
            style=None if model.runs else "dim",
        )
    return made


def _short_names(catalogue: "Catalogue") -> "RenderableType":
    made = table(title="Short names (-m NAME downloads on first use)")
    made.add_column("name", no_wrap=True, min_width=max((len(each.model) for each in catalogue.short_names), default=0))
    made.add_column("on the hub", overflow="fold")
    made.add_column("")
    for short in catalogue.short_names:
        made.add_row(short.model, short.repo, "cached" if short.cached else "")
    return made


@dataclass(frozen=True)
class _Facts:
    """One line for each fact; its source is next to it if it fits."""

    about: "Description"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it for the terminal's width."""
        yield _facts(self.about, sources=options.max_width >= _ROOM_FOR_SOURCES)


def _facts(about: "Description", *, sources: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True, style="dim")
    made.add_column(overflow="fold")
    if sources:
        made.add_column(style="dim", no_wrap=True)

    def add(label: str, value: str, fact: str = "") -> None:
        known = about.known.get(fact) if sources else None
        source = [Text(visible(f"{known.how}: {known.source}"))] if known else []
        made.add_row(label, Text(visible(value)), *source)

    add("family", about.family or "none that gptcli runs", "family")
    if about.config is not None:
        add("shape", shape_text(about.config), "config")
        add("unlike GPT-2", "\n".join(difference_texts(about.config, about.unlike_gpt2)) or "nothing")
    if about.parameters is not None:
        add("parameters", f"{about.parameters:,}", "parameters")
        add("stored as", f"{_dtypes(about.dtypes)} in {about.n_tensors:,} tensors", "dtypes")
    if about.tokenizer is not None:
        label = "vocabulary" if about.config is None and about.family else "tokenizer"
        add(label, _tokenizer_text(about.tokenizer), "tokenizer")
    if about.eos_ids:
        add("ends a text", ", ".join(map(str, about.eos_ids)), "eos_ids")
    if about.sampling:
        add("chat starts with", sampling_text(about.sampling), "sampling")
    if about.chat_templates:
        add("chat template", _template_text(about.chat_templates), "chat_templates")
    add("files", "\n".join(map(_file_text, about.files)) or "none")
    if about.kept:
        add("kept", "\n".join(f"{one.quantize}  {size(one.nbytes)}  {visible(str(one.file))}" for one in about.kept))
    return made


def sampling_text(sampling: Mapping[str, object]) -> str:
    """Settings of a sampling as their options are called."""
    return ", ".join(f"{name.replace('_', '-')} {_value(value)}" for name, value in sampling.items())


def _template_text(names: Sequence[str], limit: int = 4) -> str:
    if len(names) == 1:
        return "yes" if names[0] == "default" else clipped(names[0], 40)
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join([*(clipped(name, 40) for name in names[:limit]), *more])


def _file_text(file: "FileFacts") -> str:
    return f"{file.name}  {size(file.nbytes)}{'' if file.here else ', on the hub'}"


def shape_text(config: GPTConfig) -> str:
    """The sizes of a GPT."""
    layers = "1 layer" if config.n_layer == 1 else f"{config.n_layer:,} layers"
    return (
        f"{layers}, {config.n_head:,} heads of {config.head_size:,}, width {config.n_embd:,}\n"
        f"context {config.n_positions:,}, vocabulary {config.vocab_size:,}"
    )


def difference_texts(config: GPTConfig, names: Iterable[str]) -> list[str]:
    """Each field that differs from GPT-2, its value, and GPT-2's."""
    lines = []
    for name in names:
        if name == "windows":
            sizes = sorted({window for window in config.windows if window is not None})
            local = sum(window is not None for window in config.windows)
            seen = " or ".join(f"{window:,}" for window in sizes)
            lines.append(f"windows: {seen} positions in {local} of {config.n_layer} layers")
        elif name == "rotary":
            lines += [f"rotary: {rotary_text(table)}" for table in config.rotary]
        elif name == "rotary_layers":
            lines.append(f"rotary_layers: {_layers_text(config)}")
        else:
            default = config.n_embd * 4 if name == "n_inner" else getattr(_GPT2, name)
            lines.append(f"{name}: {_value(getattr(config, name))} (GPT-2: {_value(default)})")
    return lines


def rotary_text(rotary: Rotary) -> str:
    """A table of angles: its base, and how its wavelengths are stretched."""
    text = f"base {rotary.base:,.12g}"
    if rotary.kind in ("linear", "dynamic", "llama3", "yarn"):
        text += f", {rotary.kind} × {rotary.factor:g}"
    elif rotary.kind != "default":
        text += f", {rotary.kind}"
    return text if rotary.original is None else f"{text}, first trained with {rotary.original:,}"


def _layers_text(config: GPTConfig) -> str:
    """How many layers use each table of angles."""
    counts = {place: config.rotary_layers.count(place) for place in dict.fromkeys(config.rotary_layers)}
    names = {place: "not rotated" if place is None else rotary_text(config.rotary[place]) for place in counts}
    return ", ".join(f"{count} of {config.n_layer} {names[place]}" for place, count in counts.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _dtypes(dtypes: dict[str, int]) -> str:
    if len(dtypes) < 2:
        return next(iter(dtypes), "no dtype")
    return ", ".join(f"{dtype} ({count:,})" for dtype, count in dtypes.items())


def _tokenizer_text(tokenizer: "TokenizerFacts", limit: int = 4) -> str:
    special = [
        f"{clipped(text, 40)} {token}{' (ends a text)' if token == tokenizer.eos_id else ''}"
        for text, token in tokenizer.special_tokens.items()
    ]
    more = [f"and {len(special) - limit} more special tokens"] if len(special) > limit else []
    return "\n".join([f"{tokenizer.kind}, {tokenizer.n_vocab:,} entries", *special[:limit], *more])


def _tensors(tensors: Sequence["TensorFacts"]) -> "Rows":
    made = table("tensor in the file", "dtype", ">shape", "done", "our name, if other", title="")
    for column in (made.columns[0], made.columns[-1]):  # a name is never clipped: the user may be looking for it
        column.no_wrap, column.overflow = False, "fold"
    for tensor in tensors:
        made.add_row(
            clipped(tensor.key),
            tensor.dtype,
            "×".join(map(str, tensor.shape)) or "scalar",
            tensor.done,
            tensor.ours if tensor.ours and tensor.ours != tensor.key else "",
            style="dim" if tensor.done == "skipped" else None,
        )
    return made
