# Every verb is one line in `make help`. Machines: Debian 12, Ubuntu 24.04; others with the same
# programs installed by hand.

VENV_PYTHON := .venv/bin/python
SETUP_DONE := .venv/.setup-done
SUPERVISOR := sandbox/supervisor/bin/xq
# Tests wait much for containers, processes and disks. tests/conftest.py says which must stay together.
AT_ONCE := --numprocesses 2

.PHONY: help setup demo run test check bench services lock
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP_DONE) $(SUPERVISOR) ## Make .venv/ with the locked dependencies, and install missing system packages

$(SETUP_DONE): requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $@

$(SUPERVISOR): sandbox/supervisor/build.sh $(wildcard sandbox/supervisor/*.[ch])
	@scripts/supervisor.sh
	@touch $@

demo: setup ## Grade three submissions from a stand-in LMS with the whole product, and check the grades
	@$(VENV_PYTHON) -m deploy.demo demo

run: setup ## Run the whole product with a stand-in LMS until Ctrl-C
	@$(VENV_PYTHON) -m deploy.demo run

test: setup ## Run all tests (ARGS="..." for pytest); a missing service skips its tests, except under CI=true
	@scripts/services.sh --start-only
	$(VENV_PYTHON) -m pytest $(AT_ONCE) $(ARGS)

check: setup ## Check style, types and who imports whom
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports

bench: setup ## Measure: figures for people, never part of the tests
	@scripts/services.sh --start-only
	$(VENV_PYTHON) -m tests.bench $(ARGS)

services: ## Install and start Docker Engine, PostgreSQL and Redis, and build the sandbox images (root)
	@scripts/services.sh

lock: ## Write requirements.lock anew for all Python versions (ARGS=--upgrade for newer releases)
	@scripts/lock.sh $(ARGS)
