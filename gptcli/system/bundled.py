"""The checkpoints that come with gptcli."""

from pathlib import Path


def bundled_folder() -> Path:
    """The folder of the checkpoints that come with gptcli: inside the wheel, or next to the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_weights"
    return inside if inside.is_dir() else package.parent / "weights"


def bundled_names() -> list[str]:
    """Names of the bundled checkpoints (not of the bare vocabulary)."""
    return sorted(path.parent.name for path in bundled_folder().glob("*/config.json"))
