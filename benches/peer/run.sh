#!/bin/sh
# Fetches what the comparison needs into target/peer and runs it. Called by `make bench-peer`, from the repository's root.
#   run.sh ROLLCALL COMPOSE
#   PHOTOS   a folder of JPEGs (default: photos composed of the tests' portraits)
#   PAIRS    runs of each (default 5); RUN_SECONDS  of each run on photos (default 8)
#   BENCHES  what is measured (default "nets photos")
set -eu

rollcall=$1
compose=$2
peer=benches/peer
out=target/peer
portraits=tests/fixtures/portraits
mkdir -p "$out"

if [ ! -x "$out/venv/bin/pip" ]; then
    python3 -m venv "$out/venv"
fi
"$out/venv/bin/pip" install --quiet --requirement "$peer/requirements.txt"

if [ ! -f "$out/models/.complete" ]; then
    ROLLCALL=$rollcall ./models/derive.sh --keep "$out/models"
    touch "$out/models/.complete"
fi

# Two class photos, near and far: 12 people of 300 px, and 24 of 200 px.
compose_photos() {
    mkdir -p "$out/photos"
    row="$portraits/obama.jpg $portraits/hopper.jpg $portraits/biden.jpg $portraits/obama2.jpg"
    mirrored="$portraits/obama3.jpg:mirror $portraits/hopper.jpg:mirror $portraits/biden.jpg:mirror:dark $portraits/astronaut.jpg"
    # shellcheck disable=SC2086 # the lists are meant to be split
    "$compose" "$out/photos/near.jpg" 300 $row / $mirrored / $row
    # shellcheck disable=SC2086
    "$compose" "$out/photos/far.jpg" 200 $row $mirrored / $mirrored $row / $row $mirrored
}

photos=${PHOTOS:-}
if [ -z "$photos" ]; then
    compose_photos
    photos=$out/photos
fi
# shellcheck disable=SC2086 # BENCHES is meant to be split
exec "$out/venv/bin/python" "$peer/compare.py" --rollcall "$rollcall" --models "$out/models" --photos "$photos" \
    --pairs "${PAIRS:-5}" --seconds "${RUN_SECONDS:-8}" --benches ${BENCHES:-nets photos}
