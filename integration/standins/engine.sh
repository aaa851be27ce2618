# A private Docker engine for a machine whose engine can pull no image: dockerd with its own
# folders, socket and bridge below .millrace/compose, Compose from Go modules, base images from
# debootstrap. Sourced by integration/compose, never run. It neither uses nor stops another engine,
# and keeps its images for the next run.

here=$root/.millrace/compose
engine=$here/engine
bridge=millrace0
compose_version=v2.40.3
mailpit_version=v1.27.11

engine_packages() {
    have dockerd || printf '%s\n' docker.io containerd runc
    have iptables || echo iptables
    have ip || echo iproute2
    have debootstrap || echo debootstrap
    jars_ready || have mvn || echo maven
}

# Builds a program from Go modules. Arguments: the file, the package, its module, the version. It
# needs a module of its own, because `go install` refuses modules with exclude directives.
go_program() {
    local file=$1 package=$2 module=$3 version=$4 folder=$here/go-$(basename "$1")
    [ "$(cat "$file.version" 2>/dev/null)" = "$version" ] && return 0
    have go || { say "no Go on this machine to build $module with"; return 1; }
    say "building $module $version (some minutes, once)"
    mkdir -p "$folder"
    printf 'module millrace\n\ngo 1.24\n\nrequire %s %s\n\ntool %s\n' "$module" "$version" "$package" >"$folder/go.mod"
    (cd "$folder" && CGO_ENABLED=0 GOFLAGS=-mod=mod nice go build -o "$file" "$package") >"$folder.log" 2>&1 ||
        { tail -5 "$folder.log" >&2; return 1; }
    printf '%s' "$version" >"$file.version"
}

engine_alive() { local pid; pid=$(cat "$engine/pid" 2>/dev/null) && grep -qaF "$engine/data" "/proc/$pid/cmdline" 2>/dev/null; }

engine_stop() {
    local left=150
    engine_alive || return 0
    as_root kill "$(cat "$engine/pid")" || true
    while engine_alive && [ $left -gt 0 ]; do sleep 0.2; left=$((left - 1)); done
    as_root ip link delete $bridge 2>/dev/null || true
}

# Call this before setting traps: installing packages sets its own.
engine_install() {
    local packages
    mapfile -t packages < <(engine_packages)
    install_packages "${packages[@]}"
    fetch_jars
    go_program "$here/docker-compose" github.com/docker/compose/v2/cmd github.com/docker/compose/v2 $compose_version ||
        die "no Compose: install Go 1.24"
}

engine_start() {
    local left=150
    mkdir -p "$engine" "$here/config/cli-plugins"
    ln -sf ../../docker-compose "$here/config/cli-plugins/docker-compose"
    # An interrupted run may have left the engine running.
    engine_stop
    as_root ip link add $bridge type bridge 2>/dev/null || true
    as_root ip addr replace 10.213.86.1/24 dev $bridge
    as_root ip link set $bridge up
    # In a session of its own, so that Ctrl-C does not stop it before the caller's trap runs.
    as_root setsid dockerd --data-root "$engine/data" --exec-root "$engine/exec" -p "$engine/pid" -H "unix://$engine/docker.sock" \
        -G "$(id -gn)" --bridge $bridge >"$engine/log" 2>&1 &
    export DOCKER_HOST=unix://$engine/docker.sock DOCKER_CONFIG=$here/config COMPOSE_BAKE=false
    until docker info >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || { tail -5 "$engine/log" >&2; die "dockerd does not start, see .millrace/compose/engine/log"; }
        sleep 0.2
    done
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Builds the named base images (see bases.yaml), and the one below them.
base_images() {
    local base=$engine/base image
    if ! has_image debian:bookworm-slim; then
        say "making the base image (debootstrap, once)"
        as_root rm -rf "$base"
        as_root debootstrap --variant=minbase bookworm "$base" >"$engine/debootstrap.log" 2>&1 ||
            { tail -5 "$engine/debootstrap.log" >&2; die "debootstrap failed"; }
        as_root tar -C "$base" -c . | docker import - debian:bookworm-slim >/dev/null
        as_root rm -rf "$base"
    fi
    for image in "$@"; do
        if [ $image = rust ]; then builder_base; else bases $image; fi
    done
}

# The builder's base is built again when its recipe has changed: copying the toolchain takes a
# minute.
builder_base() {
    local recipe sum=$engine/rust.sum
    recipe=$(sha256sum <"$root/integration/standins/bases.yaml")
    ! has_image rust:1.95.0-bookworm || [ "$(cat "$sum" 2>/dev/null)" != "$recipe" ] || return 0
    bases rust
    printf '%s\n' "$recipe" >"$sum"
}

bases() {
    say "building the image of $1"
    TOOLCHAIN=$(cd "$root" && rustc --print sysroot) docker compose -f "$root/integration/standins/bases.yaml" build --quiet "$1" \
        >"$engine/$1.log" 2>&1 || { tail -5 "$engine/$1.log" >&2; die "the image of $1 can't be built"; }
}
