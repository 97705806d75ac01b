"""The keys, what they do, and how the help says it."""

from dataclasses import dataclass

from gptcli.explore.picture import Action


@dataclass(frozen=True)
class Key:
    """Keys that do one thing.

    Attributes:
        names: as Textual names them, or characters.
        action: of the screen, with its arguments.
        says: what it does.
        shown: the key as people know it; "": the help has it with the one before.
        brief: for the last line of the screen; "": it is not there.
    """

    names: tuple[str, ...]
    action: Action
    says: str
    shown: str = ""
    brief: str = ""


WALKING: tuple[Key, ...] = (
    Key(("i", "enter"), ("edit",), "type in the text", "Enter, i", "type"),
    Key(("tab",), ("best",), "take the most probable token", "Tab", "best"),
    *(Key((str(rank),), ("rank", rank), "take the token of that rank", "1 … 9", "") for rank in range(1, 10)),
    Key(("space",), ("draw",), "draw a token", "Space", "draw"),
    Key(("r",), ("run",), "draw one token after another; any key stops", "r", "run"),
    Key(("u", "ctrl+z"), ("undo",), "take back the last change", "u", "undo"),
    Key(("left",), ("move", -1), "the token before, or behind", "← →"),
    Key(("right",), ("move", 1), "the next token"),
    Key(("home",), ("move_to", 0), "the first token, or the last", "Home End"),
    Key(("end",), ("move_to", -1), "the last token"),
    Key(("up",), ("layers", -1), "the layer before, or behind", "↑ ↓"),
    Key(("down",), ("layers", 1), "the next layer"),
    Key(("h", "right_square_bracket"), ("heads", 1), "the next head, or the one before", "h H"),
    Key(("H", "upper_h", "left_square_bracket"), ("heads", -1), "the head before"),
    Key(("plus", "equals_sign"), ("warmer", 1), "raise the temperature, or lower it", "+ -"),
    Key(("minus",), ("warmer", -1), "lower the temperature"),
    Key(("k",), ("top_k", -1), "keep fewer candidates (top-k), or more", "k K"),
    Key(("K", "upper_k"), ("top_k", 1), "keep more candidates"),
    Key(("p",), ("top_p", -1), "keep less probability (top-p), or more", "p P"),
    Key(("P", "upper_p"), ("top_p", 1), "keep more probability"),
    Key(("0",), ("reset",), "temperature 1, no top-k, no top-p", "0"),
    Key(("o",), ("toggle_head",), "take the head out, or put it back", "o", "out"),
    Key(("m",), ("toggle_mlp",), "take the layer's MLP out, or put it back", "m"),
    Key(("O", "upper_o"), ("whole",), "put all parts back", "O"),
    Key(("shift+tab",), ("next_view",), "the next view", "Shift+Tab"),
    Key(("s",), ("save",), "save the page of this text", "s", "save"),
    Key(("S", "upper_s"), ("save_screen",), "save the screen as a picture", "S"),
    Key(("t",), ("tour",), "what is on the screen, in words", "t", "tour"),
    Key(("question_mark", "f1"), ("help",), "this help", "?", "help"),
    Key(("q", "ctrl+q", "ctrl+d"), ("leave",), "quit", "q", "quit"),
    Key(("ctrl+c",), ("interrupt",), "quit at once", "Ctrl+C"),
)
EDITING: tuple[Key, ...] = (
    Key(("escape", "enter"), ("walk",), "back to the keys that act", "Enter, Esc", "done"),
    Key(("tab",), ("complete",), "put in the most probable token", "Tab", "best"),
    Key(("ctrl+j", "alt+enter", "shift+enter"), ("type", "\n"), "a new line", "Ctrl+J", "line"),
    Key(("ctrl+z",), ("undo",), "take back what was typed", "Ctrl+Z", "undo"),
    Key(("left", "ctrl+b"), ("caret", -1), "a character back, or on", "← →"),
    Key(("right", "ctrl+f"), ("caret", 1), "a character on"),
    Key(("home", "ctrl+a"), ("caret_to", 0), "to the beginning, or the end", "Home End"),
    Key(("end", "ctrl+e"), ("caret_to", -1), "to the end"),
    Key(("ctrl+left", "alt+left", "alt+b"), ("caret_word", -1), "a word back, or on", "Ctrl+← →"),
    Key(("ctrl+right", "alt+right", "alt+f"), ("caret_word", 1), "a word on"),
    Key(("up",), ("caret_line", -1), "a line up, or down", "↑ ↓"),
    Key(("down",), ("caret_line", 1), "a line down"),
    Key(("backspace", "ctrl+h"), ("erase", -1), "delete the character before", "Backspace"),
    Key(("delete",), ("erase", 1), "delete the next character", "Delete"),
    Key(("ctrl+w", "alt+backspace", "ctrl+backspace"), ("erase_word",), "delete the word before", "Ctrl+W"),
    Key(("ctrl+u",), ("erase_to", 0), "delete all before", "Ctrl+U"),
    Key(("ctrl+k",), ("erase_to", -1), "delete all behind", "Ctrl+K"),
    Key(("ctrl+q",), ("leave",), "quit", "Ctrl+Q"),
    Key(("ctrl+c",), ("interrupt",), "quit at once", "Ctrl+C"),
)


def found(keys: tuple[Key, ...], name: str, character: str | None) -> Action | None:
    """What a key does; None where it does nothing."""
    for key in keys:
        if name in key.names or (character is not None and character in key.names):
            return key.action
    return None
