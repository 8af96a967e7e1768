#!/usr/bin/env bash
# How long the gate takes: a Redis with 100,000 users, the API as it is released, and 5,000 questions a second for 20 s
# over the loopback. Prints the machine and the figures. Nothing else should run meanwhile: all share its cores.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "building"
cargo test --locked --release --test it --no-run
say "machine"
model=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
changed=$(git status --porcelain --untracked-files=no | head -1)
printf '%s cores of %s, Linux %s\n' "$(nproc)" "${model:-an unknown model}" "$(uname -r)"
printf '%s; %s; commit %s%s\n' "$(rustc --version)" "$(redis-server --version | cut -d ' ' -f 1-3)" \
    "$(git rev-parse --short HEAD)" "${changed:+ with changes}"
printf 'load before: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
say "gate"
INDELIBLE_BOUNDS=large cargo test --locked --release --test it -- bounds::gate:: --nocapture --test-threads=1
