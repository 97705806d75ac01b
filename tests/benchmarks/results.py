"""RESULTS.md: one section for each kind of processor (or part of a run on it), each as its latest run left it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.bench_decode import PROMPT, WEIGHTS, Measured, Subject
from tests.benchmarks.bench_growth import Compared
from tests.benchmarks.bench_large import Large
from tests.benchmarks.bench_neighbours import Shared
from tests.benchmarks.bench_startup import Timed

INTRODUCTION = """\
# How fast gptcli is, beside others

Written by `make bench`; not to be edited. One section for each kind of processor, or for each part that was measured on
it by itself. Everything in a section was measured in one run, programs in turn, with as many threads each; figures are
medians, quartiles in brackets. The limit is the memory's read bandwidth, measured in the same round (until November 27
2026: the best of a run), divided by the bytes of weights that a token needs. What is measured, and how, stands at the
head of `tests/benchmarks/bench_decode.py` and `bench_startup.py`.

These machines are rented, and neighbours share what no measurement here can see: the memory, the third cache and, with
AMX, the unit that multiplies and serves two hardware threads. Within a day the same code read GPT-2 medium's float32
prompts at 272 and at 385 tokens/s. Figures of one section can be compared with each other, not with another's.
"""


def write(path: Path, processor: str, section: str) -> None:
    """Put a section in the place of the processor's former one, or behind the others."""
    sections = re.split(r"(?m)^(?=## )", path.read_text())[1:] if path.is_file() else []
    kept = {part.split("\n", 1)[0]: part.strip() for part in sections}
    kept[f"## {processor}"] = section.strip()
    path.write_text("\n\n".join([INTRODUCTION.strip(), *kept.values()]) + "\n")


def head(processor: str, facts: dict[str, str], quiet: str, troubles: Sequence[str], missing: dict[str, str]) -> str:
    """A section's title, the machine, and loudly what is wrong."""
    lines = [f"## {processor}", ""]
    if troubles:
        lines += [
            "> [!WARNING]",
            "> **THE MACHINE WAS NOT QUIET. THESE FIGURES ARE NOT TO BE TRUSTED.**",
            *(f"> {trouble[0].upper()}{trouble[1:]}." for trouble in troubles),
            "",
        ]
    lines += [f"- {name}: {fact}" for name, fact in (facts | {"quiet": quiet}).items()]
    lines += [f"- not installed: {name} ({_plain(reason)})" for name, reason in missing.items()]
    return "\n".join(lines) + "\n"


