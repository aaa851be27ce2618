# Shared by the scripts of this folder: installs missing packages, fetches the jars, finds a Rust
# toolchain, and builds. Sourced, never run. It never starts a server, never overwrites a
# policy-rc.d, never disables a unit that existed before, and uses no registry if nothing is
# missing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jars=$root/.millrace/jars
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:$HOME/.cargo/bin

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "need root or sudo to run: $*"
    fi
}

have() { command -v "$1" >/dev/null 2>&1; }

java_major() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1; }

# Prints the Debian packages that are missing to build. Here and below, it looks for their programs
# and files, so a tool from another source is accepted.
missing_to_build() {
    have gcc || echo gcc
    have g++ || echo g++
    have make || echo make
    have pkg-config || echo pkg-config
    [ -e /usr/include/zlib.h ] || echo zlib1g-dev
    # librdkafka's TLS and SCRAM.
    [ -e /usr/include/openssl/ssl.h ] || echo libssl-dev
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    # rustup's toolchain first; Debian's own rustc is too old, its rustc-web is not.
    rust_ready || rustup_toolchain || printf '%s\n' rustc-web cargo-web
}

# Prints those that are missing to run the native stack.
missing_to_run() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
    have redis-server || echo redis-server
    have nginx || echo nginx-light
    { have prometheus && have promtool; } || echo prometheus
    have kcat || echo kcat
    # 17 on Debian 12, and 21 on Debian 13, which has no 17.
    [ "$(java_major)" -ge 17 ] 2>/dev/null || echo default-jre-headless
    # Maven is not needed once the jars exist.
    jars_ready || have mvn || echo maven
}

# Prints those of its arguments that are missing.
missing_extras() {
    local extra
    for extra in "$@"; do
        case $extra in
            # rustup includes it.
            rustfmt-web) have rustup || dpkg-query -W "$extra" >/dev/null 2>&1 ;;
            # The program has the name of its package.
            *) have "$extra" ;;
        esac || echo "$extra"
    done
}

rust_ready() { (cd "$root" && cargo --version && rustc --version) >/dev/null 2>&1 && rust_new_enough; }

rust_new_enough() {
    local want found
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    found=$(cd "$root" && rustc --version | awk '{print $2}')
    [ "$(printf '%s\n%s\n' "$want" "$found" | sort -V | head -1)" = "$want" ]
}

rustup_toolchain() {
    have rustup || return 1
    (cd "$root" && rustup toolchain install "$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)" \
        --profile minimal --component clippy --component rustfmt) >/dev/null 2>&1 && rust_ready
}

# With systemd, Debian starts the servers that it installs. The stack runs its own, so a temporary
# policy-rc.d prevents the start, and units that are new are disabled. Existing units are not
# changed.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=no before unit status=0
    [ $# -gt 0 ] || return 0
    have apt-get || die "missing and no apt-get to install it with: $*"
    say "installing $*"
    before=$(ls /lib/systemd/system /etc/systemd/system 2>/dev/null || true)
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        # shellcheck disable=SC2064
        trap "as_root rm -f $policy" EXIT INT TERM
    fi
    {
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    } >"$root/.millrace/install.log" 2>&1 || status=$?
    if [ $ours = yes ]; then
        as_root rm -f $policy
        trap - EXIT INT TERM
    fi
    [ $status = 0 ] || { tail -20 "$root/.millrace/install.log" >&2; die "apt-get failed, see .millrace/install.log"; }
    if have systemctl && [ -d /run/systemd/system ]; then
        for unit in postgresql redis-server nginx prometheus; do
            grep -qx "$unit.service" <<<"$before" || as_root systemctl disable --quiet "$unit.service" 2>/dev/null || true
        done
    fi
}

# Only one test needs the browser, and only `test` installs it. If it is not available, the caller
# continues without it.
browser_ready() { have chromedriver && { have chromium || have google-chrome; }; }
install_browser() { browser_ready || { (install_packages chromium chromium-driver) && browser_ready; }; }

# Only one test needs Schemathesis, from PyPI. A seed gives the same cases only with the same
# versions, so requirements.txt has all of them, and the folder is created again when it changes.
schemathesis=$root/.millrace/schemathesis
schemathesis_stamp() { sha256sum <"$root/integration/openapi/requirements.txt" | cut -d' ' -f1; }
schemathesis_ready() { [ "$(cat "$schemathesis/stamp" 2>/dev/null)" = "$(schemathesis_stamp)" ]; }
install_schemathesis() {
    schemathesis_ready && return 0
    # Debian's python3 alone can't create an environment with pip.
    python3 -c 'import ensurepip, venv' 2>/dev/null || (install_packages python3 python3-venv) || return 1
    rm -rf "$schemathesis"
    {
        python3 -m venv "$schemathesis" &&
            "$schemathesis/bin/pip" install --disable-pip-version-check -r "$root/integration/openapi/requirements.txt"
    } >"$root/.millrace/pip.log" 2>&1 || { tail -5 "$root/.millrace/pip.log" >&2; return 1; }
    schemathesis_stamp >"$schemathesis/stamp"
}

