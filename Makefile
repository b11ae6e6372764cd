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
# How many seconds `fuzz` gives each target, which targets, and the toolchain that has libFuzzer's instrumentation.
TIME ?= 600
FUZZ ?= $(notdir $(basename $(wildcard tests/fuzz/fuzz_targets/*.rs)))
NIGHTLY ?= nightly

.PHONY: help setup hosts peers demo test lint bench bench-data bench-scale engine parity real null fuzz soak loss docs

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

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
	$(CARGO) clippy --package edge-runtime --lib --no-default-features --target $(TARGET) --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	  else echo "skipped: cargo deny is not installed (cargo install cargo-deny)"; fi

engine: setup ## the engines' sizes and digests; fails over budget
	$(CARGO) run --quiet --locked --package hearth-tests --example engine_sizes

bench: setup peers ## speeds, beside peers
	$(HOSTS)/peers/bin/python tests/benches/score/models.py "$(HOSTS)/models"
	$(CARGO) bench --locked --package hearth-tests --bench score --bench rank

bench-data: setup ## statistics, validation, replay and datasets, beside reading Parquet; beside TFDV with HEARTH_TFDV=PYTHON
	$(CARGO) bench --locked --package hearth-tests --bench data

bench-scale: setup ## data commands alone and on a cluster of this machine's processes; docs/scale.md has the figures
	$(CARGO) build --release --workspace --locked --bins --example scale
	"$${CARGO_TARGET_DIR:-target}/release/examples/scale"

parity: setup hosts ## the same bits from native code, wasmtime (Cranelift, Winch, Pulley), Node, Chromium and Firefox; writes docs/parity.md
	$(CARGO) run --release --locked --package hearth-tests --example parity -- --cases $(CASES) --write docs/parity.md

real: setup ## the reference results on real data: make real DATA=FOLDER
	@test -n "$(DATA)" || { echo "pass the folder of data sets: make real DATA=FOLDER" >&2; exit 1; }
	$(CARGO) build --workspace --locked
	HEARTH_DATA="$(abspath $(DATA))" $(CARGO) test --workspace --locked --test real_data --test xgboost_real --test data_validation -- --nocapture --test-threads=1
	HEARTH_DATA="$(abspath $(DATA))" $(CARGO) test --workspace --lib --locked data:: -- --nocapture

null: setup ## the leak test: 3 surfaces x 20 seeds of a world without signal
	HEARTH_NULL_SEEDS=20 $(CARGO) test --workspace --locked --test simulator -- --nocapture null

fuzz: setup ## fuzz all that reads bytes, each target for TIME seconds: make fuzz TIME=600 FUZZ="onnx spec"
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
	@rustup toolchain list | grep -q "^$(NIGHTLY)" \
	  || { echo "a nightly toolchain is missing: rustup toolchain install $(NIGHTLY) --profile minimal" >&2; exit 1; }
	$(CARGO) build --workspace --locked
	"$${CARGO_TARGET_DIR:-target}/debug/trainer" engine --out tests/fuzz/engine.wasm
	@for target in $(FUZZ); do \
	  echo "fuzzing $$target for $(TIME) s"; mkdir -p "tests/fuzz/found/$$target"; \
	  HEARTH_ENGINE="$(CURDIR)/tests/fuzz/engine.wasm" cargo +$(NIGHTLY) fuzz run --fuzz-dir tests/fuzz \
	    --target-dir "$${CARGO_TARGET_DIR:-$(CURDIR)/tests/fuzz/target}/fuzz" --sanitizer none "$$target" \
	    "tests/fuzz/found/$$target" "tests/fuzz/corpus/$$target" -- \
	    -max_total_time=$(TIME) -timeout=20 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1; \
	done

soak: setup ## a million calls of one engine: its memory must not grow
	HEARTH_SOAK_CALLS=$${HEARTH_SOAK_CALLS:-1000000} $(CARGO) test --release --package hearth-tests --locked --test soak -- --nocapture

loss: setup ## kill edge and collector, and let the store fail, a hundred rounds: what is acknowledged is stored once
	$(CARGO) build --workspace --locked
	HEARTH_LOSS_ROUNDS=$${HEARTH_LOSS_ROUNDS:-100} $(CARGO) test --workspace --locked --test collect -- --nocapture

docs: setup ## the reference of every crate
	$(CARGO) doc --workspace --no-deps --locked
