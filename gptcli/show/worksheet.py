"""``gptcli tour --worksheet``: the tour as questions for a class, with the answers on a second sheet, in Markdown."""

from collections.abc import Callable, Sequence

from gptcli.show.pointing import pointed_at
from gptcli.show.terminal.watching import recorded
from gptcli.show.tour import LIVE, Stop


def write_worksheet(stops: "Sequence[Stop]", run: "Callable[[Stop], None]") -> None:
    """Print the worksheet.

    Args:
        stops: those of the lesson.
        run: runs the command of a stop; its answer is what the second sheet says.
    """
    print("# A walk through a GPT\n")
    print("Run each command, look at what it shows, and answer. No network and no account is needed.\n")
    for stop in stops:
        print(f"## {stop.number}. {stop.title}\n\n{stop.text}\n\n```sh\n{stop.command}\n```\n")
        print(f"**Question.** {stop.question}\n\nYour answer:\n\n\n")
    print("---\n\n# Answers\n")
    print("What the commands above show with the models that come with gptcli.\n", flush=True)
    for stop in stops:
        print(f"{stop.number}. *{stop.question}* {_answer(stop, run)}\n", flush=True)


def _answer(stop: Stop, run: "Callable[[Stop], None]") -> str:
    """What the command of a stop says, and what is to be learnt from it."""
    if stop.arguments[0] in LIVE:
        return stop.answer
    with recorded() as (_, answers):
        run(stop)
    return f"{pointed_at(answers[-1])} {stop.answer}".strip() if answers else stop.answer
