# Two commands on a fresh machine (python3 and make): `make demo` and `make test`. `make help` lists the rest.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
RUN := .venv/bin
COMPILE = $(UV) pip compile -q --universal --generate-hashes --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help demo serve test torture lint fmt bench bench-agents bench-detect bench-search verifier lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: .venv/ready ## run the main job on real data, then serve the dashboards (ARGS=--once exits instead)
	$(RUN)/assay demo $(ARGS)

test: .venv/ready ## every test (ARGS='tests/ledger -k proof' narrows it)
	$(RUN)/pytest -q -n auto $(ARGS)

torture: .venv/ready ## slow: kill -9, EIO and ENOSPC at system calls; four writers hammered; minutes
	$(RUN)/pytest -q -p no:randomly tests/torture $(ARGS)

lint: .venv/ready ## ruff, mypy strict, import contracts
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy && $(RUN)/lint-imports

fmt: .venv/ready ## let ruff format and fix what it can
	$(RUN)/ruff format . && $(RUN)/ruff check --fix-only .

bench: .venv/ready ## measure; writes docs/benchmarks.md and docs/benchmarks.json
	$(RUN)/python tests/benchmarks/run.py $(ARGS)

bench-agents: .venv/ready ## thousands of trading agents against a real server; CSV and picture
	$(RUN)/python tests/benchmarks/agents.py $(ARGS)

bench-detect: .venv/ready ## delay and false alarms of the detectors (SEEDS=a-b CREDIT=FILE PRICES=FILE)
	$(RUN)/python tests/benchmarks/detection.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(CREDIT),--credit $(CREDIT)) $(if $(PRICES),--prices $(PRICES)) $(ARGS)

bench-search: .venv/ready ## the hub's search against FTS5 and BM25 (SEARCH_DIR=DIR)
	$(RUN)/python tests/benchmarks/search.py $(if $(SEARCH_DIR),--collection $(SEARCH_DIR)) $(ARGS)

verifier: .venv/ready ## assay-verify.pyz: check exports and receipts with python3 and cryptography alone
	$(RUN)/python -m ledger.verifier_archive assay-verify.pyz

lock: | $(UV) ## resolve pyproject.toml again: names, versions and hashes, no addresses
	$(COMPILE) --all-extras --group dev pyproject.toml -o requirements.lock
	$(COMPILE) --extra timestamps --extra kms --extra s3 -c requirements.lock pyproject.toml -o requirements-run.lock

clean: ## remove what make made (the environment, caches, demo data)
	rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage build dist demo-data assay-verify.pyz

.venv/ready: requirements.lock pyproject.toml | $(UV)
	$(UV) venv -q --python '>=3.11,<3.14' --allow-existing .venv
	$(UV) pip sync -q --require-hashes -p .venv requirements.lock
	$(UV) pip install -q --no-deps -p .venv -e .
	touch $@

.uv/bin/uv:
	python3 -m venv .uv && .uv/bin/pip install -q --only-binary :all: 'uv==0.13.*'
