"""``gptcli bench``: how fast a model runs here."""

from typing import Annotated

import typer

from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli import options
from gptcli.cli.option_groups import OutputOptions, grouped
from gptcli.errors import InputError
from gptcli.system.notices import notice, notices
from gptcli.text import quoted


@grouped
def bench(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", envvar="GPTCLI_MODEL", help="A folder, a .safetensors file, or a name."),
    ] = options.DEFAULT_MODEL,
    contexts: Annotated[
        str | None,
        typer.Option(metavar="N[,N...]", show_default="16,256,1000", help="Tokens of context to write after."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, show_default="one a core", help="Threads on the CPU.")
    ] = None,
    n_head: options.NHeadOption = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    quantize: options.QuantizeOption = options.Quantize.none,
    cache: options.CacheOption = options.Cache.auto,
    timeout: options.TimeoutOption = None,
    *,
    output: OutputOptions,
) -> None:
    """Measure a model: tokens a second, load time, memory, and the limit.

    To write a token, every weight is read from memory once. The bar shows how
    much of the memory's measured bandwidth the model uses.

    \b
    gptcli bench
    gptcli bench gpt2 --quantize int8
    gptcli bench gpt2 --contexts 1,100,1000 --threads 1 --json
    """
    wanted = _whole_numbers(contexts)

    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.measuring import speed as benchmark
    from gptcli.show.bench import draw, progress_line

    benchmark.use_threads(threads)
    busy = benchmark.busy_processors()
    placement = Placement(device.value, dtype.value, quantize.value, cache.value)
    checkpoint = open_checkpoint(model, placement, n_head=n_head, inside=False)
    notices(checkpoint.notes)
    lengths = benchmark.contexts_for(wanted, checkpoint.engine.n_positions)
    with progress_line() as progress:
        answer = benchmark.benchmark(checkpoint, lengths, busy=busy, progress=progress)
    if answer.busy is not None and answer.busy > benchmark.QUIET:
        notice(f"other processes use {answer.busy:.0%} of the processors: measure again when the machine is quiet")
    output.present(answer, lambda: draw(answer))


def _whole_numbers(contexts: str | None) -> list[int] | None:
    if contexts is None:
        return None
    numbers = options.number_list(contexts, "--contexts", "1,100,1000")
    if not all(number.is_integer() for number in numbers):
        raise InputError(f"--contexts {quoted(contexts)}: tokens are counted in whole numbers")
    return [int(number) for number in numbers]
