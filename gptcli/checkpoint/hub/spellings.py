"""Other ways to write a model's name: pasted addresses, names from other programs, and models that nobody can open."""

import os
import re
from urllib.parse import unquote, urlsplit

_HOSTS = re.compile(r"hf://|(https?://)?(www\.)?(huggingface\.co|hf\.co|hf-mirror\.com)/", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# What follows a repository's id in the address of one of its pages.
_PAGES = ("tree", "blob", "resolve", "raw", "commits", "commit", "blame")
_OTHER_KINDS = {"datasets": "a data set", "spaces": "a space", "collections": "a collection", "papers": "a paper"}

# Other programs' names of models that have a short name.
ALIASES: dict[str, str] = {
    "gpt2-small": "gpt2", "gpt2-base": "gpt2", "gpt2-124m": "gpt2", "gpt2-117m": "gpt2", "gpt2-355m": "gpt2-medium",
    "gpt2-345m": "gpt2-medium", "gpt2-774m": "gpt2-large", "gpt2-1.5b": "gpt2-xl", "gpt2-1558m": "gpt2-xl",
    "gpt1": "openai-gpt", "gpt3-175b": "gpt3",
    "gpt-j": "gpt-j-6b", "gptj": "gpt-j-6b", "gpt-neox": "gpt-neox-20b",
    "distil-gpt2": "distilgpt2", "distilgpt-2": "distilgpt2", "phi-3": "phi-3-mini", "tinyllama": "tinyllama-1.1b-chat",
}  # fmt: skip
_CLOSED = re.compile(r"(openai/)?(gpt-?(3\.5|[3-9]|4o)|chat-?gpt|davinci|o[1-9]|claude|gemini)[^/]*")


def plain_name(text: str) -> str:
    """A name as ``owner/name``, ``owner/name@revision`` or a short name, without what surrounds it.

    Pages of the hub (``https://huggingface.co/owner/name/tree/main``) and of its mirrors (``HF_ENDPOINT``),
    ``hf.co/owner/name``, a slash at the end and ``owner/name:revision`` are understood; any other text comes back as it
    is.
    """
    host = _HOSTS.match(text)
    if host is not None:
        return _of_page(text[host.end() :])
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if hub and text.startswith(f"{hub}/"):
        return _of_page(text.removeprefix(f"{hub}/"))
    name = text.rstrip("/") if text.strip("/") and not text.startswith("/") else text
    base, colon, revision = name.partition(":")
    if colon and "@" not in name and revision and not revision.startswith(("/", "\\")) and len(base) > 1:
        return base if revision == "latest" else f"{base}@{revision}"
    return name


def _of_page(path: str) -> str:
    """The name in the path of a page of the hub."""
    parts = [unquote(part) for part in urlsplit(path).path.split("/") if part]
    if parts[:2] == ["api", "models"]:
        parts = parts[2:]
    if parts[:1] == ["models"]:
        parts = parts[1:]
    length = 1 if len(parts) == 1 or parts[1] in _PAGES else 2
    repo, page = "/".join(parts[:length]), parts[length:]
    if len(page) < 2 or page[0] not in _PAGES:
        return plain_name(repo) if ":" in repo else repo
    # A pull request's revision has slashes of its own.
    revision = "/".join(page[1:4]) if page[1:3] == ["refs", "pr"] else page[1]
    return repo if revision == "main" else f"{repo}@{revision}"


def known_as(name: str) -> str:
    """The short name that a name stands for: in lower case, and as other programs' names say; else the name itself."""
    low = re.sub(r"^gpt-([123])(?![0-9])", r"gpt\1", name.lower())
    return ALIASES.get(low, low)


def why_not_there(name: str) -> str | None:
    """Why a name can be no model that gptcli opens, as a sentence; None where there is no special reason."""
    low = name.lower()
    if _ADDRESS.match(name) and plain_name(name) == name:
        return "an address is understood if it is one of huggingface.co: give that, owner/name, or a path"
    for kind, what in _OTHER_KINDS.items():
        if (page := _HOSTS.sub("", name)) != name and page.startswith(f"{kind}/"):
            return f"that is {what}, and no model"
    if not _CLOSED.fullmatch(low):
        return None
    if re.fullmatch(r"(openai/)?gpt-?3(?!\.5)[^/]*", low):
        return "OpenAI has not published its weights; 'gptcli params gpt3' counts them, and gpt2 is a model to run"
    return "neither its weights nor its size are public: gpt2 is a model to run, and 'gptcli params gpt3' counts GPT-3"
