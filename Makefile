# Hefu's commands. `make` alone lists them; a `##` comment feeds that list.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CODE := libs services tests protos/build.py .ci
IMAGE := build/protos.binpb
BASELINE := protos/baseline.binpb

# What `make run` may be told. Empty is the default of the command line itself.
# Orders file to play.
ORDERS ?=
# File for the report as JSON.
REPORT ?=
# Manners of the sample banks: clean, ordinary or hostile.
BANKS ?= ordinary
# Added to every port, so that two systems fit one machine.
PORT_OFFSET ?=
# 1 leaves the system running after the day.
KEEP ?=
# 1 plays what is valid of a file that has malformed lines.
SKIP_INVALID ?=
# So many processes share the quick tests, a file at a time; 0: the one that was asked.
JOBS ?= 2

.PHONY: help
help: ## List every target in one line each
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-16s\033[0m%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Make .venv from the lock (once; again when the lock changes)

$(READY): requirements.lock pyproject.toml .ci/setup.py
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) not found; install python3 (3.11 or newer) and python3-venv" >&2; exit 1; }
	@$(PYTHON) .ci/setup.py

.PHONY: protos
protos: $(READY) ## Generate libs/gen from protos/ (only when a contract changed)
	@$(BIN)/python protos/build.py generate

# Fourteen processes start at once: where Python may not keep bytecode, each would compile all.
.PHONY: bytecode
bytecode: protos ## Compile once what many processes start from
	@$(BIN)/python -m compileall -q libs services

.PHONY: run
run: bytecode ## Play one business day: ORDERS= REPORT= BANKS= PORT_OFFSET= KEEP= SKIP_INVALID=
	@$(BIN)/hefu day --fresh $(if $(KEEP),,--stop) \
		$(if $(ORDERS),--orders "$(ORDERS)") $(if $(REPORT),--report "$(REPORT)") --banks "$(BANKS)" \
		$(if $(PORT_OFFSET),--port-offset "$(PORT_OFFSET)") $(if $(SKIP_INVALID),--skip-invalid)

.PHONY: up
up: bytecode ## Start the system in the background
	@$(BIN)/hefu up $(if $(PORT_OFFSET),--port-offset "$(PORT_OFFSET)")

.PHONY: down
down: $(READY) ## Stop the system
	@$(BIN)/hefu down

.PHONY: check
check: protos lint types imports protolint test ## Everything that must hold: lint, types, import law, protos, tests

.PHONY: fmt
fmt: $(READY) ## Format the code and repair what can be repaired
	@$(BIN)/ruff format -q $(CODE)
	@$(BIN)/ruff check -q --fix $(CODE)

.PHONY: lint
lint: $(READY) ## Check format and lint
	@$(BIN)/ruff format -q --check $(CODE) || { echo "lint: run 'make fmt'" >&2; exit 1; }
	@$(BIN)/ruff check -q $(CODE)

.PHONY: types
types: protos ## Check types, strictly
	@$(BIN)/mypy

.PHONY: imports
imports: protos ## Check who may import whom
	@$(BIN)/lint-imports --no-logo

.PHONY: protolint
protolint: $(READY) ## Check the contracts: buf's STANDARD rules, and nothing broken since the baseline
	@$(BIN)/python protos/build.py image $(IMAGE)
	@$(BIN)/buf lint $(IMAGE) --config protos/buf.yaml --path hefu
	@$(BIN)/buf breaking $(IMAGE) --against $(BASELINE) --config protos/buf.yaml --path hefu

.PHONY: proto-baseline
proto-baseline: $(READY) ## Take today's contracts as what must not be broken
	@$(BIN)/python protos/build.py image --bare $(BASELINE)

.PHONY: test
test: protos ## Run the quick tests (ARGS= goes to pytest, JOBS= processes share them)
	@$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: test-full
test-full: protos ## Run the long tests too: kills, faults, whole days
	@$(BIN)/pytest -m "full or not full" $(ARGS)

.PHONY: bench
bench: protos ## Measure speed, durability on
	@$(BIN)/python -m tests.bench

.PHONY: lock
lock: ## Pin the dependencies anew (needs uv, which nothing else does)
	@uv=$$(command -v uv || command -v $(BIN)/uv) || { echo "lock: uv not found; 'pip install uv' in any environment" >&2; exit 1; }; \
	$$uv pip compile -q --generate-hashes --universal --python-version 3.11 --all-extras --no-header \
		-o requirements.lock pyproject.toml

.PHONY: clean
clean: ## Remove all that is made: .venv, libs/gen, .run, caches
	@if [ -x $(BIN)/hefu ] && [ -d .run ]; then $(BIN)/hefu down >/dev/null 2>&1 || true; fi
	@rm -rf .venv .run build libs/gen .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
