# Two commands do everything on a machine with Python 3.11 or newer, git and make:
#   make demo    set up, write the simulated trial, run the whole pipeline on it
#   make test    set up, run every check and every test

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready

.PHONY: setup demo test lint benchmark clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("cytotrial needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

# The sheets are written last: without them the trial is not complete.
resources/demo/sheets/samples.tsv: $(READY)
	rm -rf resources/demo
	$(BIN)/cytotrial demo resources/demo

demo: resources/demo/sheets/samples.tsv
	@echo "running the pipeline; every step is in .snakemake/log"
	@$(BIN)/snakemake $$([ -t 2 ] || echo --quiet all) || { tail -n 60 "$$(ls -t .snakemake/log/*.log | head -n 1)"; exit 1; }
	@$(BIN)/cytotrial summary

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow

benchmark: $(READY)
	$(BIN)/python benchmarks/tube_path.py
	$(BIN)/python benchmarks/check_trial.py
	$(BIN)/python benchmarks/whole_pipeline.py

clean:
	rm -rf results resources/demo .snakemake
