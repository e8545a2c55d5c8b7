# make demo   the main job on real data
# make test   everything CI runs
# Both put .venv in place on first use. pip takes its settings from the environment and pip.conf as always. For
# a torch without CUDA run `make venv`, install that torch with .venv/bin/python -m pip, then go on as usual.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv
# -P: the top-level folders must not shadow (or stand in for) the installed kgenre.
PYTHON := $(VENV)/bin/python -P
# The stamps name what was installed: a changed pyproject.toml or a moved checkout installs anew.
KEY := $(shell { pwd -P; cat pyproject.toml; } | cksum | cut -d ' ' -f 1)
RUN := $(VENV)/.installed-run-$(KEY)
DEV := $(VENV)/.installed-dev-$(KEY)

.PHONY: help demo test lint type unit notebooks docs venv clean bench

help:
	@echo "make demo        fit, evaluate and explain on MovieLens-100k with a knowledge graph"
	@echo "make test        lint + type + unit + notebooks + docs: exactly what CI runs"
	@echo "make lint        ruff (format and rules), import-linter"
	@echo "make type        mypy, strict"
	@echo "make unit        pytest; a real Neo4j where there is one (see CONTRIBUTING.md)"
	@echo "make notebooks   build the notebooks from their sources and execute them"
	@echo "make docs        build the documentation's site into build/site, strictly"
	@echo "make bench       every peer and kgenre on the benchmark splits, and the README's figures of them"
	@echo "make venv        only create .venv"
	@echo "make clean       remove .venv and everything built"

demo: $(or $(wildcard $(DEV)),$(RUN))
	$(VENV)/bin/kgenre demo

test: lint type unit notebooks docs

lint: $(DEV)
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

type: $(DEV)
	$(PYTHON) -m mypy -p kgenre

# A process a core; a file's tests stay together, for what they share.
unit: export OMP_NUM_THREADS := 1
unit: $(DEV)
	$(PYTHON) -m pytest -n auto --dist loadfile

notebooks: $(DEV)
	rm -rf build/notebooks
	mkdir -p build/notebooks
	for source in notebooks/*.py; do \
	  $(PYTHON) -m jupytext --quiet --to ipynb --set-kernel python3 \
	    --output "build/notebooks/$$(basename "$$source" .py).ipynb" "$$source"; \
	done
	$(PYTHON) -m pytest --nbmake --nbmake-timeout=900 build/notebooks

docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

bench: $(DEV)
	$(PYTHON) -m pip install --quiet --editable '.[dev,bench]'
	$(VENV)/bin/python benchmarks/recbole_peers.py
	$(VENV)/bin/python benchmarks/bench.py ml-100k
	$(VENV)/bin/python benchmarks/bench.py ml-1m
	$(VENV)/bin/python benchmarks/figures.py

venv:
	tools/venv.sh $(VENV)

$(RUN): EXTRAS :=
$(DEV): EXTRAS := [dev]
$(RUN) $(DEV):
	tools/venv.sh $(VENV)
	rm -f $(VENV)/.installed-*
	@echo "Installing into $(VENV): minutes and gigabytes the first time (torch), seconds afterwards."
	$(PYTHON) -m pip install --editable '.$(EXTRAS)'
	touch $@

clean:
	rm -rf $(VENV) build dist
