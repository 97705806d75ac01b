"""``gptcli schema``: what ``--json`` prints, as a JSON Schema."""

from typing import Annotated

import typer


def schema(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", show_default=False, help="Its words; else all commands.")
    ] = None,
) -> None:
    """Print the JSON Schema of what a command's --json prints.

    The first key of each object is schema, with the name of its form and a
    version: the number grows when a key is renamed, removed or changes its
    meaning. A command with several forms (tokenize --count) has oneOf them.

    \b
    gptcli schema logits
    gptcli schema models show | jq .properties.files
    gptcli logits "The king" --json | check-jsonschema --schemafile <(gptcli schema logits) -
    """
    from gptcli.cli.answers import answers_of
    from gptcli.show.terminal.console import print_json
    from gptcli.show.terminal.json_schema import json_schema

    print_json(json_schema(answers_of(" ".join(command or []))))
