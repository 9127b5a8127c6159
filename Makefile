# `make` lists the targets. Everything runs inside .venv, which the first target makes.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
SWEEP  ?=
BASE   ?= HEAD

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full test-mutants same-numbers test-kill test-gpu test-slurm test-ray lint docs ablation report benchmark clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done  ## make .venv with the tested versions

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## the two-phase NT experiment on the phantom: two seeds, an unseen hospital, minutes on a CPU; SWEEP=seed=1000: one
	$(RUN) -m ushydra_lab +experiment=nt_phase2 scale=laptop $(SWEEP)

test: setup  ## the tests
	$(RUN) -m pytest -n auto --dist loadfile

test-full: setup  ## all files of the fuzz tests, of which `make test` tries a tenth (minutes)
	USHYDRA_FUZZ=full $(RUN) -m pytest -n auto tests/data tests/claims -k fuzz

test-mutants: setup  ## wrong lines, one at a time: which do the tests not notice? (hours; goes on where it stopped)
	$(RUN) -m tests.mutants

same-numbers: setup  ## does the working tree compute what BASE computed, to the bit? make same-numbers BASE=HEAD~3
	$(RUN) tests/same_numbers.py $(BASE)

test-kill: setup  ## a sweep killed ten times ends with the same bits
	USHYDRA_KILLS=10 $(RUN) -m pytest tests/runs/test_survival.py -k random_moments

test-gpu: setup  ## all systems on a GPU: same bits twice, killed and continued, two jobs at a time, bf16 (minutes)
	$(RUN) -m pytest -rs tests/gpu

test-slurm: setup  ## a sweep on a real SLURM of one node (apt-get install slurm-wlm munge; as root)
	USHYDRA_CLUSTERS=1 $(RUN) -m pytest -rs tests/slurm

test-ray: setup  ## a sweep through ray, two jobs at a time (pip install ray first)
	USHYDRA_CLUSTERS=1 $(RUN) -m pytest -rs tests/ray

lint: setup  ## ruff, mypy and the import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: setup  ## the documentation as a site, docs/_build/html/index.html; runs its notebook (minutes the first time)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(RUN) docs/run_notebook.py docs/_build/notebook
	$(RUN) -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

ablation: setup  ## which Phase-2 loss terms help, all from one Phase-1 checkpoint per seed (Tables 2 and 9)
	$(RUN) -m ushydra_lab +experiment=nt_ablation $(SWEEP)

report: setup  ## tables and figures of every experiment under multirun/
	$(RUN) -m ushydra_lab report multirun

benchmark: setup  ## speed beside named references and the machine's limit, then how far statistics hold (minutes)
	$(RUN) -m ushydra_lab benchmark

clean:  ## remove the environment and caches (runs stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
