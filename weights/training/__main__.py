"""The command line: ``python -m weights.training``."""

import typer

import weights.training
from weights.training.evaluate import evaluate
from weights.training.export import export
from weights.training.prepare import prepare
from weights.training.train import train

app = typer.Typer(
    help=weights.training.__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
for command in (prepare, train, export, evaluate):
    app.command()(command)

if __name__ == "__main__":
    app(prog_name="python -m weights.training")
