#!/usr/bin/env bash
# Brings what a target needs: setup.sh demo | check | test | oracle | deploy | api | instructions. Safe to run again (a
# second when nothing is missing) and twice at the same time. It knows Debian's packages; elsewhere it names what is
# missing.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

has() {
    command -v "$1" >/dev/null
}

# Prints the Debian packages that are missing, one a line. Asks for what a package brings, not for the
# package: another version of Java, or a Maven that somebody unpacked by hand, is as good.
missing_packages() {
    local goal=$1
    case $goal in oracle | deploy)
        has_python || printf '%s\n' python3 python3-venv
        return
        ;;
    esac
    { has cc && has c++ && has make; } || echo build-essential
    has cmake || echo cmake
    if has pkg-config; then
        pkg-config --exists openssl || echo libssl-dev
        pkg-config --exists zlib || echo zlib1g-dev
        # librdkafka 2.12 includes curl's header even when it is built without curl (#ifdef of a macro that is 0).
        pkg-config --exists libcurl || echo libcurl4-openssl-dev
    else
        printf '%s\n' pkg-config libssl-dev zlib1g-dev libcurl4-openssl-dev
    fi
    case $goal in
    demo)
        has redis-server || echo redis-server
        ;;
    api)
        has redis-server || echo redis-server
        has_python || printf '%s\n' python3 python3-venv
        ;;
    instructions)
        has valgrind || echo valgrind
        ;;
    test)
        has redis-server || echo redis-server
        { has prometheus && has promtool; } || echo prometheus
        has shellcheck || echo shellcheck
        has python3 || echo python3
        has_java || echo openjdk-17-jre-headless
        has mvn || echo maven
        has_python || printf '%s\n' python3 python3-venv
        ;;
    esac
}

# Kafka 4 needs Java 17 or newer.
has_java() {
    local major
    has java || return 1
    major=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ]
}

# The oracle's and the checks of deployments'; Debian has venv's other half, ensurepip, in a package of its own.
has_python() {
    has python3 && python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

install_packages() {
    local goal=$1 missing as_root=() install
    missing=$(missing_packages "$goal" | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0

    install="apt-get install -y --no-install-recommends $missing"
    has apt-get || die "these Debian packages, or what stands for them on this system, are missing: $missing"
    if [ "$(id -u)" != 0 ]; then
        # -n: never wait for a password in the middle of a build.
        if has sudo && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            die "these Debian packages are missing: $missing
Install them, then type the command again:
  sudo apt-get update && sudo $install"
        fi
    fi

    say "installing $missing"
    local had_redis=no had_prometheus=no
    if has redis-server; then had_redis=yes; fi
    if has prometheus; then had_prometheus=yes; fi
    "${as_root[@]}" apt-get update -q
    # RUNLEVEL=1: packages do not start their services where there is no systemd.
    # shellcheck disable=SC2086 # one word a package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
    # Tests and demo run servers of their own; the services were not asked for.
    if [ -d /run/systemd/system ]; then
        if [ "$had_redis" = no ]; then
            "${as_root[@]}" systemctl disable --now redis-server.service >/dev/null 2>&1 || true
        fi
        if [ "$had_prometheus" = no ]; then
            "${as_root[@]}" systemctl disable --now prometheus.service >/dev/null 2>&1 || true
        fi
    fi

    missing=$(missing_packages "$goal" | tr '\n' ' ')
    [ -z "$missing" ] || die "installed, and still not found: $missing(is an older java first on the PATH?)"
}

check_rust() {
    local goal=$1 needed found component
    has cargo || die "cargo is missing: install the Rust toolchain (https://rustup.rs), then type the command again"
    needed=$(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml)
    found=$(rustc --version | awk '{ print $2 }')
    if [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
        die "rustc $found is too old: $needed or newer is needed (rustup update stable)"
    fi
    case $goal in demo | api | instructions) return 0 ;; esac
    for component in clippy rustfmt; do
        if has "cargo-${component/rust/}" && "cargo-${component/rust/}" --version >/dev/null 2>&1; then continue; fi
        has rustup || die "cargo ${component/rust/} is missing: install it beside rustc"
        say "adding $component"
        rustup component add "$component"
    done
}

# A copy of the pom lies beside the jars: they are complete, and of this pom, or they are not there.
fetch_kafka() {
    local pom=tests/kafka/pom.xml fresh
    if cmp -s "$pom" "$KAFKA_DIR/pom.xml"; then return 0; fi
    say "fetching Apache Kafka for the tests"
    mkdir -p "$(dirname "$KAFKA_DIR")"
    rm -rf "$KAFKA_DIR".* # of a set-up that was interrupted
    fresh=$(mktemp -d "$KAFKA_DIR.XXXXXX")
    # Its words are of use only if it fails: with -q it still writes colour codes.
    if ! mvn -B -q -f "$pom" dependency:copy-dependencies -DoutputDirectory="$ROOT/$fresh/lib" >"$fresh/mvn.log" 2>&1
    then
        cat "$fresh/mvn.log" >&2
        rm -rf "$fresh"
        die "Maven can't fetch Apache Kafka; what it says stands above"
    fi
    cp "$pom" "$fresh/pom.xml"
    rm -rf "$KAFKA_DIR"
    mv "$fresh" "$KAFKA_DIR"
}

# make_venv WHOSE FOLDER FILE…: an environment with the Python packages of the files. A copy of the files lies in it
# once all of them are there. In a file named tools.txt each package is held to its hashes.
make_venv() {
    local whose=$1 venv=$2 wanted file hashes
    shift 2
    wanted=$(cat "$@")
    if [ "$wanted" = "$(cat "$venv/requirements.txt" 2>/dev/null)" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    say "fetching $whose Python packages"
    rm -rf "$venv"
    python3 -m venv "$venv"
    for file in "$@"; do
        hashes=()
        if [ "${file##*/}" = tools.txt ]; then hashes=(--require-hashes --no-deps); fi
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${hashes[@]}" --requirement "$file"
    done
    printf '%s\n' "$wanted" >"$venv/requirements.txt"
}

# Built from its crate, without optimisation: faster to make than it is slow to run.
install_cargo_deny() {
    if [ -x "$CARGO_DENY" ]; then return 0; fi
    say "building cargo-deny $CARGO_DENY_VERSION"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --no-default-features \
        --root "${CARGO_DENY%/bin/*}" "cargo-deny@$CARGO_DENY_VERSION"
}

goal=${1:-}
case $goal in
demo | check | test | oracle | deploy | api | instructions) ;;
*) die "usage: scripts/setup.sh demo|check|test|oracle|deploy|api|instructions" ;;
esac

# One set-up at a time; the lock goes with the process.
mkdir -p target
exec 9>target/.setup.lock
if has flock; then
    flock 9
fi

if [ "$goal" != oracle ] && [ "$goal" != deploy ]; then
    check_rust "$goal"
fi
install_packages "$goal"
if [ "$goal" = test ] || [ "$goal" = oracle ]; then
    make_venv "the oracle's" "$ORACLE_VENV" tests/oracle/requirements.txt
fi
if [ "$goal" = test ] || [ "$goal" = deploy ]; then
    make_venv "the deployments'" "$DEPLOY_VENV" tests/deploy/requirements.txt tests/deploy/tools.txt
fi
if [ "$goal" = test ] || [ "$goal" = api ]; then
    make_venv "the API's" "$API_VENV" tests/schemathesis-requirements.txt
fi
if [ "$goal" = test ]; then
    fetch_kafka
    install_cargo_deny
    cargo fetch --locked --quiet
fi
