# Each target installs its requirements; the machine needs only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Versions to install: those pinned in this file or, with CONSTRAINTS= (empty), the newest of every package.
CONSTRAINTS := constraints.txt
# Folders and files to test; all tests if empty.
TESTS :=
OUT ?= reproduction
# What provides PyTorch; a wheel without CUDA, for example, is TORCH=torch==2.13.0+cpu.
TORCH := torch

.PHONY: reproduce test test-all test-torch lint bench docs dist newest lowest clean FORCE

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taylornets needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# Changes with CONSTRAINTS, so that other versions get installed. A different Python requires a different environment.
$(VENV)/.versions: FORCE | $(BIN)/python
ifneq ($(origin PYTHON),file)
	@test -d $(VENV)/lib/python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	|| { echo "$(VENV) was created with a different Python than $(PYTHON): choose another VENV=, or run make clean" >&2; exit 1; }
endif
	@echo '$(CONSTRAINTS)' | cmp -s - $@ || echo '$(CONSTRAINTS)' >$@

$(VENV)/.cli $(VENV)/.test $(VENV)/.lint $(VENV)/.bench $(VENV)/.docs: $(VENV)/.%: pyproject.toml $(CONSTRAINTS) $(VENV)/.versions
	$(PIP) $(if $(CONSTRAINTS),-c $(CONSTRAINTS),--upgrade --upgrade-strategy eager) -e '.[$*]'
	touch $@

reproduce: $(VENV)/.cli
	$(BIN)/taylornets reproduce --out $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow' $(TESTS)

test-all: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

test-torch: $(VENV)/.test
	$(PIP) $(addprefix -c ,$(CONSTRAINTS)) -e '.[torch,hf]' '$(TORCH)'
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/pytorch

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# The site, in docs/_build/html; notebooks run, and warnings are errors. No network is used once the extra is installed.
docs: $(VENV)/.versions
	@$(MAKE) --silent $(VENV)/.docs 2>$(VENV)/docs.log || { echo "make docs needs the extra 'docs', which could not be\
	 installed (see $(VENV)/docs.log): run it once with access to a package index" >&2; exit 1; }
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/_check.py docs/_build/html

# The same commit gives the same files, byte for byte.
dist: $(VENV)/.test
	$(PIP) $(addprefix -c ,$(CONSTRAINTS)) build
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation

# Both ends of the supported range, for `make test CONSTRAINTS=`: constraints-newest.txt and constraints-lowest.txt.
newest: RESOLUTION := --python-version 3.13
lowest: RESOLUTION := --python-version 3.11 --resolution lowest-direct
newest lowest: | $(BIN)/python
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate $(RESOLUTION) --extra lint -o constraints-$@.txt pyproject.toml

clean:
	rm -rf $(VENV) reproduction benchmarks/results docs/_build docs/reference/generated dist
