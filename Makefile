# `make help` lists the targets. Everything runs from .venv, made from the hashed lock file with the first target that needs it.

PYTHON ?= python3
VENV ?= .venv
# The slow tests are as much as two cores can do; the others leave a third worker something.
WORKERS ?= $(if $(CI),2,3)
PYTEST_ARGS ?=
BENCH_ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

bin := $(VENV)/bin
installed := $(VENV)/.installed
export PATH := $(abspath $(bin)):$(PATH)
# Tests start a thousand processes of the same code: it is compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
uv_compile := $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
# Images have the clients of the stores, and nothing for people at a keyboard: no debugger, no completion.
in_image := --extra gcs --extra s3 --extra sftp --extra http --extra html --extra trace images/slim.in \
	--no-emit-package debugpy --no-emit-package jedi --no-emit-package parso

.PHONY: help
help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

.PHONY: demo
demo: $(installed)  ## Run notebooks/flights.ipynb and render it as HTML, into demo/
	@export MODEL_DIR=demo/model
	$(bin)/nbstep run notebooks/flights.ipynb demo/flights.ipynb notebooks/flights.params.yaml --html --force
	printf 'trained model: demo/model/\n'

.PHONY: test
test: $(installed)  ## Run the tests; where CI is set the slow ones too, with more examples; what NBSTEP_TEST_REQUIRE names has to be there
	@$(bin)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		$(if $(CI),tests/integration tests/faults --hypothesis-profile thorough,-m 'not slow') tests/acceptance tests/unit $(PYTEST_ARGS)

.PHONY: kernels
kernels: $(VENV)/kernels/.installed  ## Install the kernels that tests run from npm (tslab and Deno's)

.PHONY: axe
axe: $(VENV)/axe/.installed  ## Install what tests check cards and pages with from npm (axe-core)

$(VENV)/kernels/.installed $(VENV)/axe/.installed: $(VENV)/%/.installed: tests/%/package.json tests/%/package-lock.json $(installed)
	@mkdir -p $(@D)
	cp tests/$*/package.json tests/$*/package-lock.json $(@D)/
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	touch $@

.PHONY: lint
lint: $(installed)  ## Check format, lint, types and the import rules
	@$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/mypy
	$(bin)/lint-imports --no-logo

.PHONY: bench
bench: $(VENV)/ploomber/.installed  ## Measure against papermill and other peers (minutes; leave the machine alone meanwhile)
	@$(bin)/python tests/benchmarks $(BENCH_ARGS)

.PHONY: bench-serving
bench-serving: $(VENV)/mlserver/.installed  ## Measure an endpoint beside MLServer, by wrk (a minute; leave the machine alone meanwhile)
	@$(bin)/python tests/benchmarks --only serving

.PHONY: bench-service
bench-service: $(installed)  ## Measure the service with 200 open streams and 100 requests a second (two minutes; leave the machine alone meanwhile)
	@$(bin)/python tests/benchmarks/service_load.py $(BENCH_ARGS)

.PHONY: bench-runs
bench-runs: $(installed)  ## Measure the service's lists of 10,000 runs (a minute; leave the machine alone meanwhile)
	@$(bin)/python tests/benchmarks/run_lists.py $(BENCH_ARGS)

# Peers that cannot share our environment.
$(VENV)/mlserver/.installed $(VENV)/ploomber/.installed: $(VENV)/%/.installed: tests/benchmarks/%/requirements.lock $(installed)
	@$(bin)/uv venv --quiet --clear --python $(PYTHON) $(@D)
	$(bin)/uv pip install --quiet --python $(@D)/bin/python --require-hashes --requirement $<
	touch $@

.PHONY: memory
memory: $(installed)  ## Run cells that put out a gigabyte of each kind, and measure their memory (minutes, 12 GB of disk)
	@$(bin)/python tests/benchmarks --slow --only memory

.PHONY: faults
faults: $(installed)  ## Try every fault at every phase of a run (minutes)
	@$(bin)/python -m pytest tests/faults $(PYTEST_ARGS)

.PHONY: schemathesis
schemathesis: $(VENV)/schemathesis/.installed  ## Ask a server all that its description allows, and what it does not (a minute)
	@PYTHONPATH=tests $(bin)/python tests/schemathesis $(VENV)/schemathesis/bin/schemathesis $(PYTEST_ARGS)

