"""``gptcli generate``: text from a GPT."""

from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from gptcli.cli import options
from gptcli.cli.change_options import ChangeOptions
from gptcli.cli.chat_options import ChatOptions
from gptcli.cli.inputs import unescaped
from gptcli.cli.option_groups import EngineOptions, SamplingOptions, grouped, with_epilog
from gptcli.cli.texts import PANEL as INPUT
from gptcli.cli.texts import TextOptions, prompts_of
from gptcli.errors import InputError
from gptcli.system.text_file import read_text_file


class Overflow(str, Enum):
    """What happens at the end of the context."""

    slide = "slide"
    stop = "stop"


_LONGEST_PACE_S = 60.0
_LENGTH = "Length"
_OUTPUT = "Output"
_INSIDE = "Looking inside"

_EPILOG = """
The filters apply in the order in which --help lists them, then one token is drawn.

A model too large for one device: torchrun gives each of N processes (GPUs, where there are some) its part of it.

\b
torchrun --nproc-per-node 2 -m gptcli generate -m pythia-6.9b "In the beginning"
"""


@with_epilog(_EPILOG)
@grouped
def generate(
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="Text to continue; - reads stdin. Repeatable.")
    ] = None,
    *,
    texts: TextOptions,
    prompts_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same as -f FILE --lines.", rich_help_panel=INPUT)
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Answer the prompt, as in 'gptcli chat', instead of continuing it.")
    ] = False,
    bos: Annotated[bool, typer.Option("--bos", help="Put <|endoftext|> before the prompt.")] = False,
    max_new_tokens: Annotated[
        int,
        typer.Option(
            "--max-new-tokens", "-n", metavar="N", min=0, help="At most so many tokens.", rich_help_panel=_LENGTH
        ),
    ] = 100,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help=r"End before this text (\n is a newline). Repeatable.", rich_help_panel=_LENGTH
        ),
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Write on after <|endoftext|>.", rich_help_panel=_LENGTH)
    ] = False,
    overflow: Annotated[
        Overflow,
        typer.Option(help="When the context is full: drop its older half, or stop.", rich_help_panel=_LENGTH),
    ] = Overflow.slide,
    num_samples: Annotated[
        int,
        typer.Option(
            "--num-samples", "-N", metavar="N", min=1, help="Continuations of each prompt.", rich_help_panel=_LENGTH
        ),
    ] = 1,
    turns: ChatOptions,
    choosing: SamplingOptions,
    run: EngineOptions,
    changes: ChangeOptions,
    lookup: options.LookupOption = 0,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show what each token was chosen from; afterwards, ← goes back.",
            rich_help_panel=_INSIDE,
        ),
    ] = False,
    explain_top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=options.MOST_CANDIDATES,
            show_default="10",
            help="Candidates to list.",
            rich_help_panel=_INSIDE,
        ),
    ] = None,
    pick: Annotated[bool, typer.Option("--pick", help="Choose each token yourself.", rich_help_panel=_INSIDE)] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Repeat what --pick --json left, settings and all.", rich_help_panel=_INSIDE),
    ] = None,
    pace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=_LONGEST_PACE_S,
            callback=options.no_nan,
            show_default=False,
            help="Wait after each token, to be followed by a class.",
            rich_help_panel=_OUTPUT,
        ),
    ] = 0.0,
    no_echo: Annotated[bool, typer.Option("--no-echo", help="Leave the prompt out.", rich_help_panel=_OUTPUT)] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Speed and memory, on stderr.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a sample.", rich_help_panel=_OUTPUT)] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One object a token, streamed.", rich_help_panel=_OUTPUT)
    ] = False,
    save: options.SaveOption = None,
) -> None:
    """Continue a text, token by token, as the model would; or answer a question (--chat).

    \b
    gptcli generate "Once upon a time there was a"
    gptcli generate "The king" -t 0.7 -k 40 -n 200 --seed 1
    gptcli generate "Lily saw a" -N 3 -t 1.2 --no-echo
    echo "The old wolf" | gptcli generate --stop "." -n 60
    gptcli generate "A bird" --json | jq .completion
    gptcli generate --chat "Capital of France?" -m smollm2-135m-instruct
    gptcli generate --lines -f prompts.txt --json > written.jsonl
    gptcli generate --explain "Once upon a time"
    gptcli generate --pick "Once upon a time" --json > mine.json
    gptcli generate --replay mine.json
    gptcli generate "The forest was" --steer "layer:7: happy - sad * 12"
    """
    from gptcli.model.ranks import is_worker

    if is_worker():  # a torchrun process other than the one that reads the input and prints
        from gptcli.checkpoint.distributed import follow

        return follow(run.model, run.placement(), run.n_head, run.tokenizer)

    from gptcli.sampling.draw import seed_or_drawn
    from gptcli.show.terminal.keyboard import check_terminal

    # Before the model is loaded, so that a mistake in an option is reported at once.
    output = options.exclusive(json=as_json, jsonl=jsonl)
    others = {"explain": explain, "jsonl": jsonl, "stop": stop, "stats": stats, "num_samples": num_samples > 1}
    others |= {"pace": pace > 0}
    options.forbid_together("--pick", given=pick, **others)
    chosen = {name: value != getattr(SamplingOptions, name) for name, value in vars(choosing).items()}
    options.forbid_together(
        "--replay",
        given=replay is not None,
        **others,
        pick=pick,
        prompts_file=prompts_file,
        file=texts.file,
        lines=texts.lines,
        **chosen,
    )
    asked = {name: value != getattr(ChatOptions, name) or None for name, value in vars(turns).items()}
    options.require_owner("--chat", given=chat, **asked)
    options.forbid_together("--chat", given=chat, bos=bos, pick=pick, replay=replay)
    turns.check()
    changes.request()
    if replay is not None and prompt:
        raise InputError("--replay repeats what the file holds, so there is no PROMPT to give")
    options.require_owner("--explain", given=explain, explain_top=explain_top)
    options.at_most("--stop", stop, options.MOST_TEXTS)
    options.require_owner("--explain or --pick", given=explain or pick or replay is not None, save=save)
    stops = [each if texts.raw else unescaped(each) for each in stop or []]
    sampling = choosing.sampling()
    seed = seed_or_drawn(choosing.seed)
    if pick:
        check_terminal()
    groups = iter([[]]) if replay is not None else prompts_of(prompt or [], texts, prompts_file)
    prompts = next(groups) if not (pick or explain) else [each for group in groups for each in group]

    from gptcli.generation.logit_bias import with_logit_bias
    from gptcli.generation.loop import Limits
    from gptcli.generation.writing import Request, Writing
    from gptcli.model.lookup import with_lookup
    from gptcli.show import story
    from gptcli.show.writing_progress import write_counted

    if replay is not None:
        from gptcli.generation.pick.replay import read_record, replayed
        from gptcli.show.pick import show_draft

        recorded = read_record(read_text_file(replay), str(replay))
        changed = changes.open(run) if changes.given else run.open_shared()
        draft = replayed(recorded, changed, str(replay))
        return show_draft(draft, run.model, recorded.finish_reason, as_json=as_json, echo=not no_echo, save=save)

    layout = turns.layout(run.model) if chat else None
    checkpoint = changes.open(run) if changes.given else run.open_shared()
    sampling = with_logit_bias(sampling, checkpoint.tokenizer, choosing.logit_bias or [])
    no_echo = no_echo or chat
    scored = pick or output is not None
    engine = with_lookup(checkpoint.engine, lookup, checkpoint.config.epochs)

    def request(prompts: list[str]) -> Request:
        eos_ids, questions = checkpoint.eos_ids, None
        if layout is not None:
            from gptcli.generation.chat.asking import ask_each

            questions, ends = ask_each(
                layout,
                checkpoint.tokenizer,
                prompts,
                n_vocab=checkpoint.n_vocab,
                n_positions=engine.n_positions,
                max_new_tokens=max_new_tokens,
                stops=stops,
                system=turns.system,
                hide_thinking=turns.hide_thinking,
            )
            eos_ids = (*eos_ids, *ends)
        limits = Limits(max_new_tokens, () if ignore_eos else eos_ids, overflow.value)
        return Request(prompts, sampling, limits, seed, num_samples, stops, bos, scored, questions)

    def writing_of(prompts: list[str]) -> Writing:
        return Writing(
            engine,
            checkpoint.tokenizer,
            request(prompts),
            n_vocab=checkpoint.n_vocab,
            load_s=checkpoint.load_s,
            model=checkpoint.name,
            changes=checkpoint.changes,
        )

    if pick:
        from gptcli.generation.pick.draft import new_draft
        from gptcli.show.pick import write_picked

        draft = new_draft(checkpoint, request(prompts))
        return write_picked(draft, run.model, as_json=as_json, echo=not no_echo, save=save)
    if explain:
        from gptcli.show.explain_writers import write_explained

        writing = writing_of(prompts)
        write_explained(writing, output, top=explain_top or 10, echo=not no_echo, save=save, pace=pace)
        return story.show_stats(writing) if stats else None

    written = 0
    for group in chain([prompts], groups):
        writing = writing_of(group)
        write_counted(writing, output, echo=not no_echo, pace=pace, written=written)
        written += len(group)
        if stats:
            story.show_stats(writing)
