# Everything a developer runs. `make run` and `make test` set up what they need by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := idp connectors storage tests bench examples

# Here promises are kept to the second, over several processes: not beside browsers, which take the
# whole processor.
PROMISES := tests/storage tests/e2e/kubernetes_store
SLOWEST := --durations=25 --durations-min=5

# Modules that were compiled once start faster, each provider of the tests included.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run check lint types contracts unit test test-setup faults fuzz bench format lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kube-idp needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## a provider with a demo user and an example application to sign in to
	@$(BIN)/python -m examples.run

# Fewer random examples than `make test` tries.
check: export KUBE_IDP_QUICK := 1
check: lint types contracts unit ## everything that needs no server

lint: $(READY)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/pytest -q -n auto --dist worksteal -m "not servers"

test-setup: $(READY) ## install what the tests need: API server, etcd, kubectl, Helm, Chromium, LDAP servers, peers
	$(BIN)/python -m tests.kit.install

test: test-setup lint types contracts ## everything, with real servers
	$(BIN)/pytest -q -n auto --dist worksteal -m "not servers"
	$(BIN)/pytest -q -n 2 --dist loadfile -m servers $(SLOWEST) $(PROMISES:%=--ignore=%)
	$(BIN)/pytest -q -n 2 --dist loadfile -m servers $(SLOWEST) $(PROMISES)

faults: test-setup ## races, outages and masses at full size, with figures; an hour
	KUBE_IDP_FULL=1 KUBE_IDP_RACES=500 $(BIN)/pytest -q -s -m servers $(PROMISES) tests/e2e/test_kubectl_refresh.py

fuzz: $(READY) ## half a million odd requests to a running provider; half an hour
	KUBE_IDP_FULL=1 $(BIN)/pytest -q -s tests/fuzz

bench: $(READY) ## measure, and print the table of bench/
	$(BIN)/python -m bench

format: $(READY) ## put code into its form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

lock: ## write the lock files anew
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade $(LOCK) -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --extra dev $(LOCK) -c requirements.lock -o requirements-dev.lock pyproject.toml

LOCK := --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --no-emit-options

clean: ## remove everything that was made here
	rm -rf $(VENV) run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
