# The daily commands. `make` lists them.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python

help:  ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup:  ## a development environment in .venv, from the lock
	python3 -m venv $(VENV)
	$(PY) -m pip install -q --require-hashes -r requirements/ci.txt
	$(PY) -m pip install -q torch==2.13.0
	$(PY) -m pip install -q --no-build-isolation --no-deps -e .

check:  ## lint, format, types and dead code, as CI checks them
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/vulture

fmt:  ## let ruff fix and format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

test:  ## the tests, against the checkout (all that CI runs: scripts/test)
	$(VENV)/bin/pytest

ci:  ## what CI runs
	.ci/run

demo:  ## a demo match
	$(VENV)/bin/awm-crank demo

fuzz:  ## changed inputs for every decoder and program, from a seed (INPUTS=20000 SEED=1)
	$(PY) tools/fuzz/run.py --inputs $(or $(INPUTS),20000) --seed $(or $(SEED),1)
	$(PY) tools/fuzz/programs.py --inputs $(or $(INPUTS),20000) --seed $(or $(SEED),1)

bench:  ## the benchmarks
	$(VENV)/bin/awm-crank bench

docs:  ## the documentation site, into build/site (open index.html)
	$(VENV)/bin/mkdocs build

generate:  ## write what the contract (idl/contract/) says
	$(PY) tools/generate.py

programs:  ## rebuild the on-chain programs
	$(PY) localnet/programs/build.py

wheels:  ## the source archive, and the wheels for x86-64 and arm64, into build/wheels
	scripts/wheels

lock:  ## pin the dependencies anew
	$(PY) -m pip install -q uv
	$(PY) tools/runtime_requirements.py
	for name in ci runtime build; do \
	  $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements/$$name.in -o requirements/$$name.txt; done

money:  ## ten thousand random programs by five parties: every lamport goes to its owner (docs/money.md)
	$(PY) tools/money.py

.PHONY: money help setup check fmt test ci demo fuzz bench docs generate programs lock wheels
