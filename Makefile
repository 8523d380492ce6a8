# Everything a newcomer needs: `make quickstart` shows the main job, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: install install-dev quickstart test check clean

install: .venv/installed
install-dev: .venv/installed-dev

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Maskwright needs Python 3.11 or newer; name one with: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing (about a minute the first time) …"
	$(PIP) --editable .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing with the test and check tools …"
	$(PIP) --editable '.[test,check]'
	@touch $@ .venv/installed

quickstart: install
	$(BIN)/maskwright quickstart $(ARGS)

test: install-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(ARGS)

check: install-dev
	$(BIN)/ruff format --check src tests docs
	$(BIN)/ruff check src tests docs
	$(BIN)/mypy

clean:
	rm -rf .venv build dist src/*.egg-info
