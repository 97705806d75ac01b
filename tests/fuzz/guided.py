"""Coverage-guided fuzzing of the parsers with atheris, which the tests themselves do without.

    python -m tests.fuzz.guided TARGET [libFuzzer's options]    (or: make fuzz-coverage)

TARGET is one of header, index, config, listing, tokenizer, template and generation (``targets.py``). It goes on until
Ctrl-C, or for ``-max_total_time=SECONDS``. An input that is neither read nor refused is written down by libFuzzer; once
mended, it belongs among those of ``test_targets.py``.
"""

import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """The command line."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["gptcli"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.seeds import write_seeds

    name, *options = sys.argv[1:] or ["header"]
    if name not in TARGETS:
        sys.exit(f"{name}: one of {', '.join(TARGETS)}")
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="gptcli-fuzz-") as folder:
        corpus, place = Path(folder) / "corpus", Path(folder) / "place"
        corpus.mkdir()
        place.mkdir()
        for number, seed in enumerate(write_seeds(Path(folder) / "seeds")):
            with suppress(FileNotFoundError):
                # Small inputs are tried often: of a file the part that is parsed.
                (corpus / str(number)).write_bytes(target.part((seed / target.file).read_bytes()))
        limits = ["-timeout=10", "-rss_limit_mb=3000"]
        atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], lambda data: target.open(data, place))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
