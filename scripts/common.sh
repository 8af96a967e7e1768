# shellcheck shell=bash disable=SC2034 # constants for those who source it
# Sourced by the other scripts: where the project lies, and how they speak.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# The version of tests/kafka/pom.xml; tests/it/support/kafka.rs looks for the jars in this folder.
KAFKA_DIR=target/kafka/4.3.1

# tests/it/support/oracle.rs looks for it here.
ORACLE_VENV=target/oracle-venv
DEPLOY_VENV=target/deploy-venv

# scripts/check-api.sh runs what lies here.
API_VENV=target/schemathesis-venv

CARGO_DENY_VERSION=0.20.2
CARGO_DENY=target/tools/cargo-deny-$CARGO_DENY_VERSION/bin/cargo-deny

# rustup puts cargo here, and a shell opened before the installation does not know it.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH"
    export PATH
fi

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
