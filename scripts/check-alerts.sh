#!/usr/bin/env bash
# The alerts: well formed, and each has a case in tests/alerts/ that fires and one that does not. Seconds.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

rules=helm/indelible/files/alerts.yaml
promtool check rules --lint=all --lint-fatal "$rules" >/dev/null || die "$rules is not well formed"
# It says which case fails and what came instead, on standard output.
verdict=$(promtool test rules tests/alerts/*.yaml 2>&1) || die "$verdict"
sed -n 's/^ *- alert: //p' "$rules" | while read -r alert; do
    grep -q "name: $alert fires$" tests/alerts/*.yaml || die "no case in tests/alerts/ in which $alert fires"
    grep -q "name: '$alert does not fire: " tests/alerts/*.yaml ||
        die "no case in tests/alerts/ in which $alert does not fire"
done
