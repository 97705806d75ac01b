"""The description of a checkpoint from its files, without loading weights, and the source of each fact."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from gptcli.checkpoint.families import Blueprint, read_blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.names import is_index
from gptcli.checkpoint.hub.cached import SMALL_FILES
from gptcli.checkpoint.source import Source, find
from gptcli.checkpoint.weights.kept import KeptFile, kept_of
from gptcli.counting.chatting import chat_facts
from gptcli.counting.tensors import stored
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.system.answer import row_of
from gptcli.system.regular_file import readable
from gptcli.tokenizer.files import tokenizer_for

# The basis of a fact: read from a file, counted from one, or inferred from something else.
Basis = Literal["read", "counted", "inferred"]
# What is done to a tensor of the file on its way into ours (see families.blueprint.How): without a change but for the
# name it is "renamed"; "skipped" ones are buffers, or repeat another tensor; "unused" ones belong to no GPT here.
Done = Literal[
    "as is",
    "renamed",
    "transposed",
    "stacked",
    "regrouped",
    "rows",
    "first half",
    "second half",
    "skipped",
    "unused",
]
WORD_VECTORS = "word-vectors"
# Fields in which two GPTs of one kind may differ; all others make them different kinds.
_SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")


@dataclass(frozen=True)
class Known:
    """The source of a fact.

    Attributes:
        how: whether it was read, counted or inferred.
        source: the file, or what it was inferred from.
    """

    how: Basis
    source: str


@dataclass(frozen=True)
class TokenizerFacts:
    """The tokenizer of a checkpoint.

    Attributes:
        kind: what it is, in words.
        n_vocab: ids it has, padding included.
        special_tokens: text of each special token to its id.
        eos_id: the id that ends a text.
    """

    kind: str
    n_vocab: int
    special_tokens: dict[str, int]
    eos_id: int | None


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of the files, and what is done to it.

    Attributes:
        key: its name in the file.
        ours: the parameter that it becomes, or becomes a part of; None for one that is not loaded.
        dtype, shape: as they are in the file.
        done: what is done to it.
        file: its file.
    """

    key: str
    ours: str | None
    dtype: str
    shape: tuple[int, ...]
    done: Done
    file: str


@dataclass(frozen=True)
class FileFacts:
    """One file of a checkpoint.

    Attributes:
        name: without its folder.
        nbytes: its size, in bytes.
        here: whether it is on this disk; else it is on the hub, and only its header was read.
    """

    name: str
    nbytes: int
    here: bool


@dataclass(frozen=True)
class Description:
    """The result of ``gptcli models show``.

    Attributes:
        model: its name, as the user gave it.
        folder: of its files, or where a download would put them.
        repo, revision, commit: on the hub, if it is from there.
        family: the family that reads it, ``word-vectors``, or None.
        config: the GPT's configuration; None where no family reads it.
        unlike_gpt2: the fields of ``config`` in which it differs from GPT-2 in kind, with GPT-2's value.
        parameters: how many there are, each counted once; None without weights.
        n_tensors: how many tensors the files hold.
        dtypes: elements by dtype.
        tokenizer: None where there is none, or none that can be read.
        eos_ids: the ids that end a text, as far as the configuration says.
        sampling: the sampling that ``chat`` starts with, where generation_config.json says so.
        chat_templates: names of its chat templates.
        files: those that gptcli would read.
        kept: the files of its quantized matrices.
        tensors: what is done to each tensor, if requested.
        known: the source of each fact above.
        notes: what was inferred, and what does not fit, one sentence each.
    """

    schema: ClassVar[str] = "gptcli.models.show/1"

    model: str
    folder: Path
    repo: str | None
    revision: str | None
    commit: str | None
    family: str | None
    config: GPTConfig | None
    unlike_gpt2: dict[str, object]
    parameters: int | None
    n_tensors: int
    dtypes: dict[str, int]
    tokenizer: TokenizerFacts | None
    eos_ids: tuple[int, ...]
    sampling: dict[str, Any]
    chat_templates: tuple[str, ...]
    files: tuple[FileFacts, ...]
    kept: tuple[KeptFile, ...]
    tensors: tuple[TensorFacts, ...] | None
    known: dict[str, Known]
    notes: tuple[str, ...]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """With all tensors a row for each; else a row for each fact."""
        if self.tensors is not None:
            yield from map(row_of, self.tensors)
            return
        nothing = Known("read", "")
        for name, value in row_of(self).items():
            known = self.known.get(name.partition(".")[0], nothing)
            if name not in ("known", "tensors"):
                yield {"fact": name, "value": value, "how": known.how if known.source else None, "source": known.source}


def describe(name: str, *, keys: bool = False, n_head: int | None = None) -> Description:
    """Describe a checkpoint from its headers and small files; from the hub, only these are downloaded.

    Args:
        name: as for ``source.find``.
        keys: list every tensor.
        n_head: attention heads, for a file without a config.json.

    Raises:
        ModelNotFound: there is nothing of that name.
        CheckpointError: a file is broken.
        GptcliError: the hub cannot be reached.
    """
    source = find(name, only_look=SMALL_FILES)
    header = source.header
    blueprint, notes = _understand(source, header, n_head)
    config = blueprint.config if blueprint else None
    tokenizer, tokenizer_known, tokenizer_notes = _tokenizer(source, header, config)
    held = stored(header, blueprint.buffers if blueprint else ()) if header else None
    words = _is_word_vectors(source)
    known = _known(source, header, blueprint) | ({"tokenizer": tokenizer_known} if tokenizer_known else {})
    talk = chat_facts(source.folder)
    known |= {fact: Known("read", file) for fact, file in talk.sources.items()}
    return Description(
        model=name,
        folder=source.folder,
        repo=source.hub_name.repo if source.hub_name else None,
        revision=source.hub_name.revision if source.hub_name else None,
        commit=source.folder.name if source.hub_name else None,
        family=blueprint.family if blueprint else WORD_VECTORS if words else None,
        config=config,
        unlike_gpt2=unlike_gpt2(config) if config else {},
        parameters=held.parameters if held else None,
        n_tensors=held.n_tensors if held else 0,
        dtypes=held.dtypes if held else {},
        tokenizer=tokenizer,
        eos_ids=talk.eos_ids or (blueprint.eos_ids if blueprint else ()),
        sampling=dict(talk.sampling),
        chat_templates=talk.chat_templates,
        files=_files(source, header),
        kept=_kept(source, header, blueprint),
        tensors=_tensors(header, blueprint, words) if keys and header else None,
        known=known,
        notes=(*notes, *tokenizer_notes, *talk.notes),
    )


