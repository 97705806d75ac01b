"""gptcli tokenize: a text in the tokens that a GPT reads."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from gptcli.cli.inputs import WITH_FILE, tell_file, text_argument, unescaped
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.cli.options import DEFAULT_MODEL, ModelOption, TimeoutOption
from gptcli.cli.texts import STDIN, Source, TextOptions
from gptcli.cli.token_views import TokenView, decoded
from gptcli.errors import InputError
from gptcli.system.text_file import file_name, opened

if TYPE_CHECKING:
    from gptcli.tokenizer import Tokenizer


@grouped
def tokenize(
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", show_default=False, help="The text, or ids to decode; else stdin."),
    ] = None,
    *,
    texts: TextOptions,
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
    output: OutputOptions,
) -> None:
    """Cut a text into tokens, the pieces that a GPT reads and writes.

    A space before a word belongs to its token and is drawn as ·, a newline
    as ⏎; bytes that are not a whole character are drawn as \\xE2. What a
    vocabulary writes otherwise, such as ▁ for a space, is drawn the same.

    A pipe and a file are taken as they are, the newline at their end too; of
    --lines it is no part. --count of files is printed as wc does.

    \b
    gptcli tokenize "Not all heroes wear capes"
    gptcli tokenize --merges "unbelievable heroes"
    gptcli tokenize --ids "to be or not" | gptcli tokenize --decode
    gptcli tokenize --count -f one.txt -f two.txt
    gptcli tokenize --lines -f sentences.txt --json
    gptcli tokenize --truncate 100 < novel.txt > start.txt
    gptcli tokenize --encoding cl100k_base "How does GPT-4 see this?"
    """
    modes = {"ids": ids, "decode": decode, "count": count, "merges": merges, "offsets": offsets}
    _check_modes(output, **modes, truncate=truncate is not None)
    if output.save is not None and texts.several:
        raise InputError("--save saves the picture of one text: leave out --lines, or give one -f")
    texts.check(" ".join(text) if text else None, "TEXT")
    tokenizer, n_positions = _load(model, encoding)
    table = output.table()
    view = TokenView(tokenizer, n_positions, special, output, table, several=texts.several, **modes, truncate=truncate)
    if texts.lines:
        view.show_lines(texts.each(text[0] if text else None, "TEXT"))
    elif count and texts.file:
        view.show_counts(texts.file)
    elif texts.file:
        for file in texts.file:
            with opened(file) as found:
                view.show(decoded(found, file_name(file)), Source("", None if file == STDIN else str(file)))
    else:
        view.show(_chunks(text, raw=texts.raw))


def _check_modes(output: OutputOptions, **modes: bool) -> None:
    chosen = [f"--{name}" for name, on in modes.items() if on]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} are answers to different questions: give one of them")
    if output.csv or output.md:
        asked = "--csv" if output.csv else "--md"
        if chosen not in ([], ["--count"], ["--merges"], ["--offsets"]):
            raise InputError(f"{asked} prints a table, and {chosen[0]} has none: leave one of them out")
    if output.save is not None and chosen not in ([], ["--merges"], ["--offsets"]):
        raise InputError(f"--save saves a picture, and {chosen[0]} prints none: redirect its output instead (> FILE)")


def _load(model: str, encoding: str | None) -> "tuple[Tokenizer, int | None]":
    """The tokenizer, and how many tokens its model reads."""
    from gptcli.checkpoint.families import context_length
    from gptcli.checkpoint.source import find
    from gptcli.checkpoint.tokenizers import own_tokenizer
    from gptcli.system.notices import notices
    from gptcli.tokenizer import tiktoken_encoding

    if encoding is not None:
        return tiktoken_encoding(encoding), None
    source = find(model)
    tokenizer, notes = own_tokenizer(source)
    notices(notes)
    _keep_to_the_end(tokenizer)
    return tokenizer, context_length(source)


def _keep_to_the_end(tokenizer: "Tokenizer") -> None:
    """Have the process end without taking a tokenizer apart, which takes a third of the time that opening it takes."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(tokenizer))


def _chunks(words: list[str] | None, *, raw: bool) -> Iterable[str]:
    """The text: the arguments joined by spaces, or stdin as it comes."""
    for word in words or []:
        tell_file(word, WITH_FILE)
    text = " ".join(words) if words else None
    if text in (None, "-") and sys.stdin is not None and not sys.stdin.isatty():
        return decoded(sys.stdin.buffer, "stdin")
    given = text_argument(text, "TEXT", strip_newline=False)
    return [given if raw or text in (None, "-") else unescaped(given)]
