"""A seeded mutator: a healthy checkpoint's files -> broken ones. The same number makes the same mutant everywhere."""

import json
import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.pipelines import change_length, change_model, change_pipeline, hide_key
from tests.fuzz.values import any_text, any_value, broken_json

Files = dict[str, bytes]


@dataclass(frozen=True)
class Mutant:
    """One broken checkpoint.

    Attributes:
        number: makes it again.
        seed: the healthy checkpoint's name.
        kind: the mutator.
        files: by name, below the checkpoint's folder.
        links: name -> target, of symbolic links beside them.
    """

    number: int
    seed: str
    kind: str
    files: Files
    links: dict[str, str]

    def write(self, folder: Path) -> None:
        """Put it on the disk."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        for name, target in self.links.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)


def make(number: int, seeds: dict[str, Files]) -> Mutant:
    """The mutant of a number."""
    rng = random.Random(number)
    kind = rng.choices(list(KINDS), [weight for _, weight in KINDS.values()])[0]
    mutate, _ = KINDS[kind]
    able = [name for name, files in seeds.items() if _target(kind, files)]
    seed = rng.choice(sorted(able))
    files, links = dict(seeds[seed]), dict[str, str]()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutate(rng, files, links)
    return Mutant(number, seed, kind, files, links)


def _target(kind: str, files: Files) -> list[str]:
    """The files of a checkpoint that a kind of mutation can break."""
    return sorted(name for name in files if _BELONGS[kind](name))


def _pick(kind: str, rng: random.Random, files: Files) -> str:
    return rng.choice(_target(kind, files))


# A tree of JSON


def _change_tree(rng: random.Random, root: Any, *, depth: int = 0) -> Any:
    """Change one place of a JSON value: replace, remove, rename, repeat, or go on inside."""
    inside = isinstance(root, dict | list) and root
    if not inside or (depth and rng.random() < 0.25):
        return any_value(rng, like=root)
    if isinstance(root, list):
        return _change_list(rng, list(root), depth)
    made = dict(root)
    key = rng.choice(sorted(made))
    action = rng.random()
    if action < 0.1:
        del made[key]
    elif action < 0.2:
        made[any_text(rng)] = made.pop(key)
    elif action < 0.25:
        made[any_text(rng)] = any_value(rng, like=made[key])
    elif action < 0.35:
        made[key] = made[rng.choice(sorted(made))]
    else:
        made[key] = _change_tree(rng, made[key], depth=depth + 1)
    return made


def _change_list(rng: random.Random, made: list[Any], depth: int) -> list[Any]:
    place = rng.randrange(len(made))
    action = rng.random()
    if action < 0.15:
        del made[place]
    elif action < 0.3:
        made.insert(rng.randrange(len(made) + 1), made[place])
    elif action < 0.35:
        made *= rng.choice((2, 100))
    elif action < 0.45:
        rng.shuffle(made)
    else:
        made[place] = _change_tree(rng, made[place], depth=depth + 1)
    return made


def _write_tree(rng: random.Random, value: Any) -> bytes:
    """JSON, now and then as no library writes it."""
    try:
        text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    except RecursionError:  # nested deeper than Python writes
        text = '{"a": [' * 100_000
    data = text.encode("utf-8", "surrogatepass")
    return broken_json(rng, data) if rng.random() < 0.12 else data


# The kinds of mutation


def _config(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    name = _pick("config", rng, files)
    fields = _parsed(files[name])
    if fields is not None and rng.random() < 0.7 and isinstance(fields, dict) and fields:
        numbers = [key for key, value in fields.items() if isinstance(value, int | float | list) or value is None]
        key = rng.choice(sorted(numbers or fields))
        fields = {**fields, key: any_value(rng, like=fields[key])}
    elif fields is not None:
        fields = _change_tree(rng, fields)
    files[name] = broken_json(rng, files[name]) if fields is None else _write_tree(rng, fields)


def _json_file(kind: str) -> Callable[[random.Random, Files, dict[str, str]], None]:
    def mutate(rng: random.Random, files: Files, links: dict[str, str]) -> None:
        name = _pick(kind, rng, files)
        value = _parsed(files[name])
        if name.endswith(".txt") or value is None:
            files[name] = _lines(rng, files[name])
        elif name == "tokenizer.json" and rng.random() < 0.5:
            hidden = isinstance(value, dict) and value and rng.random() < 0.05
            files[name] = hide_key(rng, value) if hidden else _write_tree(rng, _tokenizer(rng, value))
        else:
            files[name] = _write_tree(rng, _change_tree(rng, value))

    return mutate


def _lines(rng: random.Random, data: bytes) -> bytes:
    """A text file with a line changed, repeated, swapped or made of other bytes."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    action = rng.randrange(6)
    if action == 0:
        del lines[place]
    elif action == 1:
        lines.insert(place, rng.choice(lines))
    elif action == 2:
        rng.shuffle(lines)
    elif action == 3:
        lines[place] = any_text(rng).encode("utf-8", "surrogatepass")
    elif action == 4:
        lines[place] = rng.randbytes(rng.choice((1, 5, 1000)))
    else:
        lines[place] *= rng.choice((2, 10_000)) if len(lines[place]) < 1_000 else 2
    return b"\n".join(lines)


