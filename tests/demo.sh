#!/bin/sh
# The whole way on real portraits: a server with an empty data folder, a class enrolled from folders, two class photos
# of other shots, who is present, and annotated copies in target/demo. Called by `make demo`.
#   tests/demo.sh ROLLCALL        (from the repository's root)
#
# Obama is enrolled from two shots and photographed by a third. Of Biden there is one shot under a free licence: the
# class photos show a changed copy of it (mirrored, darker, smaller, compressed again), which is easier than another
# shot would be. Collins is enrolled and in no photo. Hopper is a stranger: in a photo and not enrolled.
set -eu

rollcall=$1
portraits=tests/fixtures/portraits
photos=tests/fixtures/class
out=target/demo
work=$(mktemp -d)
server=

finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

echo "== a server on a free port, with an empty data folder"
ROLLCALL__LOG__FILTER=warn "$rollcall" serve --data "$work/data" --address 127.0.0.1:0 &
server=$!
tries=0
until [ -s "$work/data/server.address" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "the server does not start" >&2
        exit 1
    fi
    sleep 0.1
done
echo "listening on $(head -n 1 "$work/data/server.address")"

echo
echo "== enrolling the class: one folder a person"
mkdir -p "$work/class/Barack Obama" "$work/class/Joe Biden" "$work/class/Eileen Collins"
cp "$portraits/obama.jpg" "$portraits/obama2.jpg" "$work/class/Barack Obama"
cp "$portraits/biden.jpg" "$work/class/Joe Biden"
cp "$portraits/astronaut.jpg" "$work/class/Eileen Collins"
"$rollcall" enroll "$work/class" --group class --data "$work/data"

rm -rf "$out"
mkdir -p "$out"
cp "$photos/first.jpg" "$photos/second.jpg" "$out"
echo
echo "== who is there?"
"$rollcall" recognize "$out/first.jpg" "$out/second.jpg" --group class --annotate "$out" --data "$work/data" |
    tee "$work/answer"

# The demo is a check as well: two present, one not seen, the stranger unknown in both photos.
for line in 'present: 2 ' 'not seen: 1' 'unknown faces: 2'; do
    grep -q "^$line" "$work/answer" || {
        echo "expected: $line" >&2
        exit 1
    }
done
echo
echo "== the photos and their annotated copies are in target/demo"
ls "$out"
