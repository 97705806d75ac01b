"""gptcli tokenize: a text in the tokens that a GPT reads."""

import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli.inputs import text_argument
from gptcli.cli.option_groups import with_epilog
from gptcli.cli.options import DEFAULT_MODEL, JsonOption, ModelOption, SaveOption, TimeoutOption
from gptcli.errors import InputError
from gptcli.show.terminal.console import present, print_json, stdout_console, stdout_is_terminal
from gptcli.system.text_file import MOST_TEXT
from gptcli.text import visible

if TYPE_CHECKING:
    from gptcli.tokenizer import Tokenizer

# Larger drawings are not readable.
_DRAWN_TOKENS = 1000
_DRAWN_PIECES = 100
_MOST_MERGED = 1_000_000  # characters
_READ_SIZE = 1 << 17

_EPILOG = """
Examples:

\b
  gptcli tokenize "Not all heroes wear capes"
  gptcli tokenize --merges "unbelievable heroes"
  gptcli tokenize --ids "to be or not" | gptcli tokenize --decode
  gptcli tokenize --count < novel.txt
  gptcli tokenize --truncate 100 < novel.txt > start.txt
  gptcli tokenize --encoding cl100k_base "How does GPT-4 see this?"
"""


@with_epilog(_EPILOG)
def tokenize(
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", show_default=False, help="The text, or ids to decode; else stdin."),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print only the ids, on one line.")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Turn ids back into text.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Print only how many tokens there are.")] = False,
    merges: Annotated[bool, typer.Option("--merges", help="Show the merges that built each word.")] = False,
    offsets: Annotated[bool, typer.Option("--offsets", help="Show which characters each token was made from.")] = False,
    truncate: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Print the text cut to its first N tokens.")
    ] = None,
    special: Annotated[bool, typer.Option("--special", help="Read <|endoftext|> and its like as special.")] = False,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of tiktoken's: cl100k_base, o200k_base, ...")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    save: SaveOption = None,
) -> None:
    """Cut a text into tokens, the pieces that a GPT reads and writes.

    A space before a word belongs to its token and is drawn as ·, a newline
    as ⏎; bytes that are not a whole character are drawn as \\xE2. What a
    vocabulary writes otherwise, such as ▁ for a space, is drawn the same.

    What comes on stdin is taken as it is, the newline at its end too.
    """
    modes = {"ids": ids, "decode": decode, "count": count, "merges": merges, "offsets": offsets}
    _check_modes(save is not None, **modes, truncate=truncate is not None)
    tokenizer = _load(model, encoding)
    chunks = _chunks(text)
    if decode:
        _print_decoded(tokenizer, chunks, as_json)
    elif truncate is not None:
        _print_start(tokenizer, chunks, truncate, special, as_json)
    elif ids:
        _print_ids(tokenizer, chunks, special, as_json)
    elif count:
        _print_count(tokenizer, chunks, special, as_json)
    elif merges:
        _show_merges(tokenizer, chunks, special, as_json, save)
    else:
        _show_tokens(tokenizer, chunks, special, as_json, save, offsets=offsets)


def _check_modes(saving: bool, **modes: bool) -> None:
    chosen = [f"--{name}" for name, on in modes.items() if on]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} are answers to different questions: give one of them")
    if saving and chosen not in ([], ["--merges"], ["--offsets"]):
        raise InputError(f"--save saves a picture, and {chosen[0]} prints none: redirect its output instead (> FILE)")


def _load(model: str, encoding: str | None) -> "Tokenizer":
    from gptcli.checkpoint.source import find
    from gptcli.checkpoint.tokenizers import own_tokenizer
    from gptcli.system.notices import notices
    from gptcli.tokenizer import tiktoken_encoding

    if encoding is not None:
        return tiktoken_encoding(encoding)
    tokenizer, notes = own_tokenizer(find(model))
    notices(notes)
    _keep_to_the_end(tokenizer)
    return tokenizer


def _keep_to_the_end(tokenizer: "Tokenizer") -> None:
    """Have the process end without taking a tokenizer apart, which takes a third of the time that opening it takes."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(tokenizer))


def _chunks(words: list[str] | None) -> Iterable[str]:
    """The text: the arguments joined by spaces, or stdin as it comes."""
    from gptcli.tokenizer import decode_chunks

    text = " ".join(words) if words else None
    if text in (None, "-") and sys.stdin is not None and not sys.stdin.isatty():
        stdin = sys.stdin.buffer
        return decode_chunks(iter(lambda: stdin.read(_READ_SIZE), b""), "stdin")
    return [text_argument(text, "TEXT", strip_newline=False)]


def _show_tokens(
    tokenizer: "Tokenizer", chunks: Iterable[str], special: bool, as_json: bool, save: Path | None, *, offsets: bool
) -> None:
    from gptcli.show.tokenize import strip_with_counts
    from gptcli.tokenizer.listing import tokenize_text

    answer = tokenize_text(tokenizer, chunks, special=special, keep=None if as_json else _DRAWN_TOKENS)
    first = " ".join(map(str, tokenizer.prefix_ids))
    note = (
        f"before a text the model expects {visible(tokenizer.decode(tokenizer.prefix_ids))} ({first})" if first else ""
    )
    present(
        answer,
        lambda: strip_with_counts(answer, note, stdout_console().width, _DRAWN_TOKENS, offsets=offsets),
        as_json=as_json,
        save=save,
    )


def _show_merges(
    tokenizer: "Tokenizer", chunks: Iterable[str], special: bool, as_json: bool, save: Path | None
) -> None:
    from gptcli.show.tokenize import merge_steps_picture
    from gptcli.tokenizer.merges import Merged, first_different

    text = "".join(_at_most(chunks, _MOST_MERGED, "--merges looks into a text"))
    present(
        Merged(tokenizer.name, tokenizer.merges(text, special=special)),
        lambda: merge_steps_picture(
            first_different(tokenizer.merges(text, special=special), _DRAWN_PIECES + 1), _DRAWN_PIECES
        ),
        as_json=as_json,
        save=save,
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


def _print_count(tokenizer: "Tokenizer", chunks: Iterable[str], special: bool, as_json: bool) -> None:
    from gptcli.tokenizer.listing import tokenize_text

    counts = tokenize_text(tokenizer, chunks, special=special, keep=0).counts
    if as_json:
        print_json(counts)
    else:
        print(counts.n_tokens)


def _print_start(tokenizer: "Tokenizer", chunks: Iterable[str], length: int, special: bool, as_json: bool) -> None:
    from gptcli.tokenizer.listing import truncate_text

    start = truncate_text(tokenizer, chunks, length, special=special)
    if as_json:
        print_json(start)
    else:
        _write_text([start.text.encode()])


def _print_decoded(tokenizer: "Tokenizer", chunks: Iterable[str], as_json: bool) -> None:
    from gptcli.tokenizer.listing import Decoded, decode_each, parse_ids

    if as_json:
        ids = array("Q")
        for some in parse_ids(
            _at_most(chunks, MOST_TEXT, "--decode --json makes one text (without --json it streams)")
        ):
            ids.extend(some)
        print_json(Decoded(tokenizer.decode_bytes(ids), ids))
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
