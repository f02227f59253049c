# Every target sets up what it needs; nothing but Python 3.11+ and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ROOMS := config recovery banking tasks workers rpc oracle pytest_trunkline
PACKAGES := $(ROOMS) tests benchmarks examples
DIST := dist

.PHONY: setup demo test coverage lint format configuration metrics bench bench-full soak chaos chaos-planted chaos-stories reliability conformance clients docs wheels pictures clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Trunkline needs Python 3.11 or newer; say which with: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies into $(VENV) ..."
	@PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/trunkline demo

# Most tests wait for processes, so three at a time fit two cores; a file's tests stay together, with its servers, and
# the files keep their order, long ones first. In one process: make test PYTEST_ARGS=
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# Lines and branches that no test runs, those of subprocesses included; COVERAGE_OF limits the tests.
COVERAGE_OF ?= tests
coverage: $(STAMP)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(PYTEST_ARGS) $(COVERAGE_OF)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documents as a site, into dist/site.
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet
	@echo "The site is in $(DIST)/site: open $(DIST)/site/index.html"

# docs/configuration.md, from the settings themselves.
configuration: $(STAMP)
	@$(BIN)/python -m config.reference

# docs/metrics.md and deploy/prometheus/alerts.yml, from the metrics and alerts themselves.
metrics: $(STAMP)
	@$(BIN)/python -m workers.metrics.reference

$(VENV)/.bench: $(STAMP) pyproject.toml constraints.txt
	@PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@touch $@

# About five minutes on an idle machine: pipeline and peers, starting, RPC. docs/performance.md is written anew.
bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks

bench-full: $(VENV)/.bench
	@$(BIN)/python -m benchmarks --full

# Half load for MINUTES; what grows meanwhile goes into docs/performance.md.
soak: MINUTES ?= 30
soak: $(VENV)/.bench
	@$(BIN)/python -m benchmarks soak --minutes $(MINUTES)

# Real processes, clients, faults from a seeded schedule, and a checker: make chaos SEED=7 MINUTES=10
SEED ?=
chaos: MINUTES ?= 3
chaos: $(STAMP)
	@$(BIN)/python -m tests.chaos $(addprefix --seed ,$(SEED)) --minutes $(MINUTES)

# docs/reliability.md, from storms: make reliability MINUTES=30; and whether the checker finds twelve planted bugs.
reliability: MINUTES ?= 30
reliability: $(STAMP)
	@$(BIN)/python -m tests.chaos.report --minutes $(MINUTES) $(addprefix --seed ,$(SEED))

chaos-planted: $(STAMP)
	@$(BIN)/python -m tests.chaos.planted

# Long runs of single stories with real faults, and 100,000 malformed requests.
chaos-stories: $(STAMP)
	@$(BIN)/python -m pytest tests/chaos tests/integration/clocks tests/integration/breaker/test_opened_by_hand.py --chaos
	@$(BIN)/python -m tests.chaos.rpc_fuzz

# The Python client's own suite, and the JavaScript clients (these need node): see docs/rpc.md.
conformance: $(STAMP)
	@$(BIN)/python -m tests.clients.conformance

clients: $(STAMP)
	@$(BIN)/python -m tests.clients.javascript

# The whole, and `recovery` alone. Built from a copy, which leaves no build folders in the tree.
wheels:
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT \
		&& cp -R $(ROOMS) pyproject.toml README.md LICENSE "$$copy" \
		&& $(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$(DIST)" "$$copy" "$$copy/recovery"

# The pictures in docs/images: Flower under load, by the test that looks at it (needs chromium and chromium-driver).
pictures: $(STAMP)
	@$(BIN)/python -m pytest tests/integration/flower -k "(counts_grow and unix-up) or resilience" --pictures

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
