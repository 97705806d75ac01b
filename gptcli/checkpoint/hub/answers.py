"""Requests to a hub's API, and the checks of its answers.

Answers are read as bytes and parsed here, within bounds and by the rules for files: no repeated key, no deep nesting,
every value of the right type. Fields that are not used are not checked: a repository's card may hold anything.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gptcli import __version__
from gptcli.checkpoint.hub.check import COMMIT, MAX_SIZE, refused
from gptcli.checkpoint.hub.client import client
from gptcli.checkpoint.hub.guard import install
from gptcli.checkpoint.hub.names import HubName
from gptcli.checkpoint.hub.watch import Watch
from gptcli.errors import CheckpointError, InputError
from gptcli.system.json_text import parse_json, refuse_constant
from gptcli.text import clipped

# The longest answer of the API: some 100,000 files, in bytes.
_MAX_ANSWER = 20_000_000
# Further chat templates lie in a folder of their own.
_TEMPLATES = "additional_chat_templates/"
_CONVERTER = "SFconvertbot"  # the account of the hub's own conversion service


@dataclass(frozen=True)
class Listing:
    """The files of a revision of a repository.

    Attributes:
        commit: its commit.
        sizes: file name -> size in bytes, or None where the hub does not say; of folders only that of chat templates.
    """

    commit: str
    sizes: dict[str, int | None]


def list_files(name: HubName) -> Listing:
    """Ask for the files of a revision.

    Raises:
        GptcliError: the answer is not valid, or took too long.
    """
    path = f"{name.repo}/revision/{quote(name.revision, safe='')}"
    return read_listing(ask(path, {"blobs": "True"}, f"the list of files of {name}"), name.revision)


def read_listing(text: bytes, revision: str) -> Listing:
    """A hub's answer about a revision.

    Raises:
        GptcliError: it is not valid.
    """
    answer = parse_answer(text)
    commit, siblings = answer.get("sha"), answer.get("siblings")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise refused("it gives no commit")
    if COMMIT.fullmatch(revision) and revision != commit:
        raise refused("it gives another commit than it was asked for")
    if not isinstance(siblings, list | None):
        raise refused("it gives no list of files")
    sizes: dict[str, int | None] = {}
    for sibling in siblings or []:
        file = sibling.get("rfilename") if isinstance(sibling, dict) else None
        if not isinstance(file, str):
            raise refused("it lists a file without a name")
        if file in sizes:
            raise refused(f"it lists '{clipped(file, 60)}' twice")
        nbytes = sibling.get("size")
        if nbytes is not None and (type(nbytes) is not int or not 0 <= nbytes <= MAX_SIZE):
            raise refused(f"it lists '{clipped(file, 60)}' with an impossible size")
        if is_plain(file) or is_template(file):
            sizes[file] = nbytes
    return Listing(commit, sizes)


def is_plain(file: str) -> bool:
    """Whether a name is that of a file in the repository's own folder."""
    return 0 < len(file) <= 255 and file not in (".", "..") and file.isprintable() and not set(file) & set("/\\:")


def is_template(file: str) -> bool:
    """Whether a name in a repository is that of a further chat template."""
    name = file.removeprefix(_TEMPLATES)
    return name != file and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.jinja", name) is not None


def proposal(name: HubName) -> int | None:
    """The number of the pull request in which the hub's conversion service proposes safetensors, if there is one.

    Raises:
        GptcliError: the answer is not valid, or took too long.
    """
    text = ask(f"{name.repo}/discussions", {"author": _CONVERTER, "p": "0"}, f"the discussions of {name.repo}")
    discussions = parse_answer(text).get("discussions")
    numbers = [
        found["num"]
        for found in (discussions if isinstance(discussions, list) else [])
        if isinstance(found, dict)
        and found.get("isPullRequest") is True
        and found.get("status") in ("open", "merged")
        and type(found.get("num")) is int
        and 0 < found["num"] < 10**6
    ]
    return max(numbers, default=None)


def ask(path: str, parameters: dict[str, str], what: str) -> bytes:
    """The body of an answer of the API about a model.

    Args:
        path: after ``/api/models/``.
        parameters: of the query.
        what: the subject, for errors.

    Raises:
        GptcliError: the answer is not valid, too large, or took too long. The client's errors for an HTTP status
            pass through.
    """
    hub, headers = client(), request_headers()
    url = f"{hub.constants.ENDPOINT}/api/models/{path}"
    with (
        Watch(what, _MAX_ANSWER),
        hub.get_session().stream("GET", url, params=parameters, headers=headers) as response,
    ):
        hub.utils.hf_raise_for_status(response)
        return read_body(response)


def request_headers() -> dict[str, str]:
    """The headers of every request: the user agent, and the user's token if there is one.

    The client's own function is not used: it asks the hub for a list of tools, looks for them in the environment, and
    reports which it found.

    Raises:
        InputError: the token is not valid.
    """
    install()
    failed = getattr(client().errors, "OIDCError", ())
    try:
        with Watch("the token", _MAX_ANSWER):  # some tokens are renewed from time to time
            token = client().utils.get_token_to_send(None)
    except failed as error:
        raise InputError(f"there is no token for the hub: {clipped(str(error))}") from error
    headers = {"User-Agent": f"gptcli/{__version__}"}
    if token is None:
        return headers
    if not (token.isascii() and token.isprintable()):
        raise InputError(
            "the token for the hub holds characters that none has: look at HF_TOKEN, or run 'hf auth login'"
        )
    return headers | {"Authorization": f"Bearer {token}"}


def parse_answer(text: bytes) -> dict[str, Any]:
    """Parse the JSON object of an answer.

    Raises:
        GptcliError: it is not one, or would take too much memory.
    """
    try:
        answer = parse_json(
            text, "its answer", "", object_pairs_hook=_once, parse_int=_integer, parse_constant=refuse_constant
        )
    except CheckpointError as error:
        raise refused(str(error)) from error
    if not isinstance(answer, dict):
        raise refused("its answer is not a JSON object")
    return answer


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key appears twice")
    return made


def _integer(digits: str) -> int | float:
    """An integer; very long ones become infinity, because Python's parser takes quadratic time for them."""
    return int(digits) if len(digits) <= 20 else float("inf")


def read_body(response: Any) -> bytes:
    """A response's body as one bytes object."""
    text = bytearray()
    for part in response.iter_bytes():
        text += part
    return bytes(text)
