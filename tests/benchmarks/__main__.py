"""Everything that is measured beside the peers, in one run: ``make bench``, or ``python -m tests.benchmarks``.

    make bench                                  all of it: under half an hour on two cores
    make bench ONLY=tales,gpt2                  some of it: tales, gpt2, gpt2-medium, startup, growth, neighbours;
                                                and by name only: gpt2-xl, pythia-160m, gpt-neo-125m, smollm2-135m,
                                                qwen2.5-0.5b, contexts, large (20 GB of disk)
    make bench ONLY=gpt2-xl RUNS=3              it takes 6 minutes a run
    make bench PEERS=/somewhere/venv            the peers' environment; made where it is not there

The machine must have nothing else to do. What is measured says whether that was so, and RESULTS.md with it.
"""

import argparse
import datetime
from pathlib import Path

from gptcli.measuring.speed import use_threads
from gptcli.system.threads import default_threads
from tests.benchmarks import bench_decode, bench_growth, bench_large, bench_neighbours, bench_startup, results
from tests.benchmarks.environment import HERE, install, missing, say
from tests.benchmarks.machine import Watch, facts, processor

FAMILIES = ("pythia-160m", "gpt-neo-125m", "smollm2-135m", "qwen2.5-0.5b")
MODELS = ("tales", "gpt2", "gpt2-medium", "gpt2-xl", *FAMILIES)
MORE = ("startup", "growth", "contexts", "large", "neighbours")
DEFAULT = ("tales", "gpt2", "gpt2-medium", "startup", "growth", "neighbours")
# So that all of it stays under half an hour on two cores. What is asked for by name gets all of its runs.
RUNS_AT_MOST = {"gpt2-medium": 3}


def main() -> None:
    """Measure, and write the results of this kind of processor; a part of it gets a section of its own."""
    given = _arguments()
    given.peers = given.peers.absolute()
    only = given.only or list(DEFAULT)
    use_threads(given.threads)
    threads = default_threads()
    watch = Watch()
    watch.wait()
    without = {}
    if set(only) != {"neighbours"}:
        install(given.peers)
        without = missing(given.peers)
    for name, reason in without.items():
        say(f"without {name}: {reason}")
    common = {"runs": given.runs, "threads": threads, "watch": watch}
    at_most = {} if given.only else RUNS_AT_MOST
    runs = {name: min(given.runs, at_most.get(name, given.runs)) for name in only if name in MODELS}
    found = [bench_decode.measure(name, given.peers, list(without), **common | {"runs": runs[name]}) for name in runs]
    parts = [results.model_section(measured) for measured in found]
    if "startup" in only:
        parts.append(results.startup_section(bench_startup.measure(given.peers, list(without), **common)))
    if "growth" in only:
        parts.append(results.growth_section(*bench_growth.measure(given.peers, runs=given.runs, watch=watch)))
    if "contexts" in only:
        parts.append(results.contexts_section(bench_growth.contexts(given.peers, watch=watch)))
    if "large" in only:
        large = bench_large.measure(given.peers, runs=given.runs, threads=threads, watch=watch)
        parts.append(results.large_section(large))
    if "neighbours" in only:
        found_shared = bench_neighbours.measure(given.former, runs=given.runs, watch=watch)
        parts.append(results.neighbours_section(found_shared))
    command = f"make bench ONLY={','.join(only)}" if given.only else "make bench"
    now = datetime.datetime.now(datetime.timezone.utc)
    about = facts() | {"date": f"{now:%Y-%m-%d}", "command": f"`{command}`, {_told(given.runs, runs)}"}
    about |= {"versions": results.versions(found)} if found else {}
    troubles = watch.troubles()
    title = ", ".join([processor(), *(given.only or [])])
    section = results.head(title, about, watch.told(), troubles, without) + "\n" + "\n".join(parts)
    results.write(given.out, title, section)
    for trouble in troubles:
        say(f"THE MACHINE WAS NOT QUIET: {trouble}")
    say(f"wrote {given.out}")


def _told(runs: int, by_model: dict[str, int]) -> str:
    """How many runs there were of each measurement."""
    fewer = [f"{count} of {name}" for name, count in by_model.items() if count < runs]
    return ", ".join([f"{runs} runs", *fewer])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="gptcli's speed beside others'.")
    parser.add_argument("--only", type=_names, help=f"of {', '.join((*MODELS, *MORE))}, with commas")
    parser.add_argument("--peers", type=Path, default=HERE / ".peers", help="the peers' environment")
    parser.add_argument("--runs", type=int, default=7, help="of each measurement")
    parser.add_argument("--threads", type=int, help="of every program; one a core")
    parser.add_argument("--former", type=Path, help="neighbours: the folder of a libgptcli.so to compare with")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in (*MODELS, *MORE)]:
        raise argparse.ArgumentTypeError(f"no {unknown[0]} here")
    return names


if __name__ == "__main__":
    main()
