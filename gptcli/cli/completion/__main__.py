"""Write the completion scripts and the manual page: ``python -m gptcli.cli.completion [FOLDER]``."""

import sys
from pathlib import Path

from gptcli.cli.app import app
from gptcli.cli.completion import files


def main(folder: Path) -> None:
    """Write each file that differs, and print its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(app).items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "completions")
