"""Prompts on AMX, where the processor has none: its tiles are emulated (amx_emulation.h)."""

import ctypes
import shutil
from pathlib import Path

import pytest

from gptcli.model.native import library
from gptcli.model.native.build import build
from tests.amount import amount
from tests.native.kernels import KINDS, Kernels
from tests.native.test_kernels import check_linear

HEADER = Path(__file__).with_name("amx_emulation.h")
pytestmark = [
    pytest.mark.skipif("avx512" not in str(library.kernels()), reason="the files for AMX need AVX-512"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """A library that believes to have AMX."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", f"gcc -include {HEADER} -DGPTCLI_AMX_EMULATED")
        found = library.open_library(build(tmp_path_factory.mktemp("amx")))
    if found.gptcli_kernels(library.BEST) != b"avx512 and amx":
        pytest.skip("this compiler does not know AMX")
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rows", "columns"), amount([(37, 96), (130, 96), (33, 1056)], [(37, 96), (230, 1056), (50, 2112)])
)
def test_linear(rows: int, columns: int, kind: str, emulated: ctypes.CDLL) -> None:
    """Weights of several panels and chunks, in several scale groups, that no tile divides."""
    check_linear(Kernels(library.BEST, emulated), kind, rows, columns)
