"""What ``gptcli tokenize`` prints of a text: its tokens, ids, count, merges or beginning, or ids as text."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gptcli.cli.option_groups import OutputOptions
from gptcli.cli.texts import Source, Sources
from gptcli.errors import InputError
from gptcli.show.terminal.console import print_json, stdout_console, stdout_is_terminal
from gptcli.system.answer import rows_of
from gptcli.system.text_file import MOST_TEXT, file_name, opened
from gptcli.text import visible

if TYPE_CHECKING:
    from gptcli.show.terminal.tables import TableWriter
    from gptcli.tokenizer import Tokenizer

# Larger drawings are not readable.
_DRAWN_TOKENS = 1000
_DRAWN_PIECES = 100
_MOST_MERGED = 1_000_000  # characters
_READ_SIZE = 1 << 17


def decoded(file: BinaryIO, what: str) -> Iterator[str]:
    """A file as it comes."""
    from gptcli.tokenizer import decode_chunks

    return decode_chunks(iter(lambda: file.read(_READ_SIZE), b""), what)


# A text that is not one of several, and comes from no file.
_ALONE = Source("")


@dataclass(frozen=True)
class TokenView:
    """What to print of a text.

    Attributes:
        tokenizer, special: how to read it.
        n_positions: how many tokens the model reads; None: unknown.
        output, table: where the answer goes, and the table that is printed of several, if one is.
        several: there are more texts than one.
        ids, decode, count, merges, offsets, truncate: see the options; without any, the tokens.
    """

    tokenizer: "Tokenizer"
    n_positions: int | None
    special: bool
    output: OutputOptions
    table: "TableWriter | None"
    several: bool
    ids: bool
    decode: bool
    count: bool
    merges: bool
    offsets: bool
    truncate: int | None

    @property
    def as_json(self) -> bool:
        """Whether JSON is printed."""
        return self.output.json

    def show(self, chunks: Iterable[str], source: Source = _ALONE) -> None:
        """Print the answer to one text."""
        tokenizer, special, as_json = self.tokenizer, self.special, self.as_json
        indent = None if self.several else 2
        if self.several and not (
            self.output.form or self.ids or self.decode or self.count or self.truncate is not None
        ):
            print(f"==> {source.name} <==")
        if self.decode:
            _print_decoded(tokenizer, chunks, as_json, indent)
        elif self.truncate is not None:
            _print_start(tokenizer, chunks, self.truncate, special, as_json, source, indent)
        elif self.ids:
            _print_ids(tokenizer, chunks, special, as_json)
        elif self.count:
            _print_count(tokenizer, chunks, special, as_json, source, indent, self.table)
        elif self.merges:
            _show_merges(tokenizer, chunks, special, self.output, self.table, indent)
        else:
            _show_tokens(
                tokenizer,
                chunks,
                special,
                self.output,
                self.table,
                source,
                indent,
                offsets=self.offsets,
                n_positions=self.n_positions,
            )

    def show_lines(self, sources: Sources) -> None:
        """Print the answer to each line: a line each, except for pictures."""
        from gptcli.show.terminal.progress import progress_beside_rows

        rows = not (self.output.form or self.ids or self.decode or self.count or self.merges or self.offsets)
        if rows and self.truncate is None:
            from gptcli.show.tokenize import TokenRows

            table = TokenRows()
        with progress_beside_rows("tokenizing") as progress:
            for source in sources:
                progress(sources.done, sources.total)
                if rows and self.truncate is None:
                    table.add(self.tokenizer, self.tokenizer.encode(source.text, special=self.special))
                    continue
                self.show([source.text], source)
                if not self.output.form and (self.decode or self.truncate is not None):
                    print()

    def show_counts(self, files: Sequence[Path]) -> None:
        """Print the tokens of each file, and of all, as wc does."""
        from gptcli.tokenizer.listing import tokenize_text

        total = 0
        for file in files:
            with opened(file) as found:
                counts = tokenize_text(
                    self.tokenizer, decoded(found, file_name(file)), special=self.special, keep=0
                ).counts
            total += counts.n_tokens
            if self.table is not None:
                self.table.add(rows_of(replace(counts, file=str(file))))
            elif self.as_json:
                print_json(replace(counts, file=str(file)), indent=None if len(files) > 1 else 2)
            else:
                print(f"{counts.n_tokens:>8} {visible(str(file), keep='')}")
        if len(files) > 1 and not self.output.form:
            print(f"{total:>8} total")


def _show_tokens(
    tokenizer: "Tokenizer",
    chunks: Iterable[str],
    special: bool,
    output: OutputOptions,
    table: "TableWriter | None",
    source: Source,
    indent: int | None,
    *,
    offsets: bool,
    n_positions: int | None,
) -> None:
    from gptcli.show.tokenize import strip_with_counts
    from gptcli.tokenizer.listing import tokenize_text

    answer = tokenize_text(tokenizer, chunks, special=special, keep=None if output.data else _DRAWN_TOKENS)
    first = " ".join(map(str, tokenizer.prefix_ids))
    note = (
        f"before a text the model expects {visible(tokenizer.decode(tokenizer.prefix_ids))} ({first})" if first else ""
    )
    answer = replace(answer, n_positions=n_positions, file=source.file, line=source.line)
    if output.json and indent is None:
        return print_json(answer, indent=None)
    if table is not None and indent is None:
        return table.add({"file": source.file, "line": source.line} | row for row in rows_of(answer))
    output.present(
        answer,
        lambda: strip_with_counts(answer, note, stdout_console().width, _DRAWN_TOKENS, offsets=offsets),
    )


def _show_merges(
    tokenizer: "Tokenizer",
    chunks: Iterable[str],
    special: bool,
    output: OutputOptions,
    table: "TableWriter | None",
    indent: int | None,
) -> None:
    from gptcli.show.tokenize import merge_steps_picture
    from gptcli.tokenizer.merges import Merged, first_different

    text = "".join(_at_most(chunks, _MOST_MERGED, "--merges looks into a text"))
    answer = Merged(tokenizer.name, tokenizer.merges(text, special=special))
    if output.json and indent is None:
        return print_json(answer, indent=None)
    if table is not None and indent is None:
        return table.add(rows_of(answer))
    output.present(
        answer,
        lambda: merge_steps_picture(
            first_different(tokenizer.merges(text, special=special), _DRAWN_PIECES + 1), _DRAWN_PIECES
        ),
    )


def _at_most(chunks: Iterable[str], most: int, what: str) -> Iterator[str]:
    """A text that is not longer than so many characters; ``what`` needs all of it at once."""
    length = 0
    for chunk in chunks:
        length += len(chunk)
        if length > most:
            raise InputError(f"{what}, of {most:,} characters of input at most: cut it first (head -c)")
        yield chunk


def _print_ids(tokenizer: "Tokenizer", chunks: Iterable[str], special: bool, as_json: bool) -> None:
    from gptcli.tokenizer import encode_chunks
    from gptcli.tokenizer.listing import TokenIds

    head = f'{{"schema": "{TokenIds.schema}", "ids": ['
    start, between, end = (head, ", ", "]}\n") if as_json else ("", " ", "\n")
    sys.stdout.write(start)
    separator = ""
    for ids in encode_chunks(tokenizer, chunks, special=special):
        if ids:
            sys.stdout.write(separator + between.join(map(str, ids)))
            separator = between
    sys.stdout.write(end)


def _print_count(
    tokenizer: "Tokenizer",
    chunks: Iterable[str],
    special: bool,
    as_json: bool,
    source: Source,
    indent: int | None,
    table: "TableWriter | None",
) -> None:
    from gptcli.tokenizer.listing import tokenize_text

    counts = tokenize_text(tokenizer, chunks, special=special, keep=0).counts
    counts = replace(counts, file=source.file, line=source.line)
    if table is not None:
        table.add(rows_of(counts))
    elif as_json:
        print_json(counts, indent=indent)
    else:
        print(counts.n_tokens)


def _print_start(
    tokenizer: "Tokenizer",
    chunks: Iterable[str],
    length: int,
    special: bool,
    as_json: bool,
    source: Source,
    indent: int | None,
) -> None:
    from gptcli.tokenizer.listing import truncate_text

    start = truncate_text(tokenizer, chunks, length, special=special)
    if as_json:
        print_json(replace(start, file=source.file, line=source.line), indent=indent)
    else:
        _write_text([start.text.encode()])


def _print_decoded(tokenizer: "Tokenizer", chunks: Iterable[str], as_json: bool, indent: int | None) -> None:
    from gptcli.tokenizer.listing import Decoded, decode_each, parse_ids

    if as_json:
        ids = array("Q")
        for some in parse_ids(
            _at_most(chunks, MOST_TEXT, "--decode --json makes one text (without --json it streams)")
        ):
            ids.extend(some)
        print_json(Decoded(tokenizer.decode_bytes(ids), ids), indent=indent)
    else:
        _write_text(decode_each(tokenizer, parse_ids(chunks)))


def _write_text(parts: Iterable[bytes]) -> None:
    """Write text to stdout: to a pipe byte for byte, to a terminal such that it is seen and not obeyed."""
    if stdout_is_terminal():
        print(visible(b"".join(parts).decode("utf-8", errors="backslashreplace")))
        return
    sys.stdout.flush()
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
