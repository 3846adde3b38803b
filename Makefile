# Each target sets up what it needs on a machine with Python >= 3.11 and make only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What is installed: the exact versions of a file, or, with CONSTRAINTS= (empty), the newest of everything.
CONSTRAINTS := constraints.txt
# What is tested: the folders and files given; everything, if none is.
TESTS :=
OUT ?= reproduction

.PHONY: reproduce test lint bench newest lowest clean FORCE

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taylornets needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# Changes with CONSTRAINTS, so that other versions are installed anew. Another Python needs another environment.
$(VENV)/.versions: FORCE | $(BIN)/python
ifneq ($(origin PYTHON),file)
	@test -d $(VENV)/lib/python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	|| { echo "$(VENV) was made with another Python than $(PYTHON): choose another VENV=, or make clean" >&2; exit 1; }
endif
	@echo '$(CONSTRAINTS)' | cmp -s - $@ || echo '$(CONSTRAINTS)' >$@

$(VENV)/.cli $(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: pyproject.toml $(CONSTRAINTS) $(VENV)/.versions
	$(PIP) $(if $(CONSTRAINTS),-c $(CONSTRAINTS),--upgrade --upgrade-strategy eager) -e '.[$*]'
	touch $@

reproduce: $(VENV)/.cli
	$(BIN)/taylornets reproduce --out $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# The two ends of what is supported, for `make test CONSTRAINTS=`: constraints-newest.txt and constraints-lowest.txt.
newest: RESOLUTION := --python-version 3.13
lowest: RESOLUTION := --python-version 3.11 --resolution lowest-direct
newest lowest: | $(BIN)/python
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate $(RESOLUTION) --extra lint -o constraints-$@.txt pyproject.toml

clean:
	rm -rf $(VENV) reproduction benchmarks/results
