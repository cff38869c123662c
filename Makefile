# Two commands matter: `make demo` and `make test`. Both set up .venv first; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Only what is imported is compiled: pip would compile 100 MB of modules that nothing here needs, for two minutes. What venv
# compiled of pip itself is removed, 12 MB.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
COMPILE := $(BIN)/python -c
# Without files of bytecode, each of the several hundred processes of the tests would compile what it imports, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup dev demo ui test programs-for-tests pictures docs openapi bench check format browser postgres clean test-long

help:           ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## put the program into .venv
	@echo "callreel: ready, the program is $(BIN)/callreel"

dev: $(VENV)/.dev ## put the program and what tests and checks need into .venv

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "callreel: setting up $(VENV) (a minute or so the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "callreel needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@$(COMPILE) 'import callreel.cli.demo, callreel.cli.simulate, callreel.app.server, callreel.simulator.signalling.webrtc, faster_whisper'
	@find $(VENV)/lib -path '*/site-packages/pip/*.pyc' -delete -o -path '*/site-packages/setuptools/*.pyc' -delete
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "callreel: adding the tools of tests and checks (a minute or two the first time)"
	@$(PIP) --editable '.[dev,docs,openai]'
	@$(COMPILE) 'import pytest, pytest_asyncio, xdist, hypothesis, schemathesis, playwright.sync_api, moto.server, openai, jiwer, meeteval'
	@touch $@

demo: setup     ## one recorded, transcribed, verified call, with no account
	@$(BIN)/python scripts/ui_current.py
	@$(BIN)/callreel demo

ui:             ## check, test and build the pages' script (Node.js 20.19 or newer; what it makes is kept in git)
	@sh scripts/ui.sh

browser: dev  ## Chromium for the browser tests (Debian's package)
	@sh scripts/get_chromium.sh

postgres:       ## PostgreSQL's programs for the database tests (Debian's package)
	@sh scripts/get_postgres.sh

check: dev    ## style, types, direction of imports
	@echo "callreel: ruff, mypy strict, import-linter"
	@$(BIN)/ruff check --quiet src tests scripts benchmarks
	@$(BIN)/ruff format --quiet --check src tests scripts benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: dev ## the whole gate, then all tests, by three processes
	@$(MAKE) --no-print-directory -j 2 check programs-for-tests
	@echo "callreel: tests"
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

programs-for-tests:  # one after the other, beside the checks: Debian's packages wait for the network and for each other
	@$(MAKE) --no-print-directory browser postgres ui

test-long:      ## make test with the long tests: more whole calls with kills, encryption and pauses
	@CALLREEL_TEST_LONG=1 $(MAKE) --no-print-directory test

pictures: browser ## docs/images again, by the tests that take them (quiet machine, five minutes)
	@CALLREEL_PICTURES=docs/images $(BIN)/python -m pytest -q tests/end_to_end/test_browser_day.py tests/end_to_end/test_film.py tests/web/test_pictures.py tests/web/test_browser_report.py

docs: dev       ## the documentation as a site, site/index.html (no warnings, no broken links)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "callreel: the site is in site/, its first page site/index.html"

openapi: dev    ## write docs/openapi.json again, after a change of the API
	@CALLREEL_WRITE_OPENAPI=1 $(BIN)/python -m pytest -q tests/web/test_api_docs.py

bench: dev    ## capacity, stages and latency, some minutes; figures and how to read them: docs/performance.md
	@$(BIN)/python -m benchmarks.ingest --calls 200 --seconds 15 --against bare
	@$(BIN)/python -m benchmarks.ingest --calls 200 --seconds 15 --media-workers 1
	@$(BIN)/python -m benchmarks.ingest --calls 40 --seconds 15 --against pipecat
	@$(BIN)/python -m benchmarks.soak --hours 1 --calls 100
	@$(BIN)/python -m benchmarks.stages
	@$(BIN)/python -m benchmarks.live

format: dev   ## let ruff lay the code out
	@$(BIN)/ruff check --quiet --fix src tests scripts benchmarks
	@$(BIN)/ruff format --quiet src tests scripts benchmarks

clean:          ## remove .venv and caches, never recordings
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
