#!/usr/bin/env bash
# Holds Redis and the API of a running system to what the log says. Arguments go to the oracle.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh oracle
# -B: no bytecode among the sources.
PYTHONPATH=tests exec "$ORACLE_VENV/bin/python" -B -m oracle "$@"
