# Everything a fresh clone needs: `make demo`, `make test`. The environment makes itself, in .venv.
# Another interpreter: make PYTHON=/path/to/python3.12 test

PYTHON ?= python3
BIN := .venv/bin
# Workers for the tests: one per core, at most four (each imports torch and computes on one thread).
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo demo-text demo-table demo-signals test test-slow endurance lint format types bench docs clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# Two environments in one folder: using pellucid needs less than testing it, and the second includes the first.
.venv/.stamp-data: pyproject.toml constraints.txt .ci/environment
	@PYTHON='$(PYTHON)' .ci/environment data

.venv/.stamp-dev: pyproject.toml constraints.txt .ci/environment
	@PYTHON='$(PYTHON)' .ci/environment dev

demo: .venv/.stamp-data  ## train on real digits, sample every class, write the report (about five minutes)
	@$(BIN)/pellucid demo $(ARGS)

demo-text: .venv/.stamp-data  ## train on names, sample and fill in some, write the report (about four minutes)
	@$(BIN)/pellucid train names --budget 3m --out $(or $(OUT),runs/demo-text) $(ARGS)
	@$(BIN)/pellucid sample $(or $(OUT),runs/demo-text) -n 20
	@$(BIN)/pellucid restore $(or $(OUT),runs/demo-text) --text "J___n" -n 8

demo-signals: .venv/.stamp-data  ## train on days of power demand, sample, forecast, write the report (about three minutes)
	@$(BIN)/pellucid train signals --budget 100s --out $(or $(OUT),runs/demo-signals) $(ARGS)
	@$(BIN)/pellucid sample $(or $(OUT),runs/demo-signals) -n 20
	@$(BIN)/pellucid restore $(or $(OUT),runs/demo-signals) --forecast 6 --simulate --out $(or $(OUT),runs/demo-signals)/forecast

demo-table: .venv/.stamp-data  ## train on penguins, sample rows, fill in missing cells, write the report (about two minutes)
	@$(BIN)/pellucid train table penguins --budget 60s --out $(or $(OUT),runs/demo-table) $(ARGS)
	@$(BIN)/pellucid sample $(or $(OUT),runs/demo-table) -n 344
	@$(BIN)/pellucid sample $(or $(OUT),runs/demo-table) -n 100 --where species=Adelie
	@$(BIN)/pellucid restore $(or $(OUT),runs/demo-table) examples/penguins-with-holes.csv --out $(or $(OUT),runs/demo-table)/filled

test: .venv/.stamp-dev  ## run the tests (ARGS='-k heun' selects)
	@$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m 'not slow' $(ARGS)

test-slow: .venv/.stamp-dev  ## run the long tests alone
	@$(BIN)/pytest -m slow $(ARGS)

endurance: .venv/.stamp-dev  ## try to break what is promised, print how often (about half an hour)
	@$(BIN)/python -m tests.endurance $(or $(ARGS),--write docs/endurance.md)

lint: .venv/.stamp-dev  ## check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: .venv/.stamp-dev  ## rewrite the files in the project's format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: .venv/.stamp-dev  ## check the type annotations
	@$(BIN)/mypy

bench: .venv/.stamp-dev  ## run every benchmark and print its table (long)
	@set -e; for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file; done

docs: .venv/.stamp-dev  ## run the README's snippets and the doctests, check links and docstrings
	@$(BIN)/pytest tests/house/test_readme.py tests/house/test_docstrings.py $(ARGS)

clean:  ## remove the environment and all caches (runs are kept)
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
