# Needs Python 3.11 or newer and nothing else: everything is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
AUDIT := build/audit
CHART := build/chart
DOCS := build/docs_tools
MERMAID := mermaid@11.17.2
MERMAID_SHA256 := 6ad2f42c3fc26bbf9e45cbb6d11898972573ea52b33a5f4ff51952899f950ffd
HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
MINUTES ?= 5
# Tests wait for most of their time, so more processes than cores are faster.
JOBS ?= 4
PYTEST := $(BIN)/python -m pytest
PARALLEL = $(PYTEST) -n $(JOBS) --dist worksteal

# The many processes of the tests compile each module once, not once each.
unexport PYTHONDONTWRITEBYTECODE

# Run tests; show the output if one fails, otherwise only what was skipped and the sum.
define quietly
@mkdir -p build
@$(PARALLEL) $(1) > build/tests.txt 2>&1 || { cat build/tests.txt; exit 1; }
@grep -E '^(SKIPPED|[0-9]+ passed)' build/tests.txt
endef

.DEFAULT_GOAL := help

.PHONY: attack-test audit chart docs help bench bench-quick bench-growth install run demo trace reference test test-heavy upgrade-test quick unit integration contract e2e crash-test fault-test test-long check fmt lint types layers tree \
        bench-rendering contracts contracts-check contract-bundle proto proto-check proto-lint proto-breaking proto-publish proto-bundle clients clean

help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	      /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use

run: $(STAMP) ## Start both services and the console on loopback, with SQLite in ./data, until Ctrl-C.
	@SHIPEDGE_ENVIRONMENT=development $(BIN)/python -m service_runtime.process.pair

demo: $(STAMP) ## Show a typed event become the documented JSON at an HTTPS receiver.
	@$(BIN)/python -m tests.support.demo

trace: $(STAMP) ## Show the way of one event through the code, and count what it passes.
	@$(BIN)/python -m tests.support.event_trace

##@ Test

test: $(STAMP) ## Run all tests but the heavy ones, in JOBS=4 processes; output in build/tests.txt.
	$(call quietly,-m "not heavy" tests/unit tests/contract tests/integration tests/e2e)

test-heavy: $(STAMP) ## Run the tests that start and kill many processes, and the long searches.
	$(call quietly,-m heavy tests)

# These hardly wait, and each process collects all tests.
quick: JOBS := $(shell getconf _NPROCESSORS_ONLN)
quick: $(STAMP) ## Run the fast tests: no services started, no PostgreSQL, few examples.
	$(call quietly,-m "not slow and not heavy and not postgresql" tests/unit tests/contract tests/integration)

unit: $(STAMP) ## Run the tests without input and output.
	@$(PYTEST) tests/unit

contract: $(STAMP) ## Run the checks of the contract, the payloads and the files around the code.
	@$(PYTEST) tests/contract

integration: $(STAMP) ## Run the tests against databases, servers and receivers.
	@$(PARALLEL) tests/integration

e2e: $(STAMP) ## Run the tests that start both services.
	@$(PARALLEL) tests/e2e

crash-test: $(STAMP) ## Kill services and database for MINUTES=5 minutes; nothing may be lost.
	@$(BIN)/python -m tests.crash.loop $(MINUTES)

fault-test: $(STAMP) ## Bring about all faults around the services, or FAULTS="NAME ...", in about 15 minutes.
	@$(BIN)/python -m tests.faults $(FAULTS)

attack-test: $(STAMP) ## Let one caller attack the others in all ways, or ATTACKS="NAME ...", in about 10 minutes.
	@$(BIN)/python -m tests.attacks $(ATTACKS)

upgrade-test: $(STAMP) ## Run the release PREVIOUS=<commit or tag> and this one side by side under traffic, in about ten minutes.
	@PREVIOUS=$(PREVIOUS) $(PYTEST) -s -o timeout=900 -o python_files='check_*.py' tests/upgrade

test-long: $(STAMP) ## Search further: random operations and inputs by the thousand, then crash-test.
	@TEST_PROFILE=long $(PARALLEL) -o timeout=3600 tests/unit tests/integration/dispatch_service/queue/test_state_machine.py
	@$(MAKE) --no-print-directory crash-test

##@ Measure

bench: $(STAMP) ## Measure the whole product, in three rounds; figures in build/bench.json.
	@$(BIN)/python -m tests.bench

bench-quick: $(STAMP) ## Measure the most important figures, in about a minute.
	@$(BIN)/python -m tests.bench --quick

bench-growth: $(STAMP) ## Measure how cost grows, in ten minutes; plots in docs/performance.md.
	@$(BIN)/python -m tests.bench.growth

bench-rendering: $(STAMP) ## Measure what rendering costs, for every payload version.
	@$(BIN)/python -m tests.bench.rendering build/bench_rendering.json

##@ Keep tidy

check: lint types layers tree proto-lint proto-breaking proto-check contracts-check ## Judge everything, change nothing.

