# `make up` and `make test` do all the set-up on a bare machine.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
LOCK := $(VENV)/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml

# Otherwise each of the tests' many processes would compile all of our code again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down test unit thorough config e2e bench lint format lock dashboards incidents pictures terminal clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Running stackctl takes a third of the packages that the tests need.
$(VENV)/.runtime: pyproject.toml requirements.txt
	@scripts/ensure-python.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.txt
	@touch $@

.PHONY: engine local-set
engine:
	@scripts/ensure-docker.sh

local-set: $(VENV)/.runtime
	@scripts/ensure-docker.sh --local-set
	$(BIN)/stackctl images build --versions plan
	$(BIN)/stackctl images build --versions current

up: ## Set up everything that is missing, then start the stack
	+@$(MAKE) --no-print-directory --jobs=2 engine $(VENV)/.runtime
	$(BIN)/stackctl up

down: $(VENV)/.runtime ## Stop the stack and keep its data
	$(BIN)/stackctl down

# Their output is shown when each ends, as they run side by side.
SIDE_BY_SIDE = +@MAKE="$(MAKE)" scripts/side-by-side.sh

test: $(VENV)/.installed ## Run all checks and tests, fast ones first
	$(SIDE_BY_SIDE) local-set lint unit thorough
	+@$(MAKE) --no-print-directory config
	+@$(MAKE) --no-print-directory e2e

unit: $(VENV)/.installed ## Run the quick tests without Docker
	$(BIN)/pytest -n auto --dist worksteal -m 'not thorough' tests/unit

thorough: $(VENV)/.installed ## Run the slower ones: property-based, in processes, of the code in our images
	@scripts/ensure-test-tools.sh zsh fish
	$(BIN)/pytest -n auto --dist worksteal -m thorough tests/unit standins demo

config: local-set $(VENV)/.installed ## Check the configuration with the real promtool, amtool and Compose
	$(BIN)/pytest -n auto --dist loadgroup tests/config

# All tests run on the distribution's engine, their core also on the newer one.
ENGINE ?= distribution newer
E2E_distribution := e2e-first e2e-second e2e-own
E2E_newer := e2e-newer
e2e: local-set $(VENV)/.installed ## Test on real Docker Engines: up, verify, chaos, down. ENGINE=distribution or newer selects one
	@scripts/ensure-test-tools.sh docker-registry
	$(SIDE_BY_SIDE) --jobs 3 $(foreach engine,$(ENGINE),$(E2E_$(engine)))
ifneq ($(filter distribution,$(ENGINE)),)
	$(BIN)/pytest -m daemon tests/e2e
endif

# Those wait more than they work: for scrapes, for alerts, for services to start.
.PHONY: e2e-first e2e-second e2e-own e2e-newer
e2e-second: export E2E_PROJECT := stackctl-e2e-second
e2e-first e2e-second e2e-own:
	$(BIN)/pytest -m '$(subst e2e-,,$@)_stack and not newer' tests/e2e

e2e-newer:
	scripts/newer-engine.sh $(BIN)/pytest -m 'core or newer' tests/e2e

bench: local-set $(VENV)/.installed ## Compare with docker compose: writes docs/BENCHMARKS.md
	$(BIN)/python -m tests.bench

lint: $(VENV)/.installed ## Run ruff, mypy (strict), import-linter (layers) and the check of wording
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/check_wording.py

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin the newest releases that pyproject.toml allows: writes requirements.txt and requirements-dev.txt
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet 'uv>=0.9'
	$(LOCK) --upgrade --output-file requirements.txt
	$(LOCK) --upgrade --group dev --constraints requirements.txt --output-file requirements-dev.txt

dashboards: $(VENV)/.installed ## Generate the dashboards' JSON from their source
	$(BIN)/python -m dashboards

incidents: local-set $(VENV)/.installed ## Evaluate who is notified of which incident: writes the guide's table
	$(BIN)/python -m tests.incidents

pictures: $(VENV)/.installed ## Draw the running stack's dashboards as `stackctl snapshot` does, to dist/pictures
	$(BIN)/python -m tests.pictures

terminal: $(VENV)/.installed ## Draw the README's picture of a terminal from the running stack: breaks a service for a while
	$(BIN)/python -m tests.terminal

clean: ## Remove what the other targets created here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
