"""The errors about a hub, each with what to do next."""

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from gptcli.checkpoint.hub.answers import proposal
from gptcli.checkpoint.hub.check import refused
from gptcli.checkpoint.hub.client import client, endpoint, http_library
from gptcli.checkpoint.hub.names import SHORT_NAMES, HubName, similar
from gptcli.checkpoint.hub.progress import client_warnings
from gptcli.checkpoint.hub.watch import AGAIN
from gptcli.errors import CheckpointError, GptcliError, ModelNotFound
from gptcli.text import clipped

_HUB = "https://huggingface.co"


@contextmanager
def explain_hub_errors(name: HubName) -> Iterator[None]:
    """Turn every error of the hub's client into one of ours.

    Raises:
        ModelNotFound: no such model or revision; or offline, and not in the cache.
        GptcliError: any other failure of the hub or the network.
    """
    http, errors = http_library(), client().errors
    xet_error = getattr(errors, "XetDownloadError", errors.HfHubHTTPError)
    failures = (http.HTTPError, http.InvalidURL, xet_error, errors.EntryNotFoundError, OSError, ValueError)
    with client_warnings():
        try:
            yield
        except (*failures, OverflowError, RecursionError) as error:
            raise error_to_show(error, name) from error


def error_to_show(error: BaseException, name: HubName) -> GptcliError:
    """The error to show for one that the client raised."""
    errors = client().errors
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # why the client could not reach the hub
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return _offline(name)
    if isinstance(error, errors.GatedRepoError):
        return _gated(name)
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelNotFound(
            f"{name.repo} has no branch, tag or commit '{name.revision}': see {_HUB}/{name.repo}/tree/main"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return _not_found(name)
    if isinstance(error, errors.HfHubHTTPError):
        return _by_status(error, name)
    if isinstance(error, errors.FileMetadataError | ValueError | OverflowError | RecursionError):
        return refused(clipped(" ".join(str(error).split()), 80))
    return _by_kind(error, name)


def not_usable(name: HubName, files: Collection[str]) -> CheckpointError:
    """The error for a repository without files that gptcli opens, with what to do."""
    others = [file for file in sorted(files) if file.endswith(".safetensors")]
    pickles = [file for file in sorted(files) if file.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if others or not pickles:
        held = f"only {', '.join(others[:5])}" if others else "no weights that gptcli reads"
        wanted = "config.json and model.safetensors (or its index)"
        return CheckpointError(
            f"{name} lacks {wanted}: it holds {held}. Download the file that you mean, and give its path as NAME"
        )
    folder = name.repo.partition("/")[2]
    convert = (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
        f"[C.from_pretrained('{name.repo}').save_pretrained('{folder}') for C in (M, T)]"
    )
    return CheckpointError(
        f"{name} holds its weights only as a pickle ({pickles[0]}), which can run code when it is read; gptcli reads "
        f"safetensors. What to do:\n{_proposal(name)}"
        f'  convert it yourself:    python -c "{convert}"\n'
        f"                          then use ./{folder}"
    )


def _proposal(name: HubName) -> str:
    """How to use the hub's own conversion: its pull request if there is one, else how to ask for it."""
    try:
        number = proposal(name)
    except Exception:  # only a hint: if this fails, the error itself must still be shown
        number = None
    if number is not None:
        return f"  use the hub's conversion, a pull request:  -m {name.repo}@refs/pr/{number}\n"
    return (
        f"  ask the hub to convert: {_HUB}/spaces/safetensors/convert\n"
        f"                          then use {name.repo}@refs/pr/N, N being the pull request that it opens\n"
    )


def _offline(name: HubName) -> ModelNotFound:
    constants = client().constants
    return ModelNotFound(
        f"{name} is not in the cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE forbids to download it: unset "
        f"that, or run 'gptcli models pull {name}' where there is a network and bring the cache here (HF_HOME)"
    )


def _not_found(name: HubName) -> ModelNotFound:
    near = similar(name.repo, SHORT_NAMES.values())
    hint = f"\n  did you mean {' or '.join(near)}?" if near and name.repo not in near else ""
    return ModelNotFound(
        f"no folder or file '{name}' here, and no model of that name at {endpoint()}; if it is a private one, set "
        f"HF_TOKEN to a token that may read it{hint}"
    )


def _gated(name: HubName) -> GptcliError:
    return GptcliError(
        f"{name} is gated: accept its conditions at {_HUB}/{name.repo}, then set HF_TOKEN to a token of that account "
        f"({_HUB}/settings/tokens) or run 'hf auth login'"
    )


def _by_status(error: Any, name: HubName) -> GptcliError:
    """The error for an HTTP status; the server's own message is shown, clipped."""
    status = error.response.status_code
    said = " ".join(str(error.server_message or "").split())[:200]
    said = f" ({said})" if said else ""
    if status == 401:
        if "credentials" in said.lower() or "token" in said.lower():
            return GptcliError(f"{endpoint()} does not accept your token{said}: renew HF_TOKEN, or unset it")
        return _not_found(name)
    if status == 403:
        return GptcliError(f"{endpoint()} does not let you read {name}{said}: HF_TOKEN must be allowed to read it")
    if status == 404:
        return GptcliError(f"{endpoint()} has lost a file of {name}{said}: {AGAIN}")
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isascii() and wait.isdigit() else "in some minutes"
        return GptcliError(
            f"{endpoint()} has had too many requests from here: try again {when}; with HF_TOKEN set it allows more"
        )
    whose = "is in trouble" if status >= 500 else "refuses"
    return GptcliError(f"{endpoint()} {whose} (HTTP {status}{said}): {AGAIN}" + (" in a while" * (status >= 500)))


def _by_kind(error: BaseException, name: HubName) -> GptcliError:
    """The error for a failure of the system or of the HTTP library."""
    constants = client().constants
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return GptcliError(
            f"the disk of {constants.HF_HUB_CACHE} is full: free some space, or set HF_HOME to a folder on another "
            f"disk; then {AGAIN}"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return GptcliError(f"{constants.HF_HUB_CACHE} cannot be written ({error}): set HF_HOME to a folder that can be")
    if "Timeout" in type(error).__name__:
        return GptcliError(f"{endpoint()} took too long to answer: {AGAIN}; --timeout 60 waits longer")
    if "Consistency check" in str(error):
        return GptcliError(f"a file of {name} arrived with the wrong size: {AGAIN}")
    if type(error).__name__ == "TooManyRedirects":
        return refused("it sends from one address to the next without end")
    if type(error).__name__ in ("ReadError", "RemoteProtocolError", "XetDownloadError"):
        return GptcliError(f"the connection to {endpoint()} broke off: {AGAIN}")
    why = clipped(str(error)) or type(error).__name__
    return GptcliError(f"{endpoint()} cannot be reached ({why}): check the network and HF_ENDPOINT")
