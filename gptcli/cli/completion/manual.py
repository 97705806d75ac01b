"""The manual page, gptcli(1), in the man macros, from the app's own outline."""

from gptcli.cli.completion.outline import Command, Parameter

_INTRODUCTION = """\
gptcli opens GPT checkpoints (GPT-2, GPT-Neo, GPT-J, GPT-NeoX, Pythia, OPT and others, as safetensors) and shows how
they work: it generates text, and can show the candidates for every token. Two small models come with it, so
that every command works without a network."""
_EXITS = (
    ("0", "Done."),
    ("1", "Failed: a broken file, a full disk, the network."),
    ("2", "A mistake in the command or its input."),
    ("130", "Interrupted (Ctrl-C)."),
)
_ENVIRONMENT = (
    ("GPTCLI_MODEL", "The model of the commands that run one, instead of tales."),
    ("GPTCLI_CACHE", "The folder of quantized matrices (models quantize), instead of ~/.cache/gptcli."),
    ("HF_HOME, HF_HUB_CACHE", "The folder of downloaded models."),
    ("HF_TOKEN", "For models that need an account on the hub."),
    ("HF_ENDPOINT, HF_HUB_OFFLINE", "Another hub, or none."),
    ("TIKTOKEN_CACHE_DIR", "The folder of vocabularies for tokenize --encoding."),
    ("GPTCLI_THEME", "dark or light: the background that colours are made for; auto asks the terminal."),
    ("COLORFGBG", "The background, where the terminal does not answer."),
    ("NO_COLOR, FORCE_COLOR", "No colours; colours also in a pipe. --color is more than both."),
    ("CLICOLOR, CLICOLOR_FORCE", "The same: 0 is none, 1 with FORCE is always."),
    ("COLUMNS", "How wide to draw."),
    ("GPTCLI_PAGER, PAGER", "What shows pictures taller than the terminal (less -FRX); cat is none."),
)


def manual_page(app: Command) -> str:
    """The page, for ``share/man/man1/gptcli.1``. It has no date, so that the same app gives the same page."""
    parts = [
        '.TH GPTCLI 1 "" "gptcli" "User Commands"',
        ".SH NAME",
        f"gptcli \\- {_text(app.summary[0].lower() + app.summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B gptcli\n.I COMMAND\n[\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]",
        ".SH DESCRIPTION",
        _text(_INTRODUCTION),
        ".PP",
        _text("Text comes from an argument or a pipe; the answer goes to stdout, and everything else to stderr."),
        ".SH OPTIONS",
        *map(_parameter, app.options),
        ".SH COMMANDS",
        *(_command(command) for command in app.walk() if command.words),
        ".SH EXIT STATUS",
        *(_tagged(f"\\fB{code}\\fR", meaning) for code, meaning in _EXITS),
        ".SH ENVIRONMENT",
        *(_tagged(f"\\fB{name}\\fR", meaning) for name, meaning in _ENVIRONMENT),
    ]
    return "\n".join(parts) + "\n"


def _command(command: Command) -> str:
    arguments = [_placeholder(argument) for argument in command.arguments] or ["COMMAND"] * bool(command.commands)
    usage = " ".join(["gptcli", *command.words, "[OPTION...]", *arguments])
    lines = [f".SS {_text(usage)}", _prose(command.help)]
    lines += [_parameter(each) for each in (*command.arguments, *command.options) if "--help" not in each.names]
    return "\n".join(line for line in [*lines, _prose(command.epilog)] if line)


def _placeholder(argument: Parameter) -> str:
    name = argument.metavar + ("..." if argument.repeatable else "")
    return name if argument.required else f"[{name}]"


def _parameter(parameter: Parameter) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in parameter.names)
    value = f"\\fI{_text(parameter.metavar)}\\fR" if parameter.metavar else ""
    facts = [f"default: {parameter.default}"] if parameter.default else []
    facts += ["repeatable"] if parameter.repeatable and "repeatable" not in parameter.help.lower() else []
    facts += [f"environment: {parameter.envvar}"] if parameter.envvar else []
    facts += [f"one of: {', '.join(parameter.values)}"] if parameter.values and "|" not in parameter.metavar else []
    told = f"{parameter.help} ({'; '.join(facts)})" if facts else parameter.help
    return _tagged(" ".join(part for part in (names, value) if part), told)


def _tagged(tag: str, text: str) -> str:
    return f".TP\n{tag}\n{_text(text)}"


def _prose(text: str) -> str:
    """Paragraphs; those after ``\\b`` keep their lines."""
    blocks = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() == "\b":
            blocks.append(".PP\n.nf\n.RS\n" + "\n".join(map(_text, lines[1:])) + "\n.RE\n.fi")
        elif paragraph:
            blocks.append(".PP\n" + "\n".join(_text(line) for line in lines))
    return "\n".join(blocks)


def _text(text: str) -> str:
    """Text escaped for roff: backslashes, hyphens, and lines that would begin a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    escaped = "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in escaped)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))
