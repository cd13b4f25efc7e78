# The environment is .venv, made from requirements.lock. PYTHON is 3.11 to 3.13.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install demo test check format bench bench-peers soak pretrain lock

help:
	@echo "make demo      install, then forecast the bundled panel and say where to look"
	@echo "make test      install, then run the tests"
	@echo "make check     lint, format, types, and the ladder of imports"
	@echo "make bench     the benchmarks, each a ratio within one run"
	@echo "make bench-peers  the same work with peer libraries, and the parts of a night; an hour or so"
	@echo "make soak      kills, rot, faults and a hundred nights, and what became of the store"
	@echo "make pretrain  train the network that the package ships, on simulated markets"

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing into .venv (about 3 GB; a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Nightcast needs Python 3.11 to 3.13; run: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	@$(BIN)/nightcast demo

# A module's tests stay in one process: they share its servers. Modules start in the order of collection. Four
# processes keep two cores busy: half of the time, a test waits for a server.
test: install
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	@for script in benchmarks/[a-z]*.py; do $(BIN)/python -m benchmarks.$$(basename $$script .py) || exit 1; done

# The peers have an environment of their own, with Python 3.11, 2 GB large. Takes about an hour.
bench-peers: install .venv-peers/installed
	@for name in training whole_night night_parts; do $(BIN)/python -m benchmarks.peers.$$name || exit 1; done

# PyTorch first: a CPU build satisfies what the others need.
.venv-peers/installed: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check $$(grep ^torch== $<)
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Takes about an hour on two cores. Every part runs, also after one that has failed.
soak: install
	@failed=0; for part in kills rot faults nights; do \
		echo "== $$part"; $(BIN)/python -m tests.soak.$$part || failed=1; \
	done; exit $$failed

# Rewrites forecasting/models/pretrained/. Takes some ten minutes on two cores.
pretrain: install
	@$(BIN)/python -m forecasting.models.pretrain

# Needs the tool uv: one lock for every platform and Python, with hashes, without addresses; and what of it the
# image needs.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra image --constraint requirements.lock pyproject.toml \
		--output-file deployments/docker/requirements.lock
