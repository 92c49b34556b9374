# Every target does its own set-up in .venv; nothing outside this folder is touched but uv's cache.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# Two stamps: what a user needs, and what tests and checks need besides (Ray, mypy, validators ...).
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

help:
	@echo "make demo    compare the methods on embedded digits, and say where the report is"
	@echo "make test    run the tests"
	@echo "make check   ruff, mypy, import-linter"
	@echo "make slow    the long tests too"

# uv is taken from the system when it is there; else it comes into the project's own .venv.
define install
	@if command -v uv >/dev/null 2>&1; then \
	  UV=uv; uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV) || exit 1; \
	else \
	  UV=$(BIN)/uv; \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	    { echo "needs uv, or Python's venv module (Debian, Ubuntu: the package python3-venv)"; exit 1; }; \
	  test -x $$UV || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || exit 1; \
	fi; \
	echo "installing into $(VENV) (torch is large: some minutes the first time)"; \
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $$UV pip install --quiet -c constraints.txt -e '.[$(1)]'
	@touch $@
endef

# What the demo shows: a variable, as a call parts its arguments at commas.
DEMO := serve,pretrained

$(READY): pyproject.toml constraints.txt
	$(call install,$(DEMO))

$(READY_DEV): pyproject.toml constraints.txt
	$(call install,dev)

demo: $(READY)
	$(BIN)/sightline compare digits

# Two processes of one thread each: with two each, those of the two wait for one another, and a fit of
# three seconds takes two minutes.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

test: $(READY_DEV)
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

slow: $(READY_DEV)
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "not gpu"

check: $(READY_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help demo test slow check clean
