"""What the wheel holds, and what the project refers to."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that GPTCLI_WHEEL names, or one that is built here."""
    if "GPTCLI_WHEEL" in os.environ:
        return Path(os.environ["GPTCLI_WHEEL"])
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=250)
    (made,) = out.glob("*.whl")
    return made


def test_wheel_holds_the_checkpoints(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "README.md",
        "tales/config.json",
        "tales/model.safetensors",
        "tales/ATTRIBUTION_ccby.tsv",
        "glove-50d/model.safetensors",
        "glove-50d/vocab.txt",
        "gpt2-bpe/gpt2.tiktoken",
    ):
        assert f"gptcli/_weights/{name}" in names
    assert not any("training" in name for name in names)


def test_wheel_is_below_60_mb(wheel: Path) -> None:
    assert wheel.stat().st_size < 60_000_000


def test_generate_from_the_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    """The wheel's own copy, from another directory, without the checkout on the path."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = "; ".join(
        (
            f"import sys; sys.path.insert(0, {str(site)!r})",
            f"import gptcli; assert gptcli.__file__.startswith({str(site)!r})",
            "sys.argv = ['gptcli', 'generate', 'Once upon a time there was a', '-n', '8', '--seed', '1']",
            "from gptcli.cli.app import main; main()",
        )
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Once upon a time there was a")
