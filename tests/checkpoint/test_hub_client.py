"""Settings of the environment that the hub's client chokes on: one line, exit code 2."""

import re

import pytest

from tests.conftest import Run

AT_IMPORT = [
    ("HF_HUB_DOWNLOAD_TIMEOUT", "abc"),
    ("HF_HUB_ETAG_TIMEOUT", ""),
    ("HF_HUB_ETAG_TIMEOUT", "-3"),
    ("HF_HUB_ETAG_TIMEOUT", "9" * 5_000),
    ("TQDM_MININTERVAL", "abc"),
    ("HF_ENDPOINT", "http://[x"),
    ("HF_ENDPOINT", "http://a:b"),
    ("HF_ENDPOINT", "hub"),
]
AT_FIRST_REQUEST = [
    ("HTTP_PROXY", "abc://x"),
    ("HTTP_PROXY", "socks5://127.0.0.1:9"),
    ("SSL_CERT_FILE", "/nonexistent"),
    ("HF_TOKEN", "h\u00e4"),
    ("HF_TOKEN", "a\x01b"),
    ("HF_OIDC_RESOURCE", "x"),
    ("GPTCLI_TIMEOUT", "soon"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), AT_IMPORT)
def test_what_stops_the_import(run_gptcli: Run, name: str, value: str) -> None:
    done = run_gptcli("models", "list", env={name: value})
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(rf"error: .*{name[:4]}.*\n", done.stderr.decode())
    assert len(done.stderr) < 500


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), AT_FIRST_REQUEST)
def test_what_stops_the_first_request(run_gptcli: Run, name: str, value: str) -> None:
    done = run_gptcli(
        "params", "o/m", env={"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nonexistent", name: value}
    )
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert re.fullmatch(rf"error: .*{name}.*\n", done.stderr.decode())


@pytest.mark.slow
def test_what_the_client_no_longer_looks_at_is_no_warning(run_gptcli: Run) -> None:
    done = run_gptcli("models", "list", env={"HF_HUB_ENABLE_HF_TRANSFER": "1"})
    assert (done.returncode, done.stderr) == (0, b"")
