"""The hub's own client, huggingface_hub; bad settings in the environment become one-line errors."""

import os
import re
import warnings
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from gptcli.errors import InputError
from gptcli.text import clipped

_SECONDS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")


def client() -> Any:
    """The module ``huggingface_hub``.

    Raises:
        InputError: a variable of the environment has a value that the client cannot start with.
    """
    _check_environment()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about variables that it no longer uses
            module = import_module("huggingface_hub")
            for part in ("constants", "errors", "file_download", "utils"):
                import_module(f"huggingface_hub.{part}")
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(
            f"huggingface_hub does not start ({clipped(str(error))}): look at the variables HF_... and TQDM_... of the "
            "environment"
        ) from error
    return module


def endpoint() -> str:
    """The hub's address (``HF_ENDPOINT``), as an error shows it."""
    return clipped(str(client().constants.ENDPOINT))


def http_library() -> Any:
    """The HTTP library beneath the client: httpx, or httpx2 in newer releases; both have the same names."""
    base = client().errors.HfHubHTTPError.__mro__[1]  # the base of its errors
    return import_module(base.__module__.partition(".")[0])


def _check_environment() -> None:
    for name in _SECONDS:
        value = os.environ.get(name)
        if value is not None and not re.fullmatch(r"\s*[0-9]{1,6}\s*", value, re.ASCII):
            raise InputError(
                f"{name}='{clipped(value)}' in the environment is no number of seconds: set one, or unset it"
            )
    address = os.environ.get("HF_ENDPOINT")
    if address is not None and not _is_address(address):
        raise InputError(
            f"HF_ENDPOINT='{clipped(address)}' in the environment is no http:// or https:// address: correct it, or "
            "unset it"
        )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) in range(1, 65536)
    except ValueError:
        return False