def _tokenizer(rng: random.Random, root: Any) -> Any:
    """The mutations that only make sense in a tokenizer.json."""
    if not isinstance(root, dict) or not isinstance(root.get("model"), dict):
        return _change_tree(rng, root)
    root = json.loads(json.dumps(root))
    model, ids = root["model"], root["model"].get("vocab")
    action = rng.choice((0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7))
    if action == 0 and isinstance(ids, dict) and ids:
        ids[rng.choice(sorted(ids))] = rng.choice((-1, 2**31, 2**63, 10**30, 0, 1, 0.5, True, None, "7", 2**31 - 1))
    elif action == 1 and isinstance(ids, dict) and ids:
        del ids[rng.choice(sorted(ids))]
    elif action == 2 and isinstance(model.get("merges"), list):
        pair = rng.choice((["zz", "qq"], ["", "a"], "a", "a b c", ["a"], [1, 2], None, ["a", "b", "c"]))
        model["merges"].insert(rng.randrange(len(model["merges"]) + 1), pair)
    elif action == 3:
        change_pipeline(rng, root)
    elif action == 4:
        content = rng.choice(("", "a", "\x1b[31m", "[bold]", " ", "\ud800", "x" * 100_000, "king", "\u202e"))
        token = {"id": rng.choice((0, 5, 299, 300, 10**6, 2**31 - 1, -1)), "content": content}
        flags = {name: rng.random() < 0.5 for name in ("special", "lstrip", "rstrip", "single_word", "normalized")}
        known = root.get("added_tokens")
        root["added_tokens"] = [*(known if isinstance(known, list) else []), token | flags]
    elif action == 5:
        change_model(rng, root)
    elif action == 6:
        change_length(rng, root)
    else:
        return _change_tree(rng, root)
    return root


