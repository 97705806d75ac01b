"""The completion script for zsh: one ``_arguments`` call for each command."""

from gptcli.cli.completion.models import CACHE, GENERATED, model_names
from gptcli.cli.completion.outline import Command, Parameter

_MODELS = f"""\
#compdef gptcli
# zsh completion for gptcli; {GENERATED}

# Models: bundled, short names, downloaded, and what lies here.
_gptcli_models() {{
    local cache={CACHE}
    local -a names
    names=("$cache"/models--*--*/snapshots/*/config.json(N))
    names=(${{${{${{names#$cache/models--}}%%/*}}/--//}})
    names=(${{(M)names:#[A-Za-z0-9_.-]##/[A-Za-z0-9_.-]##}})
    names+=(@names@)
    _alternative "models:model:compadd -a names" 'files:folder or file:_files -g "*.safetensors"'
}}
"""
_END = """\
if [[ $funcstack[1] == _gptcli ]]; then
    _gptcli "$@"
else
    compdef _gptcli gptcli
fi
"""


def zsh_script(app: Command) -> str:
    """The script, for ``share/zsh/site-functions/_gptcli``; it may also be sourced."""
    names = " ".join(map(_quoted, model_names()))
    functions = [_function(command) for command in app.walk()]
    # ## in a pattern needs extended globbing, which zsh enables only inside completion functions.
    models = _MODELS.replace("@names@", names).replace(
        "    local cache", "    setopt local_options extended_glob\n    local cache"
    )
    return "\n".join([models, *functions, _END])


def _function(command: Command) -> str:
    specs = [spec for option in command.options for spec in _option(option)]
    if not command.commands:
        specs += [_argument(number, argument) for number, argument in enumerate(command.arguments, 1)]
        return f"{_name(command)}() {{\n    _arguments -s -S{_lines(specs)}\n}}\n"
    specs += ["1:command:->command", "*::argument:->argument"]
    table = _lines([f"{below.words[-1]}:{_escaped(below.summary)}" for below in command.commands], 12)
    cases = "\n".join(f"                {below.words[-1]}) {_name(below)} ;;" for below in command.commands)
    return f"""\
{_name(command)}() {{
    local curcontext="$curcontext" state line ret=1
    local -a commands
    typeset -A opt_args
    _arguments -C{_lines(specs)} && ret=0
    case $state in
        command)
            commands=({table.replace(chr(92) + chr(10), chr(10))}
            )
            _describe command commands && ret=0
            ;;
        argument)
            case $line[1] in
{cases}
            esac && ret=0
            ;;
    esac
    return ret
}}
"""


def _name(command: Command) -> str:
    """The name of a command's function; a ``--`` keeps it apart from helpers."""
    return "_gptcli" + "".join(f"__{word.replace('-', '_')}" for word in command.words)


def _lines(specs: list[str], indent: int = 8) -> str:
    return "".join(f" \\\n{' ' * indent}{_quoted(spec)}" for spec in specs)


def _option(option: Parameter) -> list[str]:
    """The specifications of an option, one for each spelling, which exclude each other unless it is repeatable."""
    action = "" if option.completes == "flag" else f":{_escaped(option.metavar)}:{_action(option)}"
    others = "*" if option.repeatable else f"({' '.join(option.names)})"
    if option.names[-1] in ("--help", "--version"):
        others = "(- *)"
    ends = {name: "" if option.completes == "flag" else "=" if name.startswith("--") else "+" for name in option.names}
    return [f"{others}{name}{ends[name]}[{_escaped(option.help)}]{action}" for name in option.names]


def _argument(number: int, argument: Parameter) -> str:
    start = "*" if argument.repeatable else str(number) if argument.required else f"{number}:"
    return f"{start}:{_escaped(argument.metavar)}:{_action(argument)}"


def _action(parameter: Parameter) -> str:
    if parameter.completes == "models":
        values = f"compadd {' '.join(parameter.values)}"
        return (
            f'{{ _alternative "sizes:size:{values}" "models:model:_gptcli_models" }}'
            if parameter.values
            else "_gptcli_models"
        )
    if parameter.completes == "files":
        return "_files"
    # An empty list for text: a plain space would show a message instead of the options.
    return f"({' '.join(parameter.values) or ' '})"


def _escaped(text: str) -> str:
    """Text inside a specification, where brackets and colons have a meaning."""
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
