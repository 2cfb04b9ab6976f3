# make perf   measure every tier of the ladder and hold it against its baseline
# make test   this project's own tests
# make lint   ruff, mypy; actionlint and zizmor for the workflows
# make gpu    everything that needs a CUDA device, in under 25 minutes, into gpu-day/ (docs/gpu.md)
# VENV=FOLDER keeps the environment elsewhere, for instance where a checkout does not clean it away.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: perf test gpu lint clean

perf: $(INSTALLED)
	$(BIN)/pytest -m perf tests/perf tests/quality $(ARGS)

test: $(INSTALLED)
	$(BIN)/pytest $(ARGS)

gpu: $(INSTALLED)
	$(BIN)/python -m tests.gpu.day gpu-day $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github/workflows

$(INSTALLED): pyproject.toml baselines/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the pinned versions need Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv "$(VENV)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c baselines/constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf "$(VENV)" .perfsuite .benchmarks
