# The only list of commands; CI calls nothing else. `make help` prints it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# What a target depends on is done in the order in which it is written; cargo uses all cores by itself.
.NOTPARALLEL:

# Everything that can be made again lies here, shared by all clones: the build of a clone is warm, and the clone stays small.
export CLOISTER_CACHE ?= $(HOME)/.cache/cloister
export CARGO_TARGET_DIR := $(CLOISTER_CACHE)/target
# rustup installs here, and shells that are not login shells do not know it.
export PATH := $(HOME)/.cargo/bin:$(PATH)

OUT := target/release
IMAGES := /usr/bin/python3 sandbox-images/build.py
# One image, all without it: make images IMAGE=analysis
IMAGE ?=
# Cases or families, all without; CONTINUE=1 takes over what a run that was cut off has found: make attack ID="NET-05 FS"
ID ?=
CONTINUE ?=
# Passed on to the tests of Rust: make test-rust TESTS="-p cloister-core"
TESTS ?= --workspace

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  make %-17s %s\n", $$1, $$2 }'

## Set-up and building

.PHONY: deps
deps: ## Install what the host lacks for building and testing (apt; quick when all is there)
	@scripts/deps.sh

.PHONY: build
build: ## Build everything for debugging
	cargo build --locked --workspace

.PHONY: release
release: deps ## Build target/release/cloister and what it needs beside it
	cargo build --locked --release -p cloister -p cloister-jail -p cloister-wasm
	@scripts/lay-out-release.sh "$(CARGO_TARGET_DIR)/release" "$(OUT)" "$(CLOISTER_CACHE)/images"

.PHONY: sbom
sbom: ## What is in a release, as CycloneDX: target/sbom/*.cdx.json, for the programs and for each image
	@scripts/sbom.py

.PHONY: images
images: deps ## Build the sandbox images (a second when nothing has changed; IMAGE=name for one)
	@$(IMAGES) build $(IMAGE)

.PHONY: images-check
images-check: images ## Run the interpreters and the analysis stack inside the images
	@$(IMAGES) build --check $(IMAGE)

.PHONY: images-lock
images-lock: deps ## Choose today's versions of everything in the images and write the lock files
	@$(IMAGES) lock $(IMAGE)

## Using

.PHONY: demo
demo: release images ## Start cloister, and let an unmodified boto3 run an analysis and fetch its chart
	@scripts/demo.sh

## Checking

.PHONY: test
test: deps lint images-check test-images test-drivers test-rust test-user test-conformance ## Everything below, on built images

.PHONY: test-rust
test-rust: build ## The tests of the Rust crates (TESTS="-p NAME" for one)
	@scripts/cpython-tests.sh
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked $(TESTS); \
	else \
		cargo test --locked $(TESTS); \
	fi

.PHONY: test-user
test-user: build ## The kernel and browser tests as an ordinary user (when run as root)
	@scripts/cpython-tests.sh
	@scripts/test-as-user.sh

.PHONY: test-images
test-images: ## The tests of the image builder
	@cd sandbox-images && /usr/bin/python3 -m unittest discover -s tests -t .

.PHONY: test-drivers
test-drivers: ## The tests of the interpreters' drivers, with the image's own libraries
	@scripts/test-drivers.sh

.PHONY: test-conformance
test-conformance: release ## Foreign clients as they are: boto3, the AgentCore SDK
	@if [ -x tests/conformance/run.sh ]; then CLOISTER_BIN=$(CURDIR)/$(OUT)/cloister tests/conformance/run.sh; \
	elif [ "$${REQUIRE:-}" = all ]; then echo "tests/conformance/run.sh is missing, and REQUIRE=all" >&2; exit 1; \
	else echo "SKIPPED: there is no tests/conformance/run.sh"; fi

.PHONY: attack
attack: ## The attack cases: what each proves on which tier (ID=NET-05 or ID=NET for some), and docs/attack-report.md
	@scripts/cpython-tests.sh
	@python3 scripts/attack $(ID) $(if $(CONTINUE),--continue)

.PHONY: lint
lint: ## Formatting, clippy, dependency rules
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/cargo-deny.sh

.PHONY: fmt
fmt: ## Format the Rust code
	cargo fmt --all

.PHONY: bench
bench: release images ## What a user waits for, measured
	@scripts/bench.sh $(BENCH)

.PHONY: ci
ci: ## What CI runs: all tests with nothing skipped, then the demo
	@REQUIRE=all $(MAKE) test
	@$(MAKE) demo

.PHONY: clean
clean: ## Remove what cargo has built; images stay
	rm -rf $(OUT)
	cargo clean

.PHONY: clean-images
clean-images: ## Remove the images and everything downloaded for them
	rm -rf "$(CLOISTER_CACHE)/images" "$(CLOISTER_CACHE)/build" "$(CLOISTER_CACHE)/cpython-tests"