def _header(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    name = _pick("header", rng, files)
    data = files[name]
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    header, body = data[8 : 8 + length], data[8 + length :]
    action = rng.random()
    if action < 0.12:
        length = rng.choice((0, 1, 2**64 - 1, 2**63, 10**8, 10**8 + 1, length + 1, length - 1, len(data)))
        files[name] = struct.pack("<Q", min(max(length, 0), 2**64 - 1)) + data[8:]
        return
    if action < 0.2:
        body = rng.choice((body[:-1], body + b"\0", body[: len(body) // 2], b"", body * 2))
    entries = _parsed(header)
    if not isinstance(entries, dict) or not entries or action > 0.97:
        header = broken_json(rng, header)
    elif action < 0.3:
        header = _twice(rng, entries)
    else:
        header = _write_tree(rng, _entries(rng, entries))
    files[name] = struct.pack("<Q", len(header)) + header + body


def _twice(rng: random.Random, entries: dict[str, Any]) -> bytes:
    """A key, or a field, that stands there twice: which one counts is nobody's to say."""
    name = rng.choice(sorted(entries))
    again = json.dumps({name: entries[rng.choice(sorted(entries))]})
    return (json.dumps(entries)[:-1] + "," + again[1:]).encode()


def _entries(rng: random.Random, entries: dict[str, Any]) -> dict[str, Any]:
    """A header with one tensor told wrong."""
    names = [name for name, entry in entries.items() if isinstance(entry, dict) and "shape" in entry]
    if not names or rng.random() < 0.25:
        changed = _change_tree(rng, entries)
        return changed if isinstance(changed, dict) else {"x": changed}
    name = rng.choice(names)
    entry = dict(entries[name])
    offsets, shape = entry.get("data_offsets"), entry.get("shape")
    action = rng.randrange(7)
    if action == 0 and isinstance(offsets, list) and len(offsets) == 2:
        shift = rng.choice((1, -1, 4, -4, 10**6, 2**63, -(2**63)))
        moved = rng.choice(((shift, shift), (0, shift), (shift, 0)))
        entry["data_offsets"] = [place + by for place, by in zip(offsets, moved, strict=True) if isinstance(place, int)]
    elif action == 1:
        entry["dtype"] = rng.choice(("F64", "F16", "BF16", "I8", "BOOL", "F4", "F8_E4M3", "f32", "", 7, None, "U64"))
    elif action == 2 and isinstance(shape, list):
        entry["shape"] = rng.choice((shape[::-1], [*shape, 1], [2**32, 2**32], [0], [], [1] * 1000, [*shape, 0], [-1]))
    elif action == 3:
        other = entries[rng.choice(names)]
        entry = {**entry, "data_offsets": other.get("data_offsets")} if isinstance(other, dict) else entry
    elif action == 4:
        return {**entries, any_text(rng): entry}
    elif action == 5:
        swapped = rng.choice(names)
        return {**entries, name: entries[swapped], swapped: entry}
    else:
        entry = _change_tree(rng, entry)
    return {**entries, name: entry}


def _weights(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    """Numbers that are none, or too large, in the tensors' bytes."""
    name = _pick("weights", rng, files)
    data = bytearray(files[name])
    start = 8 + struct.unpack("<Q", bytes(data[:8]))[0]
    for _ in range(rng.choice((1, 1, 10))):
        value = rng.choice((float("nan"), float("inf"), float("-inf"), 3e38, -3e38, 1e-45))
        place = start + 4 * rng.randrange(max((len(data) - start) // 4, 1))
        data[place : place + 4] = struct.pack("<f", value)
    files[name] = bytes(data)


def _index(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    name = _pick("index", rng, files)
    index = _parsed(files[name])
    shards = sorted(shard for shard in files if shard.endswith(".safetensors"))
    action = rng.randrange(7)
    if action == 0 and shards:
        del files[rng.choice(shards)]
    elif action == 1 and shards:
        shard = rng.choice(shards)
        links[shard] = rng.choice(
            ("/etc/passwd", "../../../../etc/passwd", "/dev/zero", shard, "nowhere", "/dev/stdin")
        )
    elif action == 2 and len(shards) > 1:
        files[shards[0]] = files[shards[1]]
    elif isinstance(index, dict) and isinstance(index.get("weight_map"), dict) and index["weight_map"] and action < 6:
        key = rng.choice(sorted(index["weight_map"]))
        place = rng.choice((*PLACES, *shards, any_text(rng), any_value(rng)))
        files[name] = _write_tree(rng, {**index, "weight_map": {**index["weight_map"], key: place}})
    elif index is not None:
        files[name] = _write_tree(rng, _change_tree(rng, index))


def _answer(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    """An answer of a hub with one of its headers told otherwise, or another status, or to another request."""
    name = _pick("answer", rng, files)
    answer = _parsed(files[name])
    if not isinstance(answer, dict) or not isinstance(answer.get("headers"), dict) or not answer["headers"]:
        return
    headers, action = dict(answer["headers"]), rng.random()
    header = rng.choice(sorted(headers))
    if action < 0.15:
        answer = {**answer, "status": rng.choice((200, 206, 302, 307, 404, 429, 503, 100, 204, 304, 600, 999))}
    elif action < 0.25:
        answer = {**answer, "method": rng.choice(("HEAD", "GET"))}
    elif action < 0.35:
        answer = {**answer, "range": rng.choice((None, "bytes=0-97", "bytes=5-", "bytes=-5", "bytes=9-1", "x"))}
    elif action < 0.5:
        del headers[header]
    elif action < 0.6:
        headers[header] = headers[rng.choice(sorted(headers))]
    elif action < 0.8:
        headers[header] = rng.choice(HEADERS)
    else:
        headers[header] = any_text(rng)
    files[name] = json.dumps({**answer, "headers": headers}).encode()


# What a header may be said to be.
HEADERS = (
    *(
        "../../../x",
        "/etc/passwd",
        '"/x/y.pth"',
        "W/W/x",
        "a" * 40,
        '"' + "A" * 40 + '"',
        "b" * 64,
        "..",
        "",
        " ",
        "\x00",
    ),
    *(
        "-1",
        "+1",
        "1_0",
        "0x10",
        "\u0663",
        "9" * 30,
        "9" * 5_000,
        "1e9",
        "bytes 0-97/*",
        "bytes 0-97/1",
        "bytes 9-1/99",
    ),
    *("file:///etc/passwd", "http://hub.example/", "//other.example/x", "/x", "x", "?", "#", "https://", "http://[::"),
    *("https://a:b@x/", "https://x:99999/", "https://x:-1/", "javascript:x", "https://" + "a" * 300 + "/", "\\\\x\\y"),
)
LINKS = ("/etc/passwd", "../../../../etc/passwd", "/dev/zero", "nowhere", "/dev/stdin")
PLACES = ("/etc/passwd", "../x.safetensors", "..", ".", "", "a/b.safetensors", "C:\\x", "config.json", "x" * 5000, "\0")


def _bytes(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    """Any file with bytes changed, cut, repeated, or gone."""
    name = rng.choice(sorted(files))
    data = files[name]
    action = rng.randrange(7)
    place = rng.randrange(len(data) or 1)
    if action == 0:
        files[name] = data[:place]
    elif action == 1:
        files[name] = data[:place] + rng.randbytes(rng.choice((1, 8, 100))) + data[place:]
    elif action == 2:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 4, 50)) if data else 0):
            # Mostly near the start, where the headers are.
            changed[min(int(rng.expovariate(1 / 400)), len(data) - 1)] ^= 1 << rng.randrange(8)
        files[name] = bytes(changed)
    elif action == 3:
        files[name] = data[place : place + 100] + data
    elif action == 4:
        files[name] = rng.choice((b"", b"\0" * 100, b"version https://git-lfs.github.com/spec/v1\n", b"\xff\xfe{\0}\0"))
    elif action == 5 and len(files) > 1:
        del files[name]
    else:
        files[name] = files[rng.choice(sorted(files))]


# What a template may be made of that does not come to an end, or asks for what is not there.
STATEMENTS = (
    "{% for i in range(10**5) %}{% for i in range(10**5) %}",
    *("{{ 'a' * 10**10 }}", "{{ [0] * 10**9 }}", "{% for i in range(10**9) %}", "{{ f() }}", "{% generation %}"),
    *("{% macro f() %}{{ f() }}{% endmacro %}", "{{ raise_exception('no\x1b[31m\n' * 900) }}", "{% break %}"),
    *("{% set ns = namespace(x='a') %}", "{% set ns.x = ns.x * 9**6 %}", "{{ ns.x }}", "{{ ''.__class__ }}"),
    *("{% endfor %}", "{% endif %}", "{% if messages %}", "{#", "{{", "}}", "%}", "\x00", "\ud7ff", "<|endoftext|>"),
    *("{{ messages[9].x }}", "{{ 1/0 }}"),
)


def _template(rng: random.Random, files: Files, links: dict[str, str]) -> None:
    """The chat template with statements put in, taken out, or doubled."""
    text = files[TEMPLATE].decode(errors="replace")
    pieces = [piece for piece in re.split(r"(\{[{%#].*?[}%#]\})", text, flags=re.DOTALL) if piece]
    for _ in range(rng.choice((1, 2, 4))):
        place = rng.randrange(len(pieces) + 1)
        if rng.random() < 0.5 or place == len(pieces):
            # Those that only the clock ends take long: rarely.
            pieces.insert(place, rng.choice(STATEMENTS[1:] if rng.random() < 0.98 else STATEMENTS[:1]))
        elif rng.random() < 0.5:
            pieces.insert(place, pieces[rng.randrange(len(pieces))])
        else:
            del pieces[place]
    files[TEMPLATE] = "".join(pieces).encode()


def _parsed(data: bytes) -> Any:
    """The JSON value of some bytes, or None where they hold none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json")
_DECLARED = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
TEMPLATE = "chat_template.jinja"
_BELONGS: dict[str, Callable[[str], bool]] = {
    "header": lambda name: name.endswith(".safetensors"),
    "weights": lambda name: name.endswith(".safetensors"),
    "index": lambda name: name.endswith(".index.json"),
    "config": lambda name: name == "config.json",
    "tokenizer": lambda name: name in _TOKENIZER_FILES,
    "declared": lambda name: name in _DECLARED,
    "listing": lambda name: name == "listing.json",
    "answer": lambda name: name == "answer.json",
    "template": lambda name: name == TEMPLATE,
    "bytes": lambda name: True,
}
# Name -> the mutator and how often it is drawn.
KINDS: dict[str, tuple[Callable[[random.Random, Files, dict[str, str]], None], int]] = {
    "header": (_header, 6),
    "weights": (_weights, 1),
    "index": (_index, 3),
    "config": (_config, 5),
    "tokenizer": (_json_file("tokenizer"), 6),
    "declared": (_json_file("declared"), 1),
    "listing": (_json_file("listing"), 2),
    "answer": (_answer, 3),
    "template": (_template, 2),
    "bytes": (_bytes, 3),
}
