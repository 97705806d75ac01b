"""A result's table as CSV and Markdown: exact to read back, and with the names of the JSON."""

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.errors import InputError
from gptcli.show.terminal.tables import TableWriter, table_text
from gptcli.system.answer import rows_of


@dataclass(frozen=True)
class Inner:
    id: int
    token: bytes
    share: float


@dataclass(frozen=True)
class Item:
    rank: int
    label: str | bytes
    best: Inner | None
    yes: bool
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    table: ClassVar[str] = "items"
    items: list[Item]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def cells(markdown: str) -> list[list[str]]:
    """The cells of a table as GitHub's Markdown shows them."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append("".join(each.content for each in token.children or []))
    return rows


ANSWER = Answer(
    [
        Item(1, b' a,"b"\n', Inner(7, b"\xe2\x82", 0.1 + 0.2), True, (2, 3)),
        Item(2, "x|y", None, False, ()),
    ]
)


def test_rows_have_dotted_names_and_bytes() -> None:
    first, second = rows_of(ANSWER)
    assert first == {
        "rank": 1,
        "label": ' a,"b"\n',
        "bytes": None,
        "best.id": 7,
        "best.token": "\ufffd",
        "best.bytes": "e282",
        "best.share": 0.1 + 0.2,
        "yes": True,
        "sizes": (2, 3),
    }
    assert list(second) == list(first)
    assert [second[name] for name in second if name.startswith("best")] == [None] * 4


def test_csv_is_rfc_4180_and_exact() -> None:
    text = table_text(ANSWER, "csv")
    assert text.count("\r\n") == 3
    first, second = read(text)
    assert first["label"] == ' a,"b"\n'
    assert float(first["best.share"]) == 0.1 + 0.2
    assert (first["yes"], first["sizes"], first["best.bytes"]) == ("true", "[2, 3]", "e282")
    assert (second["best.id"], second["label"]) == ("", "x|y")


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)), min_size=1))
def test_any_text_and_number_comes_back(items: list[tuple[str, float]]) -> None:
    made = Answer([Item(number, text, Inner(1, b"", share), True, ()) for number, (text, share) in enumerate(items)])
    assert [(row["label"], float(row["best.share"])) for row in read(table_text(made, "csv"))] == items


def test_markdown_is_a_table_whatever_its_cells_hold() -> None:
    odd = ["a|b", "`", "*x*", "__init__", "a_b", "<b>", " lead", "tail ", "[a](b)", "\\|", " `|` ", "line\nbreak", "#"]
    made = Answer([Item(number, text, None, True, ()) for number, text in enumerate(odd)])
    rows = cells(table_text(made, "md"))
    assert rows[0] == ["rank", "label", "best.id", "best.token", "best.share", "yes", "sizes"]
    assert [row[1] for row in rows[1:]] == [text.replace("\n", "⏎") for text in odd]
    assert "---:" in table_text(made, "md").splitlines()[1]


def test_several_answers_have_one_heading() -> None:
    for form, heads in (("csv", 1), ("md", 2)):
        written: list[str] = []
        writer = TableWriter(form, written.append)  # type: ignore[arg-type]
        writer.add(rows_of(ANSWER))
        writer.add(rows_of(ANSWER))
        assert len(written) == 1 + 4
        assert written[0].count("\n") == heads


def test_what_is_no_table_is_said() -> None:
    with pytest.raises(InputError, match="no table"):
        table_text(3, "csv")
    assert table_text(Answer([]), "csv") == table_text(Answer([]), "md") == ""
    assert math.isinf(float("inf"))


# A command, its table's columns in order, and where its JSON has the same rows.
TABLES: dict[str, tuple[str, str, str]] = {
    "logits": ("logits 日 -t 0.5,2 --top 3 --watch king", "temperature,rank,id,token,bytes,logit", ""),
    "positions": ("logits The_king --all-positions", "position,id,token,bytes,best.id", "positions"),
    "score": ("score The_king", "position,id,token,bytes,probability", "tokens"),
    "summary": ("score The_king --summary", "model,text,n_tokens,scored,logprob", ""),
    "tokenize": ("tokenize 日_x", "position,id,token,bytes,piece,start,end", "tokens"),
    "count": ("tokenize --count The_king", "n_tokens,n_characters,n_bytes", ""),
    "merges": ("tokenize --merges heroes", "piece,rank,left.token,left.bytes,right.token", ""),
    "neighbors": ("neighbors king -m tales --top 3", "rank,id,token,bytes,similarity,in_query", "neighbors"),
    "analogy": ("analogy king-man+woman --top 3", "rank,id,token,bytes,similarity", "neighbors"),
    "direction": ("direction cats-cat dog dogs", "label,dot", "products"),
    "similarity": ("similarity king queen apple", "first,second,similarity", ""),
    "map": ("map king queen apple", "label,bytes,ids,neighbor_of,similarity,PC1,PC2", ""),
    "params": ("params gpt3", "name,n_rows,n_columns,n_heads", ""),
    "tensors": ("params glove-50d", "name,dtype,shape,n_tensors", ""),
    "config": ("trace --config gpt3", "name,layer,head,shape", "steps"),
    "list": ("models list", "where,repo,model,family", ""),
    "show": ("models show tales", "fact,value,how,source", ""),
    "keys": ("models show tales --keys", "key,ours,dtype,shape,done,file", "tensors"),
    "glossary": ("glossary", "term,also,group", "terms"),
    "softmax": ("softmax cat=3 1 -t 0.5,2", "temperature,", ""),
}
SLOW = {
    "lens": ("lens The_king", "layer,sublayer,position,id,token,bytes,probability", ""),
    "attribution": ("lens The_king --attribution", "id,token,bytes,kind,layer,head,logit", ""),
    "attention": ("attention The_king --layer 1", "layer,head,query,key,value", ""),
    "trace": ("trace The_king", "name,layer,head,shape", "steps"),
    "ablate": ("ablate The_king", "layer,part,head,effect", ""),
    "patch": ("patch The_king The_queen", "part,layer,position,restored", ""),
    "neurons": ("neurons The_king --layer 1 --top 2", "position,id,token,bytes,layer,neuron", ""),
    "head": ("head 1.1 --no-kind --tokens 50", "what,for.id,for.token,for.bytes,id,token,bytes", ""),
    "contexts": ("similarity --in-context [king] a_[king]", "first,second,layer,similarity", ""),
}
QUICK = ("logits", "tokenize", "neighbors", "similarity", "params", "list")
ALL = [
    *QUICK,
    *(pytest.param(name, marks=pytest.mark.slow) for name in (*TABLES, *SLOW) if name not in QUICK),
]


def run(command: str, *more: str) -> Any:
    done = CliRunner().invoke(app, [*(word.replace("_", " ") for word in command.split()), *more])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("name", ALL)
def test_every_table_of_a_command(name: str) -> None:
    command, columns, listed = (TABLES | SLOW)[name]
    rows = read(run(command, "--csv").stdout_bytes.decode())
    assert ",".join(rows[0]).startswith(columns)
    shown = cells(run(command, "--md").stdout)
    assert len(shown) == len(rows) + 1
    assert [head for head in rows[0] if head in shown[0]] == shown[0]
    if not listed:
        return
    for row, item in zip(rows, json.loads(run(command, "--json").stdout)[listed], strict=True):
        for key, value in item.items():
            if isinstance(value, float):
                assert float(row[key]) == value
            elif isinstance(value, (str, int)) and not isinstance(value, bool):
                assert row[key] == str(value)


def test_several_texts_have_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = Path("x.txt")
    lines.write_text("The king\nA bird\n", encoding="utf-8")
    scores = read(run(f"score --lines -f {lines}", "--csv").stdout_bytes.decode())
    assert [row["text"] for row in scores] == ["The king", "A bird"]
    assert [row["line"] for row in scores] == ["1", "2"]
    best = read(run(f"logits --lines -f {lines} --top 2", "--csv").stdout_bytes.decode())
    assert [(row["line"], row["rank"]) for row in best] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    counts = read(run(f"tokenize --count -f {lines} -f {lines}", "--csv").stdout_bytes.decode())
    assert [row["n_tokens"] for row in counts] == [counts[0]["n_tokens"]] * 2
    tokens = read(run(f"tokenize --lines -f {lines}", "--csv").stdout_bytes.decode())
    assert [row["token"] for row in tokens] == ["The", " king", "A", " bird"]


@pytest.mark.slow
def test_data_is_saved_by_suffix(tmp_path: Path) -> None:
    printed = run("neighbors tower --top 3", "--csv").stdout_bytes
    for suffix in ("csv", "md", "json"):
        done = run("neighbors tower --top 3", "--save", str(tmp_path / f"x.{suffix}"))
        assert re.search("tower", done.stdout)
    assert (tmp_path / "x.csv").read_bytes() == printed
    assert (tmp_path / "x.md").read_text(encoding="utf-8") == run("neighbors tower --top 3", "--md").stdout
    assert json.loads((tmp_path / "x.json").read_bytes())["schema"] == "gptcli.neighbors/1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("neighbors tower --csv --json", "--json and --csv contradict each other: use one of them"),
        ("neighbors tower --csv --md", "--csv and --md contradict each other: use one of them"),
        ("tokenize --ids x --csv", "--csv prints a table, and --ids has none"),
        ("neighbors tower --save x.xlsx", "must end in .svg, .png, .html, .txt, .csv, .md, .json"),
    ],
)
def test_mistakes_are_one_line(arguments: str, said: str) -> None:
    done = CliRunner().invoke(app, arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("charset", ["ascii", "cp1252"])
def test_csv_is_utf_8_whatever_stdout_is(charset: str) -> None:
    done = CliRunner(charset=charset).invoke(app, ["score", "日本 é", "--summary", "--csv"])
    assert read(done.stdout_bytes.decode("utf-8"))[0]["text"] == "日本 é"
