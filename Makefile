# The two commands a newcomer needs are `make demo` and `make test`; `make help` lists the others.
# Every one of them works from a fresh clone: the environment is made on the way.

PYTHON ?= python3
BIN := .venv/bin
# Tests run on this many processes.
JOBS ?= 2
# `make fuzz` looks for this long.
MINUTES ?= 30
DUMP ?= picograd-dump
export PYTHON
# Vulkan's loader complains when nobody says where its sockets may live.
export XDG_RUNTIME_DIR ?= /tmp

RUN_STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help venv demo test check lint types unit samples fuzz mutants soak docs docs-update serve format bench clean

help: ## show these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

venv: $(DEV_STAMP) ## make the environment, with the tools for developing

demo: $(RUN_STAMP) ## train a classifier on the CPU and on the GPU, and show what happened
	$(BIN)/picograd demo --dump $(DUMP)

test: check docs unit ## lint, types, docs build, tests

check: lint types ## lint and types only: seconds, for before a commit

lint: $(DEV_STAMP)
	$(BIN)/ruff check picograd tests scripts examples docs/examples
	$(BIN)/ruff format --check picograd tests scripts examples docs/examples

types: $(DEV_STAMP)
	$(BIN)/pyright

unit: $(DEV_STAMP) ## the tests alone
	$(BIN)/pytest -q -n $(JOBS)

samples: $(DEV_STAMP) ## every sample of the table of functions, on every device, in every mode
	PICOGRAD_ALL_CASES=1 $(BIN)/pytest -q -n $(JOBS) tests/check/functions

mutants: $(DEV_STAMP) ## wrong variants of our own passes: each must be found
	$(BIN)/python -m picograd.check.mutants --jobs $(JOBS)

fuzz: $(DEV_STAMP) ## random programs, passes and devices in search of faults, for MINUTES (30)
	BIN=$(BIN) JOBS=$(JOBS) scripts/fuzz.sh $(MINUTES)

soak: $(DEV_STAMP) ## many calls and compilations, in which memory must not grow
	$(BIN)/python -m picograd.check.soak

docs: $(DEV_STAMP) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-update: $(DEV_STAMP) ## fill the examples and grammars in docs/ from the docstrings
	$(BIN)/python scripts/update_docs.py

serve: $(DEV_STAMP) ## serve the documentation while you write it
	$(BIN)/mkdocs serve

format: $(DEV_STAMP) ## format the sources
	$(BIN)/ruff check --fix picograd tests scripts examples docs/examples
	$(BIN)/ruff format picograd tests scripts examples docs/examples

bench: $(RUN_STAMP) ## compare with NumPy and with a hand-written schedule
	$(BIN)/picograd bench demo
	$(BIN)/picograd bench gemm

clean: ## remove everything that was made here
	rm -rf .venv site build dist *.egg-info .pytest_cache .ruff_cache .hypothesis $(DUMP) picograd-fuzz picograd-fuzz.json picograd-reduced

$(RUN_STAMP): pyproject.toml scripts/bootstrap.sh
	scripts/bootstrap.sh
	@touch $@

$(DEV_STAMP): pyproject.toml scripts/bootstrap.sh
	scripts/bootstrap.sh dev
	@touch $@ $(RUN_STAMP)
