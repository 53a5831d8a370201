# Assumed: Python 3.10 or newer, a C++20 compiler with OpenMP, make. Everything else is installed into .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The Python that .venv is made with; `make install PYTHON=/path/to/python` overrides it.
PYTHON ?=
# The compiler of the kernels; CMake reads CXX too.
CXX_FOUND = $(shell for c in $(if $(filter environment% command%,$(origin CXX)),$(CXX)) c++ g++ clang++; do \
	command -v $$c >/dev/null 2>&1 && { echo $$c; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEPTH := $(VENV)/.installed-depth
# Two processes: most tests keep one core busy. A file's tests stay together, so that what it makes is made once.
TWO := -n 2 --dist loadfile
NATIVE := CMakeLists.txt $(wildcard phone2sim/_native/src/*)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test check static fast format docs bench clean compiler

help: ## This list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with core and development packages, build the C++ kernels

demo: $(STAMP) ## Clip to scene to robot episodes to report, in ./demo, offline, in minutes
	@$(BIN)/phone2sim demo demo

test: $(DEPTH) ## Every test, the long ones too
	@$(BIN)/python -m pytest $(TWO)

check: static fast ## Lint, types, import layers, fast tests

static: $(STAMP) ## Lint, types and import layers only
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fast: $(DEPTH) ## The fast tests only
	@$(BIN)/python -m pytest $(TWO) -m "not slow"

format: $(STAMP) ## Format the Python code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMP) ## Write docs/cli.md from the command line itself
	@$(BIN)/python docs/make_cli.py docs/cli.md

bench: demo ## Run the demo and print what each stage took on this machine
	@$(BIN)/python benchmarks/stages.py demo

clean: ## Remove what was built and made (.venv stays)
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# One stamp: a new pyproject, new pins or new C++ sources install again; otherwise this is instant.
$(STAMP): pyproject.toml constraints.txt $(NATIVE) | compiler $(BIN)/python
	@echo "Installing phone2sim and its packages into $(VENV) (once; a few minutes) ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt scikit-build-core nanobind cmake ninja
	@$(BIN)/python -m pip install -qq -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

# The tests also load a depth model through torch and transformers; nothing else needs them.
$(DEPTH): $(STAMP) constraints.txt
	@echo "Installing the extra depth for the tests (once) ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt torch transformers
	@touch $@

$(BIN)/python:
	@py='$(PYTHON)'; \
	for p in $${py:-python3.11 python3.12 python3.10 python3.13 python3 python}; do \
		if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then found=$$p; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "error: Python 3.10 or newer is missing$${py:+ ($$py is not one)}; install it, or say where: make PYTHON=/path/to/python" >&2; exit 1; fi; \
	if ! "$$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then echo "error: $$found has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; fi; \
	"$$found" -m venv $(VENV)

compiler:
	@if [ ! -e $(STAMP) ] || [ -n "$$(find $(NATIVE) -newer $(STAMP))" ]; then \
		if [ -z "$(CXX_FOUND)" ]; then echo "error: a C++20 compiler is missing; install g++ 11 or newer, or clang++ 14 or newer" >&2; exit 1; fi; \
		dir=$$(mktemp -d); printf '#include <concepts>\n#include <omp.h>\nstatic_assert(std::integral<int>);\nint main() { return omp_get_max_threads() < 1; }\n' > $$dir/t.cpp; \
		if ! $(CXX_FOUND) -std=c++20 -fopenmp $$dir/t.cpp -o $$dir/t >/dev/null 2>&1; then rm -rf $$dir; \
			echo "error: $(CXX_FOUND) cannot build C++20 with OpenMP; install g++ 11 or newer, or clang++ 14 or newer with libomp" >&2; exit 1; fi; \
		rm -rf $$dir; \
	fi
