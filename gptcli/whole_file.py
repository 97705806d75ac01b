"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from gptcli.errors import GptcliError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all; what stood there before stays until then.

    Raises:
        GptcliError: the folder is missing, not writable, or full.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise GptcliError(f"cannot write {path}: {error.strerror or error}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
