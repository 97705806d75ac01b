"""Opens one mutant after the other, the way the commands do, in a process that may take only so much.

Started by ``tests.fuzz.runner``: numbers come on stdin, one JSON object a mutant goes to stdout. The kernel holds the
limits, so that nothing that hangs or eats can talk its way out: 10 seconds of processor time a mutant (SIGPROF), and
500 MB of memory over the mutant's size.
"""

import functools
import json
import os
import re
import resource
import shutil
import signal
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from gptcli.checkpoint.chat_templates import read_chat_templates
from gptcli.checkpoint.files.header import Header, header_length, parse_header
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.hub import check as hub_check
from gptcli.checkpoint.hub.answers import read_listing
from gptcli.checkpoint.hub.client import http_library
from gptcli.checkpoint.hub.watch import Watch
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.read import read_checkpoint
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.kept import KINDS
from gptcli.checkpoint.weights.placement import Placement
from gptcli.counting.description import describe
from gptcli.embedding.load import open_embedding
from gptcli.errors import GptcliError, InputError
from gptcli.generation.chat.layout import starting_sampling
from gptcli.generation.chat.renderer import Renderer
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.turns import Turn
from gptcli.generation.loop import Limits
from gptcli.generation.writing import Request, Writing
from gptcli.sampling.settings import Sampling
from gptcli.show.models import draw_description
from gptcli.text import visible
from gptcli.tokenizer import StreamDecoder, Tokenizer, calls, tokenizer_for
from gptcli.tokenizer.listing import tokenize_text
from tests.fuzz.mutators import Files, make
from tests.fuzz.seeds import CACHE, using_cache

SECONDS = 10
MEGABYTES = 500
LONGEST_MESSAGE = 4_000
TEXTS = ("The king's 2 horses aren't here,\n\n  naïve\u00a0日本! \x1b[31m<|endoftext|>" + "a" * 60 + "!", "", " " * 50)


class Finding(Exception):
    """Something that a user must never meet."""


def main() -> None:
    """Serve numbers until stdin ends."""
    seeds, scratch = read_seeds(Path(sys.argv[1])), Path(sys.argv[2])
    torch.set_num_threads(1)
    os.environ["GPTCLI_CACHE"] = str(scratch / "no-cache")
    http_library()
    calls._PATIENCE = 0.3
    examine(scratch)  # what is imported on first use is imported before memory is measured
    for line in sys.stdin:
        mutant = make(int(line), seeds)
        folder = scratch / str(mutant.number)
        mutant.write(folder)
        outcome = examine_within_limits(folder)
        shutil.rmtree(folder, ignore_errors=True)
        last = any(thread.name == calls.THREAD for thread in threading.enumerate())
        print(json.dumps({"number": mutant.number, "kind": mutant.kind, "last": last, **outcome}), flush=True)
        if last:
            os._exit(0)  # the library is at something that does not end, which was given up


