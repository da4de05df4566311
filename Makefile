# The commands of this project. `make demo` and `make test` need Python 3.11 to 3.13, make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := all demo dev
# What an image installs: versions of requirements.lock, for the images' Python and system.
IMAGE_REQUIREMENTS = $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--constraints requirements.lock --no-annotate --custom-compile-command "make lock"
INSTALLED := $(VENV)/installed

# Trust what the system trusts: company networks bring certificates of their own.
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## Make the environment (.venv) from requirements.lock.

$(INSTALLED): requirements.lock setup.py
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed, this is %s" % sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock: install  ## Choose the versions anew, within the ranges of setup.py.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade setup.py \
		$(foreach extra,$(EXTRAS),--extra $(extra)) --custom-compile-command "make lock" \
		--output-file requirements.lock
	$(IMAGE_REQUIREMENTS) --output-file docker/preprocess/requirements.txt docker/preprocess/requirements.in
	$(IMAGE_REQUIREMENTS) --output-file docker/accelerator/requirements.txt setup.py \
		--extra eval --extra study --extra heic --extra release --extra gpu

# Beam's Prism, an engine for tests of portable jobs. It is built once (ten minutes, with Go) and kept outside the clone.
PRISM := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/coltran-pipelines/bin/prism

prism: $(PRISM)  ## Build Beam's Prism, so that the tests of portable engines run on it too.

$(PRISM):
	GOBIN=$(dir $@) go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$$(sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' requirements.lock)

demo: install  ## The whole way on photos that ship in installed packages (a few minutes).
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/demo.py

# Of a benchmark only this is checked: what it calls exists, and takes so many arguments of such names. Two sets of options
# that shared a cache would empty it for each other.
LOOSE_TYPES := --cache-dir .mypy_cache/benchmarks --ignore-missing-imports --no-warn-unused-ignores \
	--check-untyped-defs --allow-untyped-defs --allow-incomplete-defs \
	$(addprefix --disable-error-code=,arg-type assignment call-overload dict-item index operator return-value \
	union-attr var-annotated)
lint: install  ## Check style, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy $(LOOSE_TYPES) benchmarks/*.py

# The fast tests' lines by room; processes that tests start are not counted.
coverage: install  ## Lines that the fast tests run, by room.
	$(BIN)/pytest -q -m "not slow" -n 2 --dist loadfile --cov=coltran --cov=pipelines --cov=eval --cov=human_eval --cov-report=json:.coverage.json
	$(BIN)/python tests/coverage_by_room.py .coverage.json

test: install  ## All fast tests.
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile --durations=20

test-slow: install  ## The slow tests, two at a time; then those that measure time, one by one.
	$(BIN)/pytest -m "slow and not alone" -n 2 --dist loadfile --durations=20
	$(BIN)/pytest -m "slow and alone"

clean:  ## Remove the environment and the demo's output.
	rm -rf $(VENV) demo build *.egg-info

.PHONY: help install lock prism demo lint coverage test test-slow clean