chart: $(STAMP) $(CHART)/.installed ## Check the Helm chart with helm and the schemas of Kubernetes; downloads both.
	@$(PYTEST) tests/contract/deploy/test_chart.py

docs: $(STAMP) $(DOCS)/.installed ## Build the documents as a site in build/site, and check its links.
	@$(BIN)/python -m tests.support.docs_site stage $(DOCS) build/docs_source
	@NO_MKDOCS_2_WARNING=true $(DOCS)/bin/mkdocs build --quiet --strict --config-file build/docs_source/mkdocs.yml
	@$(BIN)/python -m tests.support.docs_site finish build/site
	@echo "written: build/site; to search in it: $(PYTHON) -m http.server --bind 127.0.0.1 --directory build/site 8000"

fmt: $(STAMP) ## Format the code and mend what can be mended by itself.
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

lint: $(STAMP) ## Check style and format.
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && echo "lint: good"

types: $(STAMP) ## Check types.
	@$(BIN)/mypy --no-error-summary && echo "types: good"

layers: $(STAMP) ## Check that imports go one way.
	@$(BIN)/lint-imports --no-cache > .venv/layers.txt 2>&1 || (cat .venv/layers.txt; exit 1)
	@echo "layers: good"

tree: $(STAMP) ## Check sizes of rooms, files and functions, and words of names.
	@$(BIN)/python -m tests.support.tree_check

reference: $(STAMP) ## Write the pages of metrics, log events, settings, methods, reasons and failures from the code.
	@$(BIN)/python -m tests.support.reference

##@ The contract

proto: $(STAMP) ## Generate the Python stubs and the service config from the protos.
	@$(BIN)/python proto/tool.py generate

proto-check: $(STAMP) ## Check that the stubs are those of the protos.
	@$(BIN)/python proto/tool.py check

proto-lint: $(STAMP) ## Check the style of the protos.
	@$(BIN)/python proto/tool.py lint

proto-breaking: $(STAMP) ## Check that the protos break nobody who uses the published contract.
	@$(BIN)/python proto/tool.py breaking

proto-publish: $(STAMP) ## Publish the contract: it may not be broken from then on, or with ACCEPT_BREAKING=yes.
	@$(BIN)/python proto/tool.py publish $(if $(filter yes,$(ACCEPT_BREAKING)),--accept-breaking)

proto-bundle: $(STAMP) ## Write what clients of other languages are generated from into build/proto, and pack it.
	@$(BIN)/python proto/bundle.py build/proto

clients: $(STAMP) ## Compile clients in Go, Java, TypeScript and PHP, and run the programs of clients/; downloads libraries.
	@$(PYTEST) -o timeout=1800 -o python_files='check_*.py' tests/clients

contracts: $(STAMP) ## Write the payload contracts' files and pages from the typed definitions.
	@$(BIN)/python -m dispatch_service.published_contracts write

contracts-check: $(STAMP) ## Check that those files and pages are current.
	@$(BIN)/python -m dispatch_service.published_contracts check

contract-bundle: $(STAMP) ## Write all schemas, examples and an AsyncAPI document into build/contracts.
	@$(BIN)/python -m dispatch_service.published_contracts bundle build/contracts
	@echo "written: build/contracts"

##@ Set up

install: $(STAMP) ## Install what is needed into .venv.

$(STAMP): requirements/runtime.txt requirements/build.txt requirements/console.txt requirements/otel.txt requirements/webhooksctl.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@# An environment without pip is half made, by a Python without its venv module.
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; } || \
	  { rm -rf .venv; echo "The venv module of $(PYTHON) is needed (Debian: the package python3-venv)."; exit 1; }
	@echo "Installing into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(CHART)/.installed: requirements/chart.txt
	@$(PYTHON) -m venv $(CHART)
	@$(CHART)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/chart.txt
	@# helm is compiled, which takes minutes; without a Go compiler the tests say that they did not run.
	@command -v go > /dev/null && GOBIN=$(abspath $(CHART)/bin) go install $(HELM) || echo "helm could not be installed"
	@touch $@

$(DOCS)/.installed: requirements/docs.txt
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@# What draws the diagrams is a part of the site; the theme would load it from elsewhere.
	@! command -v npm > /dev/null || (cd $(DOCS) && npm pack --silent $(MERMAID) > /dev/null \
	  && echo "$(MERMAID_SHA256)  $(subst @,-,$(MERMAID)).tgz" | sha256sum --check --quiet \
	  && tar -xzf $(subst @,-,$(MERMAID)).tgz --strip-components=2 package/dist/mermaid.min.js)
	@touch $@

$(AUDIT)/.installed: requirements/audit.txt
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

audit: $(STAMP) $(AUDIT)/.installed ## Look for known vulnerabilities, and list all packages in build/sbom.json.
	@AUDIT=$(AUDIT) .ci/audit

clean: ## Remove what was built, not ./data.
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