def examine_within_limits(folder: Path) -> dict[str, Any]:
    """As ``examine``; the process ends by SIGPROF where it takes too long, and gets a MemoryError for too much."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    _limit_memory(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()))
    outcome = examine(folder)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome


def read_seeds(folder: Path) -> dict[str, Files]:
    """What ``write_seeds`` wrote."""
    return {
        place.name: {
            path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
        }
        for place in sorted(folder.iterdir())
    }


def _limit_memory(nbytes: int) -> None:
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:"))
    allowed = int(held.split()[1]) * 1024 + nbytes + MEGABYTES * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, resource.RLIM_INFINITY))


def examine(folder: Path) -> dict[str, Any]:
    """Open a checkpoint in every way there is.

    Returns:
        ``opened`` and ``refused``: how many of the ways worked and how many ended in a clear error; ``fault``: None, or
        what went wrong, a traceback perhaps.
    """
    opened = refused = 0
    ways = (
        _describe,
        _tokenize,
        _write,
        _chat,
        _look_up,
        _believe,
        *((_write_kept,) if (folder / CACHE).is_dir() else ()),
    )
    for way in ways:
        try:
            way(folder)
            opened += 1
        except GptcliError as error:
            refused += 1
            if fault := _unclear(str(error), folder):
                return {"opened": opened, "refused": refused, "fault": f"{way.__name__}: {fault}"}
        except BaseException:
            fault = traceback.format_exc(limit=-12)
            return {"opened": opened, "refused": refused, "fault": f"{way.__name__}: {fault}"}
    return {"opened": opened, "refused": refused, "fault": None}


def _unclear(message: str, folder: Path) -> str | None:
    """What is wrong with an error message: endless, empty, or of several lines."""
    shown = visible(message)
    if not shown.strip():
        return "an error without a message"
    if len(shown) > LONGEST_MESSAGE:
        return f"a message of {len(shown)} characters: {shown[:200]}"
    return f"a message of several lines: {shown[:500]}" if "\n" in shown else None


def _describe(folder: Path) -> None:
    from rich.console import Console

    about = describe(str(folder), keys=True)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(file=nowhere, record=True, width=100, highlight=False, markup=False, emoji=False)
        # Drawing takes longer than all the rest: of the tensors only those with names worth looking at.
        odd = tuple(tensor for tensor in about.tensors or () if not tensor.key.replace(".", "_").isidentifier())
        console.print(draw_description(replace(about, tensors=odd[:20])))
    shown = console.export_text()
    if bad := {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\u200c\u200d"}:
        raise Finding(f"the card of the model holds {sorted(bad)!r}")
    source = find(str(folder))
    if source.weights is not None:
        _agrees(read_header(source.weights))


def _agrees(header: Header) -> None:
    """The format's own library reads the same tensors at the same places, or, where it is stricter, nothing."""
    for path in header.files:
        with safe_open(path, framework="pt") as file:
            ours = {name: tensor for name, tensor in header.tensors.items() if tensor.file == path}
            if set(file.keys()) != set(ours):
                raise Finding(f"{path}: other tensors than safetensors finds")
            for name, tensor in ours.items():
                if tensor.dtype.startswith(("F4", "F6", "F8", "U", "C")) or not tensor.count:
                    continue
                found = file.get_tensor(name)
                with path.open("rb") as raw:
                    raw.seek(tensor.start)
                    stored = raw.read(tensor.nbytes)
                if tuple(found.shape) != tensor.shape or bytes(found.reshape(-1).view(torch.uint8).numpy()) != stored:
                    raise Finding(f"{path}: {name!r} is not what safetensors finds")


def _tokenize(folder: Path) -> None:
    tokenizer = tokenizer_for(folder, None)
    refused: list[GptcliError] = []
    for text in TEXTS:
        for work in (_round_trip, _merges, _special):
            _collect(refused, work, tokenizer, text)
    if refused:
        raise refused[0]


def _collect(refused: list[GptcliError], work: Callable[[Tokenizer, str], object], *arguments: Any) -> None:
    try:
        work(*arguments)
    except GptcliError as error:
        refused.append(error)


