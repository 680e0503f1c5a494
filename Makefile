# `make help` lists everything. Needs Python 3.11 or later, make and git; the first target that needs more fetches it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PORT ?= 8080
# Which Python to build .venv with; empty: the first that is new enough.
PYTHON ?=
# What else to tell pytest, for instance: make test PYTEST_ARGS="-k dialer".
PYTEST_ARGS ?=
# Tests at a time. Those of real calls mostly wait: more of them at once. One group after another, since all keep
# the world's time to some part: on two processors, beside one another, they save a minute and fail now and then.
WORKERS ?= 2
CALLING_WORKERS ?= 4
E2E_WORKERS ?= 2
# Where they are, as tests/conftest.py makes sure: looking through all eight thousand takes its time.
CALLING := tests/asterisk tests/engines
E2E := tests/e2e
# pytest ends with 5 where it was told to run nothing.
NONE_IS_FINE := || [ $$? -eq 5 ]
# By file, in the order that tests/conftest.py gives them.
BY_FILE := --dist loadfile --no-loadscope-reorder
# What of the real calls failed.
CALLING_CACHE := -o cache_dir=.pytest_cache/calling

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help demo asterisk asterisk-stop test pytest collect lint types format bench lock install clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED) ## Run the whole platform with a demo tenant on PORT (8080).
	@$(BIN)/tongdai demo --port $(PORT)

asterisk: $(INSTALLED) ## Fetch an Asterisk and start it on this machine, for real calls.
	@$(BIN)/python scripts/asterisk/instance.py

asterisk-stop: ## Stop that Asterisk.
	@$(BIN)/python scripts/asterisk/instance.py stop

test: $(INSTALLED) ## Check format, lint, types and imports, then run all tests.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types lint collect
	@$(MAKE) --no-print-directory pytest

pytest: $(INSTALLED) ## Run the tests alone.
	$(BIN)/pytest -n $(WORKERS) $(BY_FILE) -m "not e2e and not asterisk" $(PYTEST_ARGS) $(NONE_IS_FINE)
	@if scripts/asterisk/fetch.sh; then \
	    $(BIN)/pytest $(CALLING_CACHE) -n $(CALLING_WORKERS) $(BY_FILE) -m asterisk $(CALLING) $(PYTEST_ARGS) $(NONE_IS_FINE) \
	    || { echo "What failed of the real calls is tried once more, alone: they keep the world's time."; \
	         $(BIN)/pytest $(CALLING_CACHE) --last-failed --last-failed-no-failures none \
	             -m asterisk $(CALLING) $(PYTEST_ARGS); }; \
	elif [ "$$TONGDAI_TEST_ASTERISK" = required ]; then exit 1; \
	else echo "THE TESTS OF REAL CALLS DID NOT RUN: no Asterisk could be fetched (see above)."; fi
	$(BIN)/pytest -n $(E2E_WORKERS) $(BY_FILE) -m e2e $(E2E) $(PYTEST_ARGS) $(NONE_IS_FINE)

# A file that cannot be read is told before anything runs, and what Python compiles once is there for all.
collect: $(INSTALLED)
	@said=$$($(BIN)/pytest --collect-only -qq -m "not asterisk" 2>&1) || { echo "$$said"; exit 1; }

lint: $(INSTALLED) ## Check format, lint and the import rules.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: $(INSTALLED) ## Check the types.
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code and mend what the linter can mend.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED) ## Measure, print the table and write benchmarks/results.json.
	$(BIN)/python -m benchmarks.run

lock: $(INSTALLED) ## Rewrite the lock files after a change of dependencies in pyproject.toml.
	scripts/lock.sh

install: $(INSTALLED) ## Only fetch what everything else needs.

$(INSTALLED): requirements/dev.lock requirements/build.lock requirements/tools.lock pyproject.toml scripts/bootstrap.sh
	@PYTHON="$(PYTHON)" scripts/bootstrap.sh

clean: ## Remove what was fetched and built here (not the demo's data).
	rm -rf .venv .tools .asterisk/tree .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
