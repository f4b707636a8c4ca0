# Everything a person or CI runs.  `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(or $(CONVERSATION_OPERATOR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/conversation-operator)
KWOK_KUBECONFIG := $(CACHE)/run/kwok/admin.kubeconfig
REAL_KUBECONFIG := $(CACHE)/run/real/admin.kubeconfig
IMAGES := operator agent-server openhands-v0 openhands-v0-sudo openhands-server openhands-tests
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(VENV)/.installed: requirements/dev.txt
	hack/venv.sh $(PYTHON) $(VENV)
	@touch $@

.PHONY: venv
venv: $(VENV)/.installed ## The Python environment in .venv, with hashes

.PHONY: lock
lock: venv ## Resolve the dependencies anew
	hack/lock.sh $(BIN)

.PHONY: generate
generate: venv helm ## CRDs, the chart's generated files, install.yaml, docs/api.md
	$(BIN)/python -m hack.generate

.PHONY: check
check: venv helm ## Lint, types, import rules, drift of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=operator $(BIN)/lint-imports --no-cache --config pyproject.toml > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	$(BIN)/python -m hack.generate --check

.PHONY: unit
unit: venv helm ## Tests without I/O
	$(PYTEST) tests/unit

.PHONY: contract
contract: venv images ## Tests against real agent-server processes and HTTP servers on loopback
	$(PYTEST) tests/contract

.PHONY: cluster-tests
cluster-tests: venv images kwok-up ## Tests on a real API server with fake nodes
	$(PYTEST) tests/cluster

.PHONY: openhands
openhands: venv images kwok-up ## Tests of the ConversationManager with OpenHands 1.4, 1.5 and 1.6, in the test image's files
	hack/in_image.py openhands-tests python -m tests.openhands

.PHONY: e2e
e2e: venv cluster-up load-images ## Tests with real pods
	$(PYTEST) tests/e2e

.PHONY: test
test: check unit contract cluster-tests openhands e2e ## Everything there is

.PHONY: helm
helm:
	hack/helm.sh

.PHONY: images
images: ## Container images, as archives in the cache folder
	images/build.sh all

.PHONY: load-images
load-images: cluster-up images
	hack/cluster/load-images.sh $(IMAGES:%=$(CACHE)/images/%.tar)

.PHONY: cluster-up cluster-down kwok-up kwok-down
cluster-up: ## A real one-node Kubernetes on this machine
	hack/cluster/up.sh real
cluster-down: ## Remove both local clusters, without a trace
	hack/cluster/down.sh real
	hack/cluster/down.sh kwok
kwok-up: ## A real control plane with fake nodes
	hack/cluster/up.sh kwok
kwok-down:
	hack/cluster/down.sh kwok

.PHONY: demo
demo: venv ## Install the chart and walk a conversation through its life
	hack/demo/run.sh

.PHONY: bench
bench: venv kwok-up ## Measure; results go to bench/results
	PYTHONPATH=operator $(BIN)/python -m bench

.PHONY: bench-openhands
bench-openhands: venv load-images kwok-up ## Measure the ConversationManager; results go to bench/results
	hack/in_image.py openhands-tests env PYTHONPATH=operator SERVE_FRONTEND=0 LITELLM_LOCAL_MODEL_COST_MAP=True python -m bench.openhands

.PHONY: clean
clean: ## Remove the Python environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
