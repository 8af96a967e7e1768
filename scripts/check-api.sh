#!/usr/bin/env bash
# Holds a running API to its own description: schemathesis asks every operation of /openapi.json with good and bad
# values. An answer of 5xx, an undescribed status, header or body is a fault. The server is `indelible demo`, with
# credentials. The seed is fixed, SEED=n and EXAMPLES=n choose others. PROGRAM=path names one that is built already.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh api
program=${PROGRAM:-}
if [ -z "$program" ]; then
    program=${CARGO_TARGET_DIR:-target}/debug/indelible
    cargo build --quiet --locked --bin indelible
fi
logs=target/check-api
rm -rf "$logs"
mkdir -p "$logs"

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

"$program" key new --name schemathesis --tenant acme --user alice --scope usage:read:all --scope quota:write \
    --rate 1000000 >"$logs/keys.toml" 2>"$logs/key"
key=$(grep -o 'idl_[^ ]*' "$logs/key" | head -n 1)
api=127.0.0.1:$(free_port)
INDELIBLE_LISTEN=$api INDELIBLE_OPS_LISTEN=127.0.0.1:$(free_port) INDELIBLE_API_KEYS=$logs/keys.toml \
    "$program" demo >"$logs/server" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$ROOT/$logs/key"' EXIT

# The story is told, so there is something to ask for.
for _ in $(seq 300); do
    grep -qs "goes on counting" "$logs/server" && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
grep -qs 'goes on counting' "$logs/server" || {
    cat "$logs/server" >&2
    die "the demo does not serve; what it says stands above"
}

# Not held to it: that what the description's types allow is accepted. They do not say which texts are an id, an instant
# or a cursor; those that are none get a described 400.
# From the folder of its logs, since it keeps what it has found where it runs.
cd "$logs"
"$ROOT/$API_VENV/bin/st" --no-color run "http://$api/openapi.json" --header "Authorization: Bearer $key" \
    --exclude-checks positive_data_acceptance --max-examples "${EXAMPLES:-60}" --seed "${SEED:-1}" \
    --request-timeout 15 --output-sanitize true >report || {
    cat report >&2
    die "the API does not do what its description says"
}
sed -n '/^API Operations:/,$p' report
