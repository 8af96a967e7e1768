#!/usr/bin/env bash
# The tests can see: plants known mistakes one at a time and reports which tests catch each. Exit 1 if one survives, 2
# if a mistake can't be planted or does not compile. Arguments: --all runs the whole suite on each; --only TEXT.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
exec python3 scripts/mutants.py "$@"