def unlike_gpt2(config: GPTConfig) -> dict[str, object]:
    """The fields in which a configuration differs from GPT-2 in kind, not in size, with their values."""
    gpt2 = GPTConfig()
    return {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in _SIZES
        and getattr(config, field.name) != getattr(gpt2, field.name)
        and not (field.name == "n_inner" and config.mlp_width == 4 * config.n_embd)
    }


def _is_word_vectors(source: Source) -> bool:
    return (source.config or {}).get("model_type") == WORD_VECTORS


def _understand(source: Source, header: Header | None, n_head: int | None) -> tuple[Blueprint | None, tuple[str, ...]]:
    """Read it as a GPT; if that fails, add a note with the reason and describe it without."""
    if _is_word_vectors(source):
        return None, ()
    try:
        blueprint = read_blueprint(source, header, n_head)
    except CheckpointError as error:
        if header is None and source.config is None:
            raise
        return None, (f"gptcli cannot run it: {error}",)
    return blueprint, blueprint.notes


def _tokenizer(
    source: Source, header: Header | None, config: GPTConfig | None
) -> tuple[TokenizerFacts | None, Known | None, tuple[str, ...]]:
    """The tokenizer, its source, and notes on what is wrong with it."""
    if _is_word_vectors(source):
        rows = max((info.shape[0] for info in header.tensors.values() if info.shape), default=0) if header else 0
        fold = "lower-case words" if (source.config or {}).get("lowercase") is True else "words"
        return TokenizerFacts(f"{fold}, one a row", rows, {}, None), Known("read", "vocab.txt"), ()
    try:
        tokenizer = tokenizer_for(source.folder, config.vocab_size if config else None)
    except CheckpointError as error:
        return None, None, (str(error),)
    facts = TokenizerFacts(tokenizer.kind, tokenizer.n_vocab, tokenizer.special_tokens, tokenizer.eos_id)
    if (source.folder / "tokenizer.json").is_file():
        return facts, Known("read", "tokenizer.json"), ()
    if (source.folder / "vocab.json").is_file():
        return facts, Known("read", "vocab.json and merges.txt"), ()
    return facts, Known("inferred", "size is GPT-2's"), ()


def _known(source: Source, header: Header | None, blueprint: Blueprint | None) -> dict[str, Known]:
    known: dict[str, Known] = {}
    says_type = (source.config or {}).get("model_type") is not None
    if blueprint is not None or _is_word_vectors(source):
        read = Known("read", "config.json")
        known["family"] = read if says_type else Known("inferred", "names of the tensors")
    if blueprint is not None:
        read = Known("read", "config.json")
        known["config"] = read if source.config is not None else Known("inferred", "shapes of the tensors")
        if blueprint.eos_ids:
            known["eos_ids"] = read
    if header is not None:
        file = "header" if len(header.files) == 1 else f"headers of {len(header.files)} shards"
        known["dtypes"], known["parameters"] = Known("read", file), Known("counted", file)
    return known


def _files(source: Source, header: Header | None) -> tuple[FileFacts, ...]:
    """The files that gptcli would read, weights last."""
    small = [source.folder / name for name in (*SMALL_FILES, "vocab.txt")]
    index = [source.weights] if source.weights and is_index(source.weights.name) else []
    weights = list(header.files) if header else []
    ends = (
        {info.file: info.end for info in header.tensors.values()} if header else {}
    )  # the end of the last tensor is the file's size
    with readable(source.folder):
        return tuple(
            FileFacts(path.name, path.stat().st_size if here else ends.get(path, 0), here)
            for path in [*small, *index, *weights]
            if (here := path.is_file()) or path in weights
        )


def _kept(source: Source, header: Header | None, blueprint: Blueprint | None) -> tuple[KeptFile, ...]:
    """The files of its quantized matrices, if its weights are on this machine."""
    if header is None or blueprint is None or source.seen is not None:
        return ()
    return tuple(kept_of(header, blueprint))


def _tensors(header: Header, blueprint: Blueprint | None, words: bool) -> tuple[TensorFacts, ...]:
    """What is done to each tensor, in the order of the files; one that becomes two parameters is listed twice."""
    becomes: dict[str, list[tuple[str | None, Done]]] = {}
    for ours, part in (blueprint.tensors if blueprint else {}).items():
        for key in part.keys:
            done: Done = ("as is" if key == ours else "renamed") if part.how == "as is" else part.how
            becomes.setdefault(key, []).append((ours, done))
    left: Done = "skipped" if blueprint else "as is" if words else "unused"
    return tuple(
        TensorFacts(info.name, ours, info.dtype, info.shape, done, info.file.name)
        for info in header.tensors.values()
        for ours, done in becomes.get(info.name, [(None, left)])
    )
