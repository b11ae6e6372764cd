# Hearth's commands. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := wasm32-unknown-unknown
# Where the demo leaves its world, models, registry and keys.
DEMO ?= demo
# Generated cases of `parity`.
CASES ?= 1000000
# A folder of real data sets, for `make real`; see docs/examples.
DATA ?=
# Where `hosts` and `peers` install what tests and benches drive beside Hearth.
HOSTS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hearth/hosts
export HEARTH_HOSTS := $(HOSTS)

.PHONY: help setup hosts peers demo test lint bench engine parity real null docs

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: ## install what the build needs: the pinned toolchain's wasm target
	@command -v rustup >/dev/null || { echo "rustup is missing: install it, then run this again" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc" >&2; exit 1; }
	@rustup toolchain list | grep -q "^$$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)" \
	  || rustup toolchain install "$$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)" --profile minimal
	@rustup target list --installed | grep -qx $(TARGET) || rustup target add $(TARGET)
	@rustup component list --installed | grep -q '^clippy' || rustup component add clippy
	@rustup component list --installed | grep -q '^rustfmt' || rustup component add rustfmt

hosts: ## install what tests drive: browsers, Node packages, a Python environment; what is missing is named
	@tests/hosts/install.sh "$(HOSTS)" hosts

peers: ## install what benches compare with
	@tests/hosts/install.sh "$(HOSTS)" peers

demo: setup ## the whole loop on a simulated Home: simulate, replay, train, judge, publish, serve, ask
	$(CARGO) build --workspace --locked
	"$${CARGO_TARGET_DIR:-target}/debug/trainer" demo --out $(DEMO)

test: setup hosts ## all tests
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked

lint: setup ## formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	  else echo "skipped: cargo deny is not installed (cargo install cargo-deny)"; fi

engine: setup ## build the engine alone and print its size and digest
	$(CARGO) build --workspace --locked
	"$${CARGO_TARGET_DIR:-target}/debug/trainer" engine

bench: setup peers ## speeds, beside peers
	$(HOSTS)/peers/bin/python tests/benches/score/models.py "$(HOSTS)/models"
	$(CARGO) bench --locked --package hearth-tests --bench score --bench rank

parity: setup hosts ## the same bits from native code, wasmtime, Pulley, Node, Chromium and Firefox; writes docs/parity.md
	$(CARGO) run --release --locked --package hearth-tests --example parity -- --cases $(CASES) --write docs/parity.md

real: setup ## the reference results on real data: make real DATA=FOLDER
	@test -n "$(DATA)" || { echo "pass the folder of data sets: make real DATA=FOLDER" >&2; exit 1; }
	$(CARGO) build --workspace --locked
	HEARTH_DATA="$(abspath $(DATA))" $(CARGO) test --workspace --locked --test real_data --test xgboost_real -- --nocapture --test-threads=1

null: setup ## the leak test: 3 surfaces x 20 seeds of a world without signal
	HEARTH_NULL_SEEDS=20 $(CARGO) test --workspace --locked --test simulator -- --nocapture null

docs: setup ## the reference of every crate
	$(CARGO) doc --workspace --no-deps --locked
