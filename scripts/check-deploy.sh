#!/usr/bin/env bash
# The chart, the compose file, the Dockerfile and what they mount, without a cluster and without a container engine, in
# seconds. The program is asked whether it takes what they set, so it must be built: PROGRAM=path names another.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh deploy
export PROGRAM=${PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/indelible}
[ -x "$PROGRAM" ] || die "$PROGRAM is missing: cargo build --locked --bin indelible"
say "Dockerfile, compose file, Prometheus's configuration"
"$DEPLOY_VENV/bin/hadolint" --failure-threshold style Dockerfile
"$DEPLOY_VENV/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec docker-compose.yml
promtool check config --syntax-only deploy/prometheus/prometheus.yml >/dev/null
say "chart and deployments"
# -B: no bytecode among the sources.
PYTHONPATH=tests "$DEPLOY_VENV/bin/python" -B -m unittest discover -s tests/deploy -t tests
