# All that a newcomer needs: `make demo` plays the nightly retraining, `make test` runs all tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
PYTHON ?= python3
UV := $(shell command -v uv || echo .venv-uv/bin/uv)
LOCAL := -e . -e example_dags/flights
PYTEST := -m pytest -q
SERVERS ?= $(patsubst tests/servers/requirements/%.txt,%,$(wildcard tests/servers/requirements/*.txt))

.PHONY: help demo demo-dagster demo-inference test test-core test-airflow test-dagster test-e2e test-matrix servers test-servers check format \
        up down bench-step bench-import bench-ledger bench-retry bench-drift bench-drift-truth bench-inference bench-limit bench-signoff chaos requirements schemas clean

help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv-airflow/.ready ## the season of nightly retraining on Airflow
	.venv-airflow/bin/python example_dags/airflow/play_season.py
	.venv-airflow/bin/python -m flights.played .demo/airflow

demo-dagster: .venv-dagster/.ready ## the same season on Dagster
	.venv-dagster/bin/python example_dags/dagster/play_season.py
	.venv-dagster/bin/python -m flights.played .demo/dagster

demo-inference: .venv-core/.ready .venv-airflow/.ready .venv-dagster/.ready .venv-server-triton/.ready ## a real Triton, and workers killed while they score
	.venv-core/bin/python example_dags/play_inference.py

test: test-core ## every test; plays the demos' seasons if they have not been
	$(MAKE) --no-print-directory -j2 --output-sync=target test-airflow test-dagster

test-core: .venv-core/.ready .venv-airflow/.ready .venv-dagster/.ready .venv-dev/.ready
	.venv-core/bin/python $(PYTEST) -n 2 --dist loadfile tests/core tests/upgrade tests/packaging tests/contract

test-airflow: .venv-airflow/.ready
	.venv-airflow/bin/python $(PYTEST) tests/airflow

test-dagster: .venv-dagster/.ready
	.venv-dagster/bin/python $(PYTEST) tests/dagster

test-e2e: .venv-core/.ready .venv-airflow/.ready .venv-dagster/.ready ## both orchestrators on PostgreSQL, Celery, MLflow and S3
	.venv-core/bin/python $(PYTEST) tests/e2e

test-matrix: .venv-airflow/.ready .venv-airflow-3.1/.ready .venv-airflow-3.2/.ready ## Airflow 3.1.6, 3.2 and 3.3
	for env in airflow-3.1 airflow-3.2 airflow; do .venv-$$env/bin/python $(PYTEST) tests/airflow; done

servers: $(SERVERS:%=.venv-server-%/.ready) ## an environment for each model server, or for SERVERS="triton mlserver"

test-servers: .venv-core/.ready servers ## the protocols against real model servers
	SERVERS="$(SERVERS)" .venv-core/bin/python $(PYTEST) tests/servers

check: .venv-dev/.ready ## ruff and mypy
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy src airflow_provider/src dagster_integration/src example_dags/flights/src

format: .venv-dev/.ready ## let ruff repair what it can
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

up: .venv-airflow/.ready .venv-dagster/.ready ## Airflow's parts and the Dagster UI on 127.0.0.1
	.venv-airflow/bin/python example_dags/airflow/parts.py up .up/airflow
	.venv-dagster/bin/python example_dags/dagster/parts.py up .up/dagster

down: ## stop what `make up` started
	-.venv-airflow/bin/python example_dags/airflow/parts.py down .up/airflow
	-.venv-dagster/bin/python example_dags/dagster/parts.py down .up/dagster

bench-step: .venv-core/.ready ## what the door adds to a step that does nothing
	.venv-core/bin/python benchmarks/bench_step.py

bench-import: .venv-airflow/.ready ## what the provider adds to Airflow's own import
	.venv-airflow/bin/python benchmarks/bench_import.py

bench-ledger: .venv-core/.ready ## claims and finishes a second beside bare commits, SQLite and PostgreSQL
	.venv-core/bin/python benchmarks/bench_ledger.py
	.venv-core/bin/python benchmarks/bench_ledger.py --flush-ms 2

bench-retry: .venv-core/.ready ## a retry storm of 200 clients, simulated on loopback
	.venv-core/bin/python benchmarks/bench_retry.py

bench-drift: .venv-core/.ready ## profiles and verdicts beside Evidently, whylogs and the bare scan
	.venv-core/bin/python benchmarks/bench_drift.py

bench-drift-truth: .venv-core/.ready ## false alarms and faults found, on made-up data and on a year of flights
	.venv-core/bin/python benchmarks/bench_drift_truth.py

bench-inference: .venv-core/.ready .venv-server-triton/.ready ## the client beside bare requests, and a table scored by a real Triton
	.venv-core/bin/python benchmarks/bench_inference.py
	.venv-core/bin/python benchmarks/bench_kills.py

bench-limit: .venv-core/.ready ## how many requests a server gets at a time: AIMD beside Gradient2
	.venv-core/bin/python benchmarks/bench_limit.py

bench-signoff: .venv-core/.ready ## ten thousand who wait for people, and five hundred votes a second
	.venv-core/bin/python benchmarks/bench_signoff.py

chaos: .venv-core/.ready .venv-airflow/.ready .venv-dagster/.ready ## seasons under SIGKILL, on both orchestrators and both databases
	.venv-core/bin/python tests/chaos/chaos.py $(CHAOS)

schemas: .venv-core/.ready ## the steps' JSON Schemas under docs/schemas
	.venv-core/bin/python docs/write_schemas.py

# versions are pinned once for all, here; no registry's host is written down
requirements: $(UV) ## pin every environment anew
	cd requirements && for name in core dev airflow airflow-3.2 dagster; do \
	  $(abspath $(UV)) pip compile -q --upgrade --no-header --no-annotate --python-version 3.11 $$name.in -o $$name.txt; done
	cd requirements && $(abspath $(UV)) pip compile -q --upgrade --no-header --no-annotate --python-version 3.11 \
	  airflow-3.1.in -c airflow-3.1-pins.txt -o airflow-3.1.txt
	cd benchmarks/peers && for name in evidently whylogs; do \
	  $(abspath $(UV)) pip compile -q --upgrade --no-header --no-annotate --python-version 3.11 $$name.in -o $$name.txt; done
	cd docker/mlflow && $(abspath $(UV)) pip compile -q --upgrade --no-header --no-annotate --python-version 3.12 \
	  requirements.in -o requirements.txt
	cd tests/servers/requirements && for name in $(SERVERS); do \
	  $(abspath $(UV)) pip compile -q --upgrade --no-header --no-annotate --python-version 3.11 $$name.in -o $$name.txt; \
	  sed -i 's/+cpu$$//' $$name.txt; done

clean: ## remove environments, demos and caches
	rm -rf .venv-* .demo .up .chaos .pytest_cache .mypy_cache .ruff_cache dist

.venv-uv/bin/uv:
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/pip install -q uv

.venv-dev/.ready: requirements/dev.txt | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-dev
	$(UV) pip install -q -p .venv-dev -r requirements/dev.txt
	touch $@

.venv-core/.ready: requirements/core.txt pyproject.toml example_dags/flights/pyproject.toml | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-core
	$(UV) pip install -q -p .venv-core -r requirements/core.txt
	$(UV) pip install -q -p .venv-core --no-deps $(LOCAL)
	touch $@

.venv-dagster/.ready: requirements/dagster.txt pyproject.toml dagster_integration/pyproject.toml example_dags/flights/pyproject.toml example_dags/dagster/pyproject.toml | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-dagster
	$(UV) pip install -q -p .venv-dagster -r requirements/dagster.txt
	$(UV) pip install -q -p .venv-dagster --no-deps $(LOCAL) -e dagster_integration -e example_dags/dagster
	touch $@

.venv-airflow%/.ready: requirements/airflow%.txt pyproject.toml airflow_provider/pyproject.toml example_dags/flights/pyproject.toml | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-airflow$*
	$(UV) pip install -q -p .venv-airflow$* -r requirements/airflow$*.txt
	$(UV) pip install -q -p .venv-airflow$* --no-deps $(LOCAL) -e airflow_provider
	touch $@

.venv-airflow/.ready: requirements/airflow.txt pyproject.toml airflow_provider/pyproject.toml example_dags/flights/pyproject.toml | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-airflow
	$(UV) pip install -q -p .venv-airflow -r requirements/airflow.txt
	$(UV) pip install -q -p .venv-airflow --no-deps $(LOCAL) -e airflow_provider
	touch $@

# PyTriton needs the system's own Python
.venv-server-triton/.ready: PYTHON = /usr/bin/python3.11

# pip, because only pip finds a torch of the machine's own
.venv-server-%/.ready: tests/servers/requirements/%.txt | $(UV)
	$(UV) venv -q --clear --seed --python $(PYTHON) $(@D)
	if grep -q '^torch==' $<; then $(@D)/bin/pip install -q -r $<; \
	else $(UV) pip install -q -p $(@D) -r $<; fi
	touch $@