$(VENV)/schemathesis/.installed: tests/schemathesis/requirements.lock $(installed)
	@$(bin)/uv venv --quiet --clear --python $(PYTHON) $(@D)
	$(bin)/uv pip install --quiet --python $(@D)/bin/python --require-hashes --requirement $<
	touch $@

.PHONY: argo
argo: $(installed)  ## Stop a pipeline's step at many moments on the Argo of KUBECONFIG's cluster (half an hour)
	@$(bin)/python -m pytest tests/sweeps/test_argo.py $(PYTEST_ARGS)

.PHONY: sweeps
sweeps: $(installed)  ## Kill, taint and evict pods, launchers and runs on KUBECONFIG's cluster, where nothing else may run meanwhile (minutes)
	@$(bin)/python -m pytest tests/sweeps --ignore tests/sweeps/test_argo.py $(PYTEST_ARGS)

.PHONY: stores
stores: $(installed)  ## Race and kill writers on every storage server, and list 2,000 runs (20 minutes), for the figures in docs/storage.md
	@NBSTEP_STORE_RACES=30 NBSTEP_STORE_KILLS=20 NBSTEP_LISTED_RUNS=2000 $(bin)/python -m pytest \
		tests/integration/stores/test_rounds.py tests/integration/stores/test_listing.py -q -s -n 0 --timeout 3600 $(PYTEST_ARGS)

.PHONY: lock
lock: $(installed)  ## Resolve the dependencies anew into the lock files
	@$(uv_compile) --upgrade --extra dev --output-file requirements-dev.lock
	$(uv_compile) --upgrade --constraint requirements-dev.lock $(in_image) --output-file requirements.lock
	$(uv_compile) --upgrade --constraint requirements-dev.lock --constraint requirements.lock $(in_image) images/data-science.in \
		--output-file images/data-science.lock
	$(uv_compile) --upgrade --constraint requirements-dev.lock --constraint images/data-science.lock $(in_image) --extra serve --extra kubernetes \
		images/data-science.in --output-file images/serving.lock
	$(uv_compile) --upgrade --constraint requirements-dev.lock --constraint requirements.lock $(in_image) --extra web --extra kubernetes \
		--output-file images/server.lock
	$(subst pyproject.toml,,$(uv_compile)) --upgrade --constraint requirements-dev.lock --constraint requirements.lock images/build.in --output-file images/build.lock
	$(subst pyproject.toml,,$(uv_compile)) --upgrade tests/schemathesis/requirements.in --output-file tests/schemathesis/requirements.lock
	for peer in mlserver ploomber; do
		$(subst pyproject.toml,,$(uv_compile)) --upgrade tests/benchmarks/$$peer/requirements.in --output-file tests/benchmarks/$$peer/requirements.lock
	done

.PHONY: clean
clean:  ## Remove the environment and everything that was made
	@rm -rf $(VENV) demo dist build bench-results .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs in a third of pip's time; where it cannot (a mirror that only pip knows), pip does the same work.
$(installed): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
		printf '%s\n' 'nbstep needs Python 3.11 or newer. Name it, for example: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2
		exit 1
	}
	[[ -x $(bin)/pip ]] || $(PYTHON) -m venv $(VENV) || {
		rm -rf $(VENV)
		printf '%s\n' 'The environment could not be made. On Debian and Ubuntu: apt-get install python3-venv' >&2
		exit 1
	}
	pip=($(bin)/python -m pip --disable-pip-version-check --quiet --quiet)
	printf 'Installing the locked dependencies into $(VENV) ...\n'
	awk '/^[^ ]/ { keep = /^uv==/ } keep' requirements-dev.lock >$(VENV)/uv.lock
	"$${pip[@]}" install --no-deps --require-hashes --requirement $(VENV)/uv.lock
	UV_HTTP_RETRIES=1 $(bin)/uv pip install --quiet --python $(bin)/python --no-deps --require-hashes \
		--system-certs --link-mode copy --compile-bytecode --requirement requirements-dev.lock 2>/dev/null || {
		printf 'uv could not install them; trying pip, which takes longer ...\n'
		"$${pip[@]}" install --no-deps --require-hashes --requirement requirements-dev.lock
	}
	"$${pip[@]}" install --no-deps --no-build-isolation --editable .
	touch $@
