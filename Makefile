# Everything a fresh machine needs: Python 3.11 or newer and the package registries.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := nano chem protein dti ray studies serve translation
SOURCES := taglm taglm_core tests plugins examples
# not installed, but held to the same rules
EXAMPLES := examples/plugins/dna:examples/plugins/weather

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# what pip says is of interest only where it fails
OR_SHOW := > $(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }

# The quickstart keeps its tags beside its run, so that a clone leaves nothing elsewhere.
export TAGLM_HOME ?= $(CURDIR)/runs/.taglm

.PHONY: help setup quickstart shell test test-fast coverage lint format wheels docs clean

help:
	@echo "make quickstart   install, train <SMILES> and <QED> on the embedded backbone, show results"
	@echo "make shell        install, open a shell in which taglm is found"
	@echo "make test         install, check style and types, run every test"
	@echo "make test-fast    the tests without those that take more than a few seconds"
	@echo "make coverage     every test, and which lines none of them runs (also in build/coverage)"
	@echo "make wheels       build every distribution into dist/"
	@echo "make docs         build the documentation site into build/site/"

setup: $(VENV)/.installed

$(VENV)/.installed: Makefile constraints.txt pyproject.toml $(PLUGINS:%=plugins/%/pyproject.toml)
	@$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): torch, then taglm, its plugins and what the tests need (some minutes)"
	@$(INSTALL) torch $(OR_SHOW)
	@$(INSTALL) -e . $(PLUGINS:%=-e plugins/%) $(OR_SHOW)
	@$(INSTALL) -e '.[dev,bench,docs]' $(OR_SHOW)
	@touch $@

quickstart: setup
	$(BIN)/taglm run QED --preset quick

# the same tag store as the quickstart, since TAGLM_HOME is exported
shell: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $${SHELL:-/bin/sh}

# One process a core, one thread each: most of a test is start-up, and threads of several processes
# wait for each other.
RUN_TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: setup lint
	$(RUN_TESTS)

test-fast: setup
	$(RUN_TESTS) -m "not slow"

coverage: setup
	$(RUN_TESTS) --cov --cov-report=term --cov-report=html:build/coverage

lint: setup
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	PYTHONPATH=$(EXAMPLES) $(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

wheels: setup
	for folder in . $(PLUGINS:%=plugins/%); do \
		$(BIN)/python -m build --wheel --outdir dist $$folder || exit 1; done

docs: setup
	$(BIN)/python docs/site.py
	$(BIN)/python -m zensical build -f mkdocs.yml --clean --strict

clean:
	rm -rf $(VENV) dist build runs
