# Every target installs what it needs first, into $(VENV), from pyproject.toml and constraints.txt.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# Small graphs gain nothing from several threads a process; tests use several processes instead.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-slow lint format bench encoders clean

demo: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/archflow demo

test: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/pytest -n auto

test-slow: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/pytest -n auto -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Takes long; `python benchmarks/everything.py --quick` does not. Figures go to benchmarks/results.
bench: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python benchmarks/everything.py

# The pre-trained encoders that the package ships; takes a quarter of an hour.
encoders: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/archflow pretrain --space nasbench201 --all --encoder gin \
		--out src/archflow/data/encoders/nasbench201-gin-collapsed
	$(ONE_THREAD) $(BIN)/archflow pretrain --space nasbench101 --sample 20000 --encoder gin \
		--out src/archflow/data/encoders/nasbench101-gin-collapsed

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
