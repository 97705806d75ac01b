"""The completion script for fish: one ``complete`` line for each command, option and argument."""

from gptcli.cli.completion.models import GENERATED, model_names
from gptcli.cli.completion.outline import Command, Parameter

_FUNCTIONS = f"""\
# fish completion for gptcli; {GENERATED}

# Whether the words before the cursor lead to the command that is named, "" for none yet.
function __gptcli_at
    set -l command
    set -l words (commandline -opc)
    for word in $words[2..-1]
        string match -q -- '-*' $word; and continue
        set -l next (string trim -- "$command $word")
        contains -- $next @commands@; or break
        set command $next
    end
    test "$command" = "$argv[1]"
end

# Models: bundled, short names, downloaded, and what lies here.
function __gptcli_models
    printf '%s\\n' @names@
    set -l home (set -q XDG_CACHE_HOME; and echo $XDG_CACHE_HOME; or echo ~/.cache)/huggingface
    set -q HF_HOME; and set home $HF_HOME
    set -l cache $home/hub
    set -q HUGGINGFACE_HUB_CACHE; and set cache $HUGGINGFACE_HUB_CACHE
    set -q HF_HUB_CACHE; and set cache $HF_HUB_CACHE
    for config in $cache/models--*--*/snapshots/*/config.json
        set -l name (string replace -- $cache/models-- '' $config | string replace -r '/.*' '' | string replace -- -- /)
        string match -r -- '^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$' $name
    end
    __fish_complete_suffix .safetensors | string match -r -- '^.*(?:/|\\.safetensors)$'
end

complete -c gptcli -f
"""


def fish_script(app: Command) -> str:
    """The script, for ``share/fish/vendor_completions.d/gptcli.fish``."""
    paths = [_quoted(" ".join(command.words)) for command in app.walk() if command.words]
    functions = _FUNCTIONS.replace("@commands@", " ".join(paths)).replace("@names@", " ".join(model_names()))
    return "\n".join([functions, *(_command(command) for command in app.walk())])


def _command(command: Command) -> str:
    start = f"complete -c gptcli -n {_quoted('__gptcli_at ' + _quoted(' '.join(command.words)))}"
    lines = [f"{start} -a {below.words[-1]} -d {_quoted(below.summary)}" for below in command.commands]
    lines += [f"{start} {_offer(argument)}" for argument in command.arguments if _offer(argument)]
    lines += [
        " ".join(part for part in (start, _names(option), _value(option), f"-d {_quoted(option.help)}") if part)
        for option in command.options
    ]
    return "\n".join(lines) + "\n"


def _names(option: Parameter) -> str:
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)


def _value(option: Parameter) -> str:
    if option.completes == "flag":
        return ""
    if option.completes == "files":
        return "-r -F"
    return f"-x {_offer(option)}".strip()


def _offer(parameter: Parameter) -> str:
    """The completions of a value."""
    if parameter.completes == "files":
        return "-F"
    words = [*parameter.values, *(["(__gptcli_models)"] if parameter.completes == "models" else [])]
    return f"-a {_quoted(' '.join(words))}" if words else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
