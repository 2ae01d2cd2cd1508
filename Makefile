# Every target sets up what it needs first: Debian packages (packages.txt) and Python packages (constraints.txt).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-long test-lowest test-pythons dist lint test-nova test-upgrade bench-fetch bench-dispatch bench-jobs bench-inventory bench-swarm bench-swarm-sim bench-relays bench-spilled measure constraints clean setup setup-packages setup-servers setup-cloud setup-tests setup-fuzzing setup-nova

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: setup ## Fill the caches of six hosts from one request and watch it; IMAGE=path for your own, BOOT=1 to boot it
	@.venv/bin/python -m tools.demo $(if $(IMAGE),--image "$(IMAGE)") $(if $(BOOT),--boot)

test: setup-tests ## Run what CI runs: style, types, layers, all tests
	@tools/run-tests all

coverage: setup-tests ## Run the same, and say which lines no test has run
	@tools/run-tests coverage

test-long: setup-tests setup-fuzzing ## Run the tests that `make test` leaves out because they are slow, about what rarely changes
	@tools/run-tests long

test-nova: setup-tests setup-nova ## Boot guests under a real Nova beside Precache, and count what is downloaded; as root
	@tools/run-nova-tests

lint: setup ## Run the part of it that runs no test
	@tools/run-tests lint

test-upgrade: setup-tests ## Run processes of the previous release beside this one; PREVIOUS=its tag or commit
	@tools/run-upgrade-tests "$(PREVIOUS)"

bench-fetch: setup ## Measure our way of an image into the cache against Nova's; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.fetch

test-lowest: setup ## Run the quick tests with the oldest dependencies that pyproject.toml admits
	@tools/make-venv var/lowest/venv constraints-lowest.txt --editable '.[dev]'
	@var/lowest/venv/bin/python -m pytest -q -n 2 -m "not external and not long" -k "not sample_in_the_documentation" tests/unit tests/contract tests/http

test-pythons: setup-packages ## Run the quick tests on every newer Python that is supported; PYTHONS="path ..." names them
	@PYTHONS="$(PYTHONS)" tools/run-with-pythons

dist: setup ## Build the wheel and the sdist into dist/
	@tools/build-dist dist .venv/bin/python

bench-dispatch: setup setup-servers ## Measure how many hosts one conductor drives over RabbitMQ; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.dispatch

bench-jobs: setup setup-servers ## Measure how soon jobs of many hosts obey, and how fast they are read; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.jobs

bench-inventory: setup setup-servers ## Measure how fast the reports of 10,000 caches are stored, and the inventory is read; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.inventory

bench-swarm: setup setup-servers ## Measure how soon all hosts of a site have an image, and what faults cost; as root; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.swarm

bench-swarm-sim: setup ## Simulate the plans of relays at 100,000 hosts, with the rules of the conductors; bench/README.md has the method
	@tools/make-venv var/bench/venv bench/constraints.txt --requirement bench/requirements.txt
	@.venv/bin/python -m bench.swarm_sim

bench-relays: setup setup-servers ## Measure how fast a conductor answers hosts in relays, on two databases; bench/README.md has the method
	@.venv/bin/python -m bench.relays

bench-spilled: setup ## Count what each layout of a qcow2 keeps in its side file; bench/README.md has the method
	@.venv/bin/python -m bench.spilled

measure: setup ## Print how large the program is and what one request costs inside it; CHECKOUT=path for another one
	@.venv/bin/python -m tools.measure $(CHECKOUT)

constraints: ## Pin the newest versions of all Python packages that their lists admit
	@tools/install-packages all nova
	@tools/pin-versions constraints.txt --editable '.[dev]' --requirement tests/requirements.txt hatchling editables # the two build the package itself
	@tools/pin-lowest
	@tools/pin-versions bench/constraints.txt --requirement bench/requirements.txt
	@tools/pin-versions tests/lab/cloud-constraints.txt --requirement tests/lab/cloud-requirements.txt
	@tools/pin-versions tests/lab/nova-constraints.txt --requirement tests/lab/nova-requirements.txt

clean: ## Remove everything that was made here: environments, images, results of tests
	rm -rf .venv var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: setup-packages
	@tools/make-venv .venv constraints.txt --editable '.[dev]' --requirement tests/requirements.txt

setup-packages:
	@tools/install-packages all

setup-servers: setup-packages # RabbitMQ, databases and proxies, which tests and one benchmark run against
	@tools/install-packages servers

setup-cloud: setup-servers # Keystone, Glance and the stock clients, which tests run against
	@tools/make-venv var/cloud/venv tests/lab/cloud-constraints.txt --requirement tests/lab/cloud-requirements.txt

setup-tests: # both environments at the same time
	@$(MAKE) --no-print-directory --jobs=2 setup setup-cloud

setup-fuzzing: setup # a fuzzer, which only the slow tests run
	@tools/make-venv var/fuzzing/venv constraints.txt --requirement tests/fuzzing/requirements.txt

setup-nova: setup-servers # Nova, Placement and libvirt, which the tests beside Nova run
	@tools/install-packages nova
	@tools/make-venv var/nova/venv tests/lab/nova-constraints.txt --requirement tests/lab/nova-requirements.txt
