"""Thousands of generations in one process: memory does not grow once everything has been used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.amount import amount
from tests.fuzz.seeds import write_seeds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where memory is counted as Linux does")
COUNT, WARM_UP = amount(4_500, 10_000), 1_500
# 3,000 generations that each forgot 2 kB would come to 6 MB; the allocator's own ups and downs are about one.
MOST_GROWTH = 4_000_000

CHILD = """
import gc, json, sys
import gptcli
gpt = gptcli.load(sys.argv[1], device="cpu", dtype="float32")
count, warm_up = int(sys.argv[2]), int(sys.argv[3])
def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS"))
lengths = set()
for number in range(count):
    if number == warm_up:
        before = resident()
    # Prompts and lengths that change, so that nothing fits from one to the next.
    text = gpt.generate("the king " * (1 + number % 7), seed=number, max_new_tokens=1 + number % 2, temperature=2.0)
    lengths.add(len(text))
print(json.dumps({"before": before, "after": resident(), "lengths": len(lengths)}))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_thousands_of_generations_do_not_grow(tmp_path: Path, child_environment: dict[str, str]) -> None:
    write_seeds(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "gpt2-shards"), str(COUNT), str(WARM_UP)],
        env={**child_environment, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        cwd=os.fspath(tmp_path),
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)
    print(measured)
    assert measured["lengths"] > 5  # they did write
    assert measured["after"] - measured["before"] < MOST_GROWTH
