"""The threads of the engine in C, in a build that checks itself and whose threads can be stopped and delayed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptcli.model.native import library
from gptcli.model.native.build import NoCompilerError, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(library.library() is None, reason="the engine in C was not built"),
]
Environment = dict[str, str]

# What the scripts have in common: models of every kind of weights, and a digest of all logits of some work.
COMMON = """
import ctypes, hashlib, json, sys, threading
from pathlib import Path
import numpy as np
from gptcli.model.config import GPTConfig
from gptcli.model.native import engine, library
from gptcli.model.quantize import kind_of
from gptcli.model.shapes import parameter_shapes

found = library.open_library(Path(sys.argv[1]))
engine.library = lambda: found
THREADS = int(sys.argv[2])
SHAPES = [
    GPTConfig(vocab_size=101, n_positions=130, n_embd=66, n_layer=3, n_head=3, n_inner=77, activation="gelu"),
    GPTConfig(vocab_size=257, n_positions=130, n_embd=96, n_layer=2, n_head=4),
]

def model(seed, kind):
    rng, made = np.random.default_rng(seed), engine.NativeEngine(SHAPES[seed % 2], threads=THREADS)
    for name, shape in parameter_shapes(made.config).items():
        drawn = rng.standard_normal(shape).astype(np.float32) * (shape[-1] ** -0.5 if len(shape) == 2 else 0.3)
        kept = kind_of(name, kind) if kind.startswith("int") else kind
        assert made.fill(name, drawn, "F32", kept if len(shape) == 2 and name != "wpe.weight" else "F32")
    return made

def work(made, seed):
    rng, digest = np.random.default_rng(seed), hashlib.sha256()
    ids = lambda count: rng.integers(0, 100, count).tolist()
    for rows in ([ids(1)], [ids(20)], [ids(100)], [ids(9), ids(40), ids(3)], [ids(2) for _ in range(12)]):
        digest.update(made.prefill(rows, max(map(len, rows)) + 6).tobytes())
        for _ in range(5):
            logits = made.step(ids(len(rows)))
            places, values, log_sum = (ctypes.c_int * 4)(), (ctypes.c_float * 4)(), ctypes.c_double()
            room = places, values, ctypes.byref(log_sum)
            assert not found.gptcli_shortlist(logits.ctypes.data, logits.shape[1], 4, *room)
            digest.update(logits.tobytes() + bytes(places) + bytes(values) + bytes(log_sum))
        if len(rows) == 1:
            made.rewind(3)
            digest.update(made.extend(ids(3)).tobytes())
    return digest.hexdigest()
"""

# Several callers at once, each with a model of its own, while threads fall asleep at any moment.
DELAYED = """
found.gptcli_check_delays(100 if THREADS > 1 else 0)
digests = {}
def call(seed, kind):
    digests[kind] = work(model(seed, kind), seed)
callers = [threading.Thread(target=call, args=given) for given in enumerate(["F32", "F16", "BF16", "int8", "int4"])]
for caller in callers: caller.start()
for caller in callers: caller.join()
print(json.dumps(digests, sort_keys=True))
"""

# The second thread stops while it holds nothing, between looking for a chunk and being handed one.
STOPPED = """
made = model(1, "int8")
expected = work(made, 1)
said = [made.threads]
found.gptcli_check_hold(1)
rounds = 0
while not found.gptcli_check_held() and rounds < 10_000:
    assert work(made, 1) == expected
    rounds += 1
said.append(found.gptcli_check_held())
again = [work(made, 1) == expected for _ in range(3)]
said += [found.gptcli_check_held(), all(again)]
other = model(0, "F32")  # another job's memory, and the first model's is given back
digest = work(other, 0)
del made
said.append(found.gptcli_check_held())
found.gptcli_check_hold(-1)
while found.gptcli_check_held(): pass
said += [work(other, 0) == digest for _ in range(3)]
print(json.dumps(said))
"""

# Children are born in the middle of a job, and start threads of their own.
FORKED = """
import os, time, warnings
warnings.simplefilter("ignore")
made, ended = model(0, "F32"), []
expected = work(made, 0)
def call():
    while not ended: made.prefill([[1, 2, 3] * 30], 100)
caller = threading.Thread(target=call)
caller.start()
codes = []
for _ in range(12):
    time.sleep(0.003)
    child = os.fork()
    if not child:
        found.gptcli_check_delays(50)
        mine = model(0, "F32")
        os._exit(0 if mine.threads == THREADS and [work(mine, 0) for _ in range(2)] == [expected] * 2 else 3)
    codes.append(os.waitpid(child, 0)[1])
ended.append(True)
caller.join()
print(json.dumps([codes, work(made, 0) == expected]))
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build(tmp_path_factory.mktemp("checked"), checked=True)
    except NoCompilerError as error:
        pytest.skip(str(error))


def run(script: str, checked: Path, threads: int, environment: Environment) -> Any:
    command = [sys.executable, "-c", COMMON + script, str(checked), str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_any_number_of_threads_gives_the_same_bits(checked: Path, child_environment: Environment) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            alone, *several = [run(DELAYED, checked, threads, child_environment) for threads in (1, 2, 3, 7)]
        finally:
            neighbour.kill()
    assert len(set(alone.values())) == 5
    assert several == [alone] * 3


def test_a_thread_without_a_chunk_is_not_waited_for(checked: Path, child_environment: Environment) -> None:
    """All of it is done while that thread stands still; so it was not waited for, however long things take here."""
    threads, stood, stands, same, *later = run(STOPPED, checked, 2, child_environment)
    assert (threads, stood, stands, same) == (2, 1, 1, True)
    assert later == [1, True, True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_from_a_job_begins_without_one(checked: Path, child_environment: Environment) -> None:
    assert run(FORKED, checked, 3, child_environment) == [[0] * 12, True]