def model_section(found: Measured) -> str:
    """One model's table, and what it comes to beside the best peer."""
    bandwidth = spread([given / 1e9 for given in found.bandwidth])
    lines = [
        f"### {found.model}",
        "",
        f"Decoding {found.new} tokens after {PROMPT}, prefill of {found.prefill}. Memory gives {bandwidth} GB/s; one "
        f"token needs {found.parameters / 1e6:,.1f} million weights.",
        "",
        "| weights | program | decode, tokens/s | of the limit | prefill, tokens/s | loaded in | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for subject in found.subjects:
        share = found.of_limit(subject)
        of_limit = "" if share is None else f"{share:.2f}"
        cells = [subject.weights, subject.program, spread(subject.decode), of_limit, spread(subject.prefill)]
        cells += [f"{subject.about['load_s']:.2f} s", f"{subject.peak / 1e6:,.0f} MB"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_ratios(found)]
    lines += [f"- failed: {what}" for what in found.failed]
    lines += [f"- the first token after the long prompt is another in {program}" for program in found.others()]
    return "\n".join(lines) + "\n"


def startup_section(found: Sequence[Timed]) -> str:
    """Whole processes, task by task."""
    lines = ["### Whole processes", "", "| task | program | seconds | gptcli is faster | peak memory |"]
    lines.append("| --- | --- | --- | --- | --- |")
    own = {timed.task: median(timed.seconds) for timed in found if timed.program == "gptcli"}
    for timed in sorted(found, key=lambda timed: list(own).index(timed.task) if timed.task in own else len(own)):
        ratio = median(timed.seconds) / own[timed.task] if timed.task in own and timed.program != "gptcli" else None
        cells = [timed.task, timed.program, spread(timed.seconds), f"{ratio:.1f} x" if ratio else ""]
        lines.append(f"| {' | '.join([*cells, f'{median(timed.peak) / 1e6:,.0f} MB'])} |")
    return "\n".join(lines) + "\n"


def growth_section(found: Sequence[Compared], benches: Sequence[dict[str, Any]]) -> str:
    """What costs as work grows, and what ``gptcli bench`` says."""
    lines = [
        "### As work grows",
        "",
        "| what | seconds | beside | seconds | ratio of rates |",
        "| --- | --- | --- | --- | --- |",
    ]
    for compared in found:
        ratio = compared.amount * median(compared.their_seconds) / median(compared.our_seconds)
        cells = [compared.what, spread(compared.our_seconds), compared.beside, spread(compared.their_seconds)]
        lines.append(f"| {' | '.join([*cells, f'{ratio:.2f}'])} |")
    lines += ["", "`gptcli bench` on gpt2's shape; its limit counts keys and values too:", "", *_bench_rows(benches)]
    return "\n".join(lines) + "\n"


def contexts_section(found: dict[str, list[dict[str, Any]]]) -> str:
    """How decoding slows down with the text before it, model by model."""
    lines = ["### Long contexts", "", "`gptcli bench`; its limit counts keys and values too."]
    for model, benches in found.items():
        lines += ["", f"{model}:", "", *_bench_rows(benches)]
    return "\n".join(lines) + "\n"


def large_section(found: Large) -> str:
    """The first token of a model that fills a good part of the memory."""
    peak = median(found.peak)
    lines = [
        "### A model of 7B shape in 4 bits",
        "",
        "| kept form | first token of a whole process, s | peak memory | of the form |",
        "| --- | --- | --- | --- |",
        f"| {found.file / 1e9:.2f} GB | {spread(found.seconds)} | {peak / 1e9:.2f} GB | {peak / found.file:.2f} |",
    ]
    return "\n".join(lines) + "\n"


def _bench_rows(benches: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| weights | context | tokens/s | of the limit | load | peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for bench in benches:
        for row in bench["decoding"]:
            rate = row["tokens_per_s"]
            shown = f"{_digits(rate['median'])} ({_digits(rate['low'])} – {_digits(rate['high'])})"
            cells = [bench["weights"], f"{row['context']:,}", shown, f"{row['fraction']:.2f}"]
            cells += [f"{bench['load_s']:.2f} s", f"{(bench['peak_memory'] or 0) / 1e6:,.0f} MB"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def neighbours_section(found: Sequence[Shared]) -> str:
    """What busy neighbours cost, by the threads asked for."""
    asked = list(dict.fromkeys(threads for shared in found for _, threads in shared.milliseconds))
    lines = ["### Busy neighbours", "", "Milliseconds, by the number of threads asked for.", ""]
    lines.append(f"| busy programs | what | library | {' | '.join(map(str, asked))} | slowest of several / best |")
    lines.append("| --- " * (4 + len(asked)) + "|")
    for shared in found:
        for library in shared.libraries():
            times = [spread(shared.milliseconds[library, threads]) for threads in asked]
            cells = [str(shared.neighbours), shared.task, library, *times, f"{shared.worst(library):.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def versions(found: Iterable[Measured]) -> str:
    """What each program said that it is."""
    said = {s.program: s.about["version"] for measured in found for s in measured.subjects}
    return "; ".join(f"{program} {version}" for program, version in said.items())


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    if len(values) < 2:
        return ", ".join(map(_digits, values))
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return f"{_digits(middle)} ({_digits(low)} – {_digits(high)})"


def _ratios(found: Measured) -> list[str]:
    lines = []
    for weights in WEIGHTS:
        subjects = found.of(weights)
        ours = next((subject for subject in subjects if subject.program == "gptcli"), None)
        others = [subject for subject in subjects if subject is not ours]
        if ours is None or not others:
            continue
        parts = []
        for what in ("decode", "prefill"):
            rates: list[tuple[float, Subject]] = [(median(getattr(other, what)), other) for other in others]
            best, whose = max(rates, key=lambda pair: pair[0])
            parts.append(f"{what} {median(getattr(ours, what)) / best:.2f} x the best peer ({whose.program})")
        lines.append(f"- {weights}: {', '.join(parts)}")
    return lines


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _plain(text: str) -> str:
    return re.sub(r"[^ -~]|[|<>`]", "", text)
