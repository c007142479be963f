# `make help` lists the targets. All run from .venv, which bootstrap.py makes.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
ROLES ?= $(notdir $(wildcard roles/*))
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help lint unit contract molecule molecule-here molecule-there molecule-more lab coverage test test-vm test-faults test-serving chaos mutations bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.rackstart: requirements.lock bootstrap.py
	$(PYTHON) bootstrap.py --version && touch $@

lint: .venv/.rackstart ## ruff, mypy, yamllint, ansible-lint and gofmt
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	ansible-lint --offline --strict
	test -z "$$(gofmt -l lab)" || { gofmt -d lab; exit 1; }

unit: .venv/.rackstart ## the stage graph, journal, inventory rules, filters, a cluster's API that misbehaves: no host, no root (seconds)
	pytest tests/unit -n 2
	pytest tests/faults/test_api.py

contract: .venv/.rackstart ## manifests against Kubernetes' schemas, engine arguments against the pinned parser, specs against defaults
	pytest tests/contract
	CGO_ENABLED=0 go test -C lab/k3s -trimpath -tags=providerless -vet=off ./internal/...

molecule: .venv/.rackstart ## every role on throw-away hosts: foreseen, done, repeated, altered by hand, foreseen, mended, verified (root)
	rm -f .ansible/record.jsonl
	molecule destroy -s default
	molecule create -s default
	$(MAKE) --jobs=2 molecule-here molecule-there
	molecule destroy -s default

# Side by side, since the one half's hosts are not the other's; each line of output begins with whose it is.
THERE := gateway gpu_operator inference model_volume monitoring node_labels nvidia_container_toolkit nvidia_driver
MORE := debian_13 half_built rocky three_servers ubuntu
molecule-here:
	molecule test --destroy never --all $(addprefix --exclude=,default $(THERE) $(MORE)) 2>&1 | sed -u 's/^/here:  /'
molecule-there:
	molecule test --destroy never $(addprefix --scenario-name=,$(THERE)) 2>&1 | sed -u 's/^/there: /'

lab: .venv/.rackstart ## bootstrap.py --inventory lab from nothing, again, altered by hand, killed, with faults; the lab is gone at its end (root)
	pytest tests/lab -m 'not chaos and not serving'

test: .venv/.rackstart ## all of the above, and three of the faults
	$(MAKE) --jobs=2 --output-sync lint unit contract
	$(MAKE) molecule
	pytest tests/faults/test_roles.py --faults-seed 1
	$(MAKE) lab

molecule-more: .venv/.rackstart ## other distributions, hosts on which a run was killed half-way, three servers: about 25 minutes (root)
	rm -f .ansible/record-more.jsonl
	MOLECULE_RECORD=record-more molecule test $(addprefix --scenario-name=,$(MORE))

coverage: .venv/.rackstart ## which tasks the tests have run, of those targets that were made, into docs/coverage.md; fails below 95 %
	python -m tests.coverage

test-serving: .venv/.rackstart ## every command of docs/serving.md, and what takes long beside it; results into docs/serving_seen.md (root)
	pytest tests/lab -m serving --serving-page docs/serving_seen.md

chaos: .venv/.rackstart ## ten kills of the wrapper, ten with its children, every alteration by itself, a driver replaced node by node (root)
	pytest tests/lab -m chaos

test-faults: .venv/.rackstart ## calls of roles to the outside that tests/faults/cases lists fail, hang and lie once; results into docs/faults.md (root)
	rm -f .ansible/record-faults.jsonl
	pytest tests/faults/test_api.py tests/faults/test_roles.py -n 2 --faults-page docs/faults.md
	pytest tests/faults/test_stages.py --faults-page docs/faults.md
	python -m lab down

test-vm: .venv/.rackstart ## roles on two virtual machines with kernels of their own, without KVM: slow; results into docs/vm.md (root)
	pytest tests/vm --vm-page docs/vm.md

mutations: .venv/.rackstart ## breaks ROLES in small ways and looks whether a test is red; results into docs/mutations.md (root)
	python -m tests.mutations $(ROLES)

bench: .venv/.rackstart ## speed, memory and disk of the lab into docs/benchmarks.md; fails on a missed target (root)
	python -m tests.bench

clean: ## take the lab down, remove .venv and caches of tools
	if [ -e .venv/.rackstart ]; then $(PYTHON) bootstrap.py lab down; fi
	rm -rf .venv .venv.lock .pytest_cache .mypy_cache .ruff_cache .ansible
