# `make up` and `make test` do all the set-up on a bare machine.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# Or each of the many processes of the tests would compile all of our code again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down test unit thorough config e2e bench lint format dashboards incidents pictures clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	@scripts/ensure-python.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

.PHONY: engine local-set
engine:
	@scripts/ensure-docker.sh

local-set: $(VENV)/.installed
	@scripts/ensure-docker.sh --local-set
	$(BIN)/stackctl images build --versions plan
	$(BIN)/stackctl images build --versions current

up: engine $(VENV)/.installed ## Bring the stack up, whatever is missing for it first
	$(BIN)/stackctl up

down: $(VENV)/.installed ## Stop the stack; its data stays
	$(BIN)/stackctl down

test: lint unit thorough config e2e ## All checks and tests, fast ones first

unit: $(VENV)/.installed ## Tests without Docker, the quick ones
	$(BIN)/pytest -n auto --dist worksteal -m 'not thorough' tests/unit

thorough: $(VENV)/.installed ## Those that take longer: by examples, in processes, of the code in our images
	@scripts/ensure-test-tools.sh zsh fish
	$(BIN)/pytest -n auto --dist worksteal -m thorough tests/unit standins demo

config: local-set ## The real promtool, amtool and compose over the configuration
	$(BIN)/pytest tests/config

e2e: local-set ## A real Docker Engine: one stack up, verify, chaos, down
	@scripts/ensure-test-tools.sh docker-registry
	$(BIN)/pytest tests/e2e

bench: local-set ## Measure against docker compose; writes docs/BENCHMARKS.md
	$(BIN)/python -m tests.bench

lint: $(VENV)/.installed ## ruff (lint and format), mypy (strict), import-linter (layers)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(VENV)/.installed ## Write the dashboards' JSON from their source
	$(BIN)/python -m dashboards

incidents: local-set ## Who is notified of which incident: writes the guide's table
	$(BIN)/python -m tests.incidents

pictures: $(VENV)/.installed ## The running stack's dashboards as `stackctl snapshot` draws them, into dist/pictures
	$(BIN)/python -m tests.pictures

clean: ## Remove what the other targets made here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
