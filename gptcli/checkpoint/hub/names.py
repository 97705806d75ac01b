"""Names of models on the Hugging Face hub: short names and ``owner/name``, both optionally with ``@revision``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from gptcli.checkpoint.hub.spellings import known_as, plain_name

DEFAULT_REVISION = "main"


def _sizes(short: str, repo: str, *sizes: str) -> dict[str, str]:
    """Short names of a family whose members differ in size only, in lower case."""
    return {short.format(size.lower()): repo.format(size) for size in sizes}


def _with_instruct(short: str, repo: str, ending: str, *sizes: str) -> dict[str, str]:
    """The same for models that come as they were trained, and again taught to follow instructions."""
    return _sizes(short, repo, *sizes) | _sizes(f"{short}{ending.lower()}", f"{repo}{ending}", *sizes)


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
    **_with_instruct("smollm2-{}", "HuggingFaceTB/SmolLM2-{}", "-Instruct", "135M", "360M", "1.7B"),
    "smollm3-3b": "HuggingFaceTB/SmolLM3-3B",
    **_sizes("qwen3-{}", "Qwen/Qwen3-{}", "0.6B", "1.7B", "4B", "8B", "14B", "32B"),
    **_with_instruct("qwen2.5-{}", "Qwen/Qwen2.5-{}", "-Instruct", "0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"),
    **_with_instruct("llama-3.2-{}", "meta-llama/Llama-3.2-{}", "-Instruct", "1B", "3B"),
    **_with_instruct("llama-3.1-{}", "meta-llama/Llama-3.1-{}", "-Instruct", "8B", "70B", "405B"),
    "tinyllama-1.1b-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    **_sizes("deepseek-r1-distill-qwen-{}", "deepseek-ai/DeepSeek-R1-Distill-Qwen-{}", "1.5B", "7B", "14B", "32B"),
    "gemma-3-270m": "google/gemma-3-270m",
    **_sizes("gemma-3-{}", "google/gemma-3-{}-pt", "1b", "4b", "12b", "27b"),
    **_sizes("gemma-3-{}-it", "google/gemma-3-{}-it", "270m", "1b", "4b", "12b", "27b"),
    **_sizes("gemma-2-{}", "google/gemma-2-{}", "2b", "9b", "27b"),
    **_sizes("gemma-2-{}-it", "google/gemma-2-{}-it", "2b", "9b", "27b"),
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "phi-2": "microsoft/phi-2",
    "phi-3-mini": "microsoft/Phi-3-mini-4k-instruct",
    "phi-4": "microsoft/phi-4",
    "phi-4-mini": "microsoft/Phi-4-mini-instruct",
    "olmo-2-1b": "allenai/OLMo-2-0425-1B",
    "olmo-2-1b-instruct": "allenai/OLMo-2-0425-1B-Instruct",
    "bloom-560m": "bigscience/bloom-560m",
    "falcon-7b": "tiiuae/falcon-7b",
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gpt-oss-120b": "openai/gpt-oss-120b",
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
    """Parse a name, an address of the hub, or another program's spelling; None where it cannot be one on the hub."""
    name = plain_name(name)
    base, at, revision = name.partition("@")
    repo = SHORT_NAMES.get(known_as(base), base)
    revision = revision if at else DEFAULT_REVISION
    if not _HUB_ID.fullmatch(repo) or not _REVISION.fullmatch(revision):
        return None
    if len(repo) > _LONGEST or any(pair in name for pair in ("..", "--", "//")) or repo.endswith(_FILE_ENDINGS):
        return None
    return HubName(repo, revision)


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names similar to ``name``, the most similar first."""
    names = {candidate.lower(): candidate for candidate in known}
    base = known_as(name.partition("@")[0])
    near = get_close_matches(base, names, n=3, cutoff=0.6)
    return [names[match] for match in near]
