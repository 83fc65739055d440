#!/usr/bin/env bash
# Fuzzes a server of its own by its OpenAPI description, once as a tenant and once as the operator: no 500, and no
# answer that the description does not allow. Exits non-zero on a finding.
# Usage: tests/fuzz/run.sh ROLLCALL   EXAMPLES=n cases an operation (30), SEED=n (1).
set -euo pipefail

rollcall=$(realpath "$1")
here=$(dirname "$0")
venv=$(realpath -m "${VENV:-target/fuzz-venv}")
work=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then kill "$server" && wait "$server" || true; fi
    rm -rf "$work"
}
trap stop EXIT

if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"

"$rollcall" --data "$work/data" serve --address 127.0.0.1:0 2> "$work/server.log" &
server=$!
until [ -s "$work/data/server.address" ]; do
    kill -0 "$server" || { cat "$work/server.log"; exit 1; }
    sleep 0.1
done
url=http://$(head -n 1 "$work/data/server.address")

# It leaves a cache where it runs.
cd "$work"
failed=0
for who in default operator; do
    echo "== with the key of $who"
    "$venv/bin/schemathesis" run "$url/openapi.json" --url "$url" \
        --header "Authorization: Bearer $(cat "$work/data/$who.key")" \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance \
        --checks response_schema_conformance,unsupported_method,ignored_auth \
        --max-examples "${EXAMPLES:-30}" --seed "${SEED:-1}" --generation-database none \
        --continue-on-failure --warnings off --workers 2 --request-timeout 60 || failed=1
done
exit "$failed"
