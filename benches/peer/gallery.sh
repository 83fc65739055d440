#!/bin/sh
# Fetches faiss and hnswlib into target/peer, makes vectors and compares. Called by `make bench-gallery-peer`, from the
# repository's root.
#   gallery.sh ROLLCALL
#   ROWS     rows of the gallery (default 100000, about 200 MB; hnswlib takes a minute for them)
#   VECTORS  a folder with vectors made before
set -eu

rollcall=$1
peer=benches/peer
out=target/peer
rows=${ROWS:-100000}
vectors=${VECTORS:-$out/gallery-$rows}
mkdir -p "$out"

if [ ! -x "$out/venv/bin/pip" ]; then
    python3 -m venv "$out/venv"
fi
"$out/venv/bin/pip" install --quiet --requirement "$peer/requirements-gallery.txt"
if [ ! -f "$vectors/truth.u32" ]; then
    "$out/venv/bin/python" "$peer/gallery.py" make "$rows" "$vectors"
fi
exec "$out/venv/bin/python" "$peer/gallery.py" compare "$vectors" --rollcall "$rollcall"
