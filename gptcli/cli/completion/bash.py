"""The completion script for bash, from 3.2 (macOS's own) on, with the bash-completion package or without it."""

import shlex

from gptcli.cli.completion.models import CACHE, GENERATED, model_names
from gptcli.cli.completion.outline import Command, Parameter

# Nothing here is expanded twice: a folder in the cache may have any name, and compgen -W would execute it.
_FUNCTIONS = f"""\
# bash completion for gptcli; {GENERATED}

# Offer those of the given words that begin with $cur.
_gptcli_words() {{
    local word
    for word in "$@"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done
}}

# Offer files whose names end in $1 (any, without), and folders.
_gptcli_files() {{
    local path
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        [[ -d ${{path/#\\~\\//$HOME/}} || $path == *"$1" ]] && COMPREPLY+=("$path")
    done < <(compgen -f -- "$cur")
}}

# Offer models: bundled, short names, downloaded, and then what lies here.
_gptcli_models() {{
    local cache={CACHE} config name
    _gptcli_words @names@
    for config in "$cache"/models--*--*/snapshots/*/config.json; do
        name=${{config#"$cache"/models--}}
        name=${{name%%/*}}
        name=${{name/--//}}
        [[ $name =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] && _gptcli_words "$name"
    done
    _gptcli_files .safetensors
}}
"""

_FUNCTION = """\
_gptcli() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= options= place=1 word
    COMPREPLY=()
    # --device=cpu arrives as three words.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    while ((place < COMP_CWORD)); do
        word=${COMP_WORDS[place++]}
        case "$command $word" in
            *" -"*) ;;
@enter@
            *) break ;;
        esac
    done
    case "$command" in
@commands@
    esac
    [[ $cur == -* ]] && _gptcli_words $options
}

complete -F _gptcli gptcli
"""


def bash_script(app: Command) -> str:
    """The script, for ``share/bash-completion/completions/gptcli``."""
    names = " ".join(shlex.quote(name) for name in model_names())
    commands = list(app.walk())
    enter = [
        f"            {shlex.quote(' '.join(command.words[:-1]) + ' ' + command.words[-1])})"
        f" command={shlex.quote(' '.join(command.words))} ;;"
        for command in commands
        if command.words
    ]
    body = "\n".join(_case(command) for command in commands)
    function = _FUNCTION.replace("@enter@", "\n".join(enter)).replace("@commands@", body)
    return _FUNCTIONS.replace("@names@", names) + "\n" + function


def _case(command: Command) -> str:
    """The completions after a command: the value of the option before, an option, or an argument."""
    lines = [f"        {shlex.quote(' '.join(command.words))})"]
    spelled = [name for option in command.options for name in option.names]
    lines.append(f'            options="{" ".join(spelled)}"')
    valued = [option for option in command.options if option.completes != "flag"]
    rest = _rest(command)
    if valued:
        lines.append('            case "$prev" in')
        for offer in dict.fromkeys(map(_offer, valued)):
            names = "|".join(name for option in valued if _offer(option) == offer for name in option.names)
            lines.append(f"                {names}) {offer}return ;;")
        lines.append("            esac")
    if rest:
        lines.append(f"            [[ $cur == -* ]] || {rest}")
    return "\n".join([*lines, "            ;;"])


def _rest(command: Command) -> str:
    """The completions of arguments."""
    if command.commands:
        return "_gptcli_words " + " ".join(below.words[-1] for below in command.commands)
    offers = [_offer(argument).rstrip("; ") for argument in command.arguments if _offer(argument)]
    return "{ " + "; ".join(offers) + "; }" if offers else ""


def _offer(parameter: Parameter) -> str:
    words = f"_gptcli_words {' '.join(map(shlex.quote, parameter.values))}; " if parameter.values else ""
    if parameter.completes == "models":
        return words + "_gptcli_models; "
    return words + ("_gptcli_files; " if parameter.completes == "files" else "")