def _round_trip(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    if any(not 0 <= token < tokenizer.n_vocab for token in ids):
        raise Finding(f"ids beyond the vocabulary: {ids[:20]}")
    stream = StreamDecoder(tokenizer)
    shown = "".join(map(stream.push, ids)) + stream.finish()
    if tokenizer.bytewise and shown != tokenizer.decode(ids):
        raise Finding(f"a stream of {ids[:20]} is {shown[:200]!r}")


def _merges(tokenizer: Tokenizer, text: str) -> None:
    try:
        ids = [token for piece in tokenizer.merges(text) for token in piece.ids]
    except InputError as error:
        if "has no merges" in str(error):
            return
        raise
    if ids != tokenizer.encode(text):
        raise Finding(f"the merges make {ids[:20]}, the text is {tokenizer.encode(text)[:20]}")


def _special(tokenizer: Tokenizer, text: str) -> None:
    tokenize_text(tokenizer, [text], special=True)
    tokenizer.decode(tokenizer.prefix_ids)


def _write(folder: Path) -> None:
    """Generate, as ``gptcli generate`` does."""
    checkpoint = open_checkpoint(str(folder), Placement(device="cpu", dtype="float32"))
    request = Request(["the king"], Sampling(), Limits(3, checkpoint.eos_ids), seed=1)
    writing = Writing(checkpoint.engine, checkpoint.tokenizer, request, n_vocab=checkpoint.n_vocab)
    for _ in writing:
        pass
    for completion in writing.completions:
        writing.record(completion)


def _chat(folder: Path) -> None:
    """Lay turns out, as ``gptcli chat`` does."""
    checkpoint = read_checkpoint(str(folder))
    starting_sampling(Sampling(), set(), checkpoint.generation)
    chosen = read_chat_templates(folder).choose()
    if chosen is None:
        return
    prompts = TemplateLayout(chosen, renderer()).prompts(checkpoint.tokenizer, checkpoint.n_vocab)
    prompts.end_ids()
    turns = [Turn("user", "Hi <|endoftext|>"), Turn("assistant", "</think>\n\nYes?", (1, 2)), Turn("user", TEXTS[0])]
    prompt = prompts.prompt("Be kind", turns, 10_000, 10_000)
    if not all(0 <= token < checkpoint.n_vocab for token in prompt.ids):
        raise Finding(f"an id of a prompt is none of the {checkpoint.n_vocab}")


@functools.cache
def renderer() -> Renderer:
    """The process that renders all templates."""
    return Renderer()


def _write_kept(folder: Path) -> None:
    """Run it in 8 and 4 bits with what its user's cache holds: the numbers are those without, or both are refused."""
    refused: list[GptcliError] = []
    for quantize in KINDS:
        answers: list[Any] = []
        for cache in (CACHE, "no-cache"):
            with using_cache(folder / cache):
                try:
                    engine = open_checkpoint(
                        str(folder), Placement(device="cpu", quantize=quantize), inside=False
                    ).engine
                    answers.append(engine.prefill([[1, 2, 3]], 4))
                except GptcliError as error:
                    answers.append(error)
        kept, plain = answers
        if isinstance(kept, GptcliError) and isinstance(plain, GptcliError):
            refused.append(kept)
        elif isinstance(kept, GptcliError) or not np.array_equal(kept, plain, equal_nan=True):
            raise Finding(f"{quantize}: other numbers from the cache: {str(kept)[:300]}, without {str(plain)[:300]}")
    if refused:
        raise refused[0]


def _look_up(folder: Path) -> None:
    """Look a word up, as ``gptcli neighbors`` does."""
    embedding = open_embedding(str(folder))
    embedding.vector(embedding.vocabulary.rows("king"))
    embedding.vocabulary.name(embedding.matrix.shape[0] - 1)


def _believe(folder: Path) -> None:
    """Take it for what a hub answered, as ``gptcli params`` does of a model there."""
    if not (folder / "answer.json").is_file() or not (folder / "listing.json").is_file():
        return
    refused: list[GptcliError] = []
    for work in (_believe_list, _believe_start, _believe_headers):
        try:
            work(folder)
        except GptcliError as error:
            refused.append(error)
            if fault := _unclear(str(error), folder):
                raise Finding(f"{work.__name__}: {fault}") from error
    if refused:
        raise refused[0]


def _believe_list(folder: Path) -> None:
    listing = read_listing((folder / "listing.json").read_bytes(), "main")
    if not hub_check.COMMIT.fullmatch(listing.commit):
        raise Finding(f"a commit that is none: {listing.commit!r}")
    for file, nbytes in listing.sizes.items():
        if (folder / file).parent != folder or file in ("", ".", ".."):
            raise Finding(f"a file that lies elsewhere: {file!r}")
        if nbytes is not None and (type(nbytes) is not int or nbytes < 0):
            raise Finding(f"a size that is none: {nbytes!r}")


def _believe_start(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes() if (folder / "model.safetensors").is_file() else b""
    length = header_length(data, folder / "model.safetensors", len(data))
    parse_header(data[8 : 8 + length], folder / "model.safetensors", len(data))


def _believe_headers(folder: Path) -> None:
    http = http_library()
    try:
        told = json.loads((folder / "answer.json").read_bytes())
        asked = {} if told["range"] is None else {"Range": told["range"]}
        request = http.Request(told["method"], told["url"], headers=asked)
        headers = [(name.encode(), text.encode("utf-8", "surrogatepass")) for name, text in told["headers"].items()]
        answer = http.Response(told["status"], headers=headers, request=request)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, http.InvalidURL):
        return  # nothing that the HTTP library would hand on
    watch = Watch("it", 1_000)
    seen, limit = hub_check.check(request, answer, watch)
    if limit > watch.at_most:
        raise Finding(f"a body of {limit} bytes is let through")
    for name, text in seen:
        form = FORMS.get(name)
        if not text.isascii() or not text.isprintable() or (form and not re.fullmatch(form, text)):
            raise Finding(f"{name}: {text!r} is let through")


# What the client may see of the headers that it goes by.
FORMS = {
    "etag": '"([0-9a-f]{40}|[0-9a-f]{64})"',
    "x-linked-etag": '"([0-9a-f]{40}|[0-9a-f]{64})"',
    "x-repo-commit": "[0-9a-f]{40}",
    "content-length": "[0-9]{1,16}",
    "x-linked-size": "[0-9]{1,16}",
    "content-range": "bytes [0-9]+-[0-9]+/[0-9]+",
    "retry-after": "[0-9]{1,6}",
    "location": r"https://[^/@]+(/.*|\?.*)?|/[^/].*|/",
}


if __name__ == "__main__":
    main()
