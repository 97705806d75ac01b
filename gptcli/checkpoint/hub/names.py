"""Names of models on the Hugging Face hub: short names and ``owner/name``, both optionally with ``@revision``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

DEFAULT_REVISION = "main"


def _sizes(short: str, repo: str, *sizes: str) -> dict[str, str]:
    """Short names of a family whose members differ in size only, in lower case."""
    return {short.format(size.lower()): repo.format(size) for size in sizes}


_PYTHIA = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
# Short name -> hub id: repositories of the models' makers, or the hub's canonical ones.
SHORT_NAMES: dict[str, str] = {
    "gpt2": "openai-community/gpt2",
    **_sizes("gpt2-{}", "openai-community/gpt2-{}", "medium", "large", "xl"),
    "distilgpt2": "distilbert/distilgpt2",
    **_sizes("dialogpt-{}", "microsoft/DialoGPT-{}", "small", "medium", "large"),
    **_sizes("cerebras-gpt-{}", "cerebras/Cerebras-GPT-{}", "111M", "256M", "590M", "1.3B", "2.7B", "6.7B", "13B"),
    "openai-gpt": "openai-community/openai-gpt",
    **_sizes("gpt-neo-{}", "EleutherAI/gpt-neo-{}", "125m", "1.3B", "2.7B"),
    **_sizes("tinystories-{}", "roneneldan/TinyStories-{}", "1M", "3M", "8M", "28M", "33M"),
    **_sizes("tinystories-instruct-{}", "roneneldan/TinyStories-Instruct-{}", "1M", "3M", "8M", "28M", "33M"),
    "gpt-j-6b": "EleutherAI/gpt-j-6b",
    "gpt-neox-20b": "EleutherAI/gpt-neox-20b",
    **_sizes("pythia-{}", "EleutherAI/pythia-{}", *_PYTHIA),
    **_sizes("pythia-{}-deduped", "EleutherAI/pythia-{}-deduped", *_PYTHIA),
    **_sizes("opt-{}", "facebook/opt-{}", "125m", "350m", "1.3b", "2.7b", "6.7b", "13b", "30b", "66b"),
}

# The hub's rules for names, and a revision that can stand in a path: a branch, tag, commit or refs/pr/N.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_HUB_ID = re.compile(f"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./+-]*[A-Za-z0-9_+-])?")
_LONGEST = 96
# Endings of files, not of repositories.
_FILE_ENDINGS = (".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".gguf")


@dataclass(frozen=True)
class HubName:
    """A model on the hub.

    Attributes:
        repo: its hub id, ``owner/name``.
        revision: a branch, tag or commit.
    """

    repo: str
    revision: str = DEFAULT_REVISION

    def __str__(self) -> str:
        """As the user types it."""
        return self.repo if self.revision == DEFAULT_REVISION else f"{self.repo}@{self.revision}"


def parse_hub_name(name: str) -> HubName | None:
    """Parse a name; None where it cannot be one on the hub."""
    base, at, revision = name.partition("@")
    repo = SHORT_NAMES.get(base, base)
    revision = revision if at else DEFAULT_REVISION
    if not _HUB_ID.fullmatch(repo) or not _REVISION.fullmatch(revision):
        return None
    if len(repo) > _LONGEST or any(pair in name for pair in ("..", "--", "//")) or repo.endswith(_FILE_ENDINGS):
        return None
    return HubName(repo, revision)


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names similar to ``name``, the most similar first."""
    names = {candidate.lower(): candidate for candidate in known}
    base = name.partition("@")[0].lower()
    near = get_close_matches(base, names, n=3, cutoff=0.6)
    return [names[match] for match in near]