# Only one test needs the OpenTelemetry Collector, from Go modules. go.mod and go.sum pin them, and
# the program is built again when they change.
collector=$root/.millrace/collector
collector_stamp() { cat "$root"/integration/collector/{go.mod,go.sum,main.go} | sha256sum | cut -d' ' -f1; }
collector_ready() { [ "$(cat "$collector/stamp" 2>/dev/null)" = "$(collector_stamp)" ]; }
install_collector() {
    collector_ready && return 0
    have go || return 1
    say "building the OpenTelemetry Collector (some minutes, once)"
    mkdir -p "$collector"
    (cd "$root/integration/collector" && CGO_ENABLED=0 go build -o "$collector/collector" .) >"$root/.millrace/collector.log" 2>&1 ||
        { tail -5 "$root/.millrace/collector.log" >&2; return 1; }
    collector_stamp >"$collector/stamp"
}

jars_stamp() { sha256sum <"$root/integration/pom.xml" | cut -d' ' -f1; }
jars_ready() { [ "$(cat "$jars/stamp" 2>/dev/null)" = "$(jars_stamp)" ]; }

# One folder for each server. The stamp is written last, so an interrupted download starts again.
fetch_jars() {
    jars_ready && return 0
    say "fetching the JVM servers' jars (about 200 MB, once)"
    rm -rf "$jars" && mkdir -p "$jars"
    local server
    for server in kafka mongo; do
        maven $server dependency:copy-dependencies
    done
    maven registry dependency:copy
    tar -xzf "$jars"/registry/*.tar.gz -C "$jars/registry"
    rm "$jars"/registry/*.tar.gz
    jars_stamp >"$jars/stamp"
}

maven() {
    mvn -q -B -f "$root/integration/pom.xml" -P "$1" -Djars="$jars/$1" "$2" >"$root/.millrace/maven.log" 2>&1 ||
        { tail -20 "$root/.millrace/maven.log" >&2; die "Maven could not fetch the jars of '$1', see .millrace/maven.log"; }
}

# The programs of the services, and all that the native stack runs.
mapfile -t services < <(cd "$root/pipeline/services/src/bin" && printf '%s\n' *.rs | sed 's/\.rs$//')
stack_programs=(stack gate provision gateway millrace "${services[@]}")

# Builds the programs that are named; `features` may name features of crates. All scripts build with
# one profile and with --workspace: cargo chooses the features of dependencies by the selected
# packages, and another selection would compile them again. MILLRACE_PROFILE=release builds with
# optimisation.
profile=${MILLRACE_PROFILE:-dev}
selection=(--workspace)
# Tests add features to dependencies, and programs alone would have most of these compiled a second
# time: `integration/test` builds all targets, also where it calls another script.
[ -z "${MILLRACE_ALL_TARGETS:-}" ] || selection+=(--all-targets)
build() {
    local name options=()
    for name in "$@"; do options+=(--bin "$name"); done
    (cd "$root" && cargo build "${selection[@]}" --profile "$profile" ${features:+--features "$features"} "${options[@]}")
}
# Builds the programs as they are deployed: without the fault suite and the benchmarks, whose
# manifests add fault points and other modes to the crates that they share with the services.
build_deployed() {
    local name selection=(--workspace --exclude proof --exclude speed)
    build "$@"
    for name in "$@"; do
        ! grep -qaE 'MILLRACE_(FAULT|MUTANT)' "$(binary "$name")" || die "$(binary "$name") has fault points"
    done
}
binary() {
    local folder=$profile
    [ "$profile" != dev ] || folder=debug
    printf '%s/%s/%s' "${CARGO_TARGET_DIR:-$root/target}" "$folder" "$1"
}

# Installs what is missing to build. Arguments: further packages that the script needs.
prepare_build() {
    local packages
    mkdir -p "$root/.millrace"
    mapfile -t packages < <(missing_to_build; missing_extras "$@")
    install_packages "${packages[@]}"
}

# The same, and what is missing to run the native stack.
prepare() {
    local packages
    mkdir -p "$root/.millrace"
    mapfile -t packages < <(missing_to_run; missing_to_build; missing_extras "$@")
    install_packages "${packages[@]}"
    fetch_jars
}
