#!/bin/bash
# Builds images as docker-archives in the cache: build.sh [all|NAME...], a name being a folder of this one.
#
# With buildah (installed when missing, where apt-get can), on a Debian base that needs no image registry;
# with docker where a daemon runs and buildah is absent, on the base that the Containerfiles name.
# Nothing is rebuilt while its inputs are the same.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=${CONVERSATION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conversation-operator}
archives=$cache/images
base=localhost/python:3.13
base_packages=python3,python3-venv,ca-certificates
# What the other images with OpenHands are built on.
openhands='openhands-v0'
openhands_image=docker.io/conversation-operator/$openhands:dev
export STORAGE_DRIVER=${STORAGE_DRIVER:-overlay} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

say() { printf '%s images: %s\n' "$(date +%T)" "$*"; }
fail() { say "$*" >&2; exit 1; }

# What the image is made of, as one hash: contents, executable bits and names.
fingerprint() {
    local paths=("images/$1") files=$work/$1.files
    case $1 in
        operator) paths+=(pyproject.toml LICENSE requirements/operator.txt operator) ;;
        openhands-server)
            paths+=(pyproject.toml LICENSE images/operator/build-requirements.txt operator "images/$openhands")
            ;;
        openhands-v0-sudo | openhands-tests) paths+=("images/$openhands") ;;
    esac
    find "${paths[@]}" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z >"$files"
    { echo "$base $base_packages"; xargs -0 stat -c '%A %n' <"$files"; xargs -0 sha256sum <"$files"; } |
        sha256sum | cut -d' ' -f1
}

docker_runs() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

choose_builder() {
    builder=buildah
    # A base cannot be made without root; docker's daemon has it.
    if [ "$(id -u)" != 0 ] || ! command -v buildah >/dev/null; then
        if docker_runs; then builder=docker; fi
    fi
}

install_tools() {
    local missing=()
    command -v buildah >/dev/null || missing+=(buildah)
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "install ${missing[*]} (or start docker), then run this again"
    fi
    say "installing ${missing[*]}"
    {
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    } >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; fail "cannot install ${missing[*]}"; }
}

# The first Debian mirror of this machine's own sources; mirrors in comments are somebody else's.
debian_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed '/^[[:space:]]*#/d' |
        grep -oE '(https?|file)://[^] ]*/debian/?([[:space:]]|$)' | head -n 1 | tr -d '[:space:]' || true
}

buildah_() { buildah --root "$cache/buildah" --runroot "$cache/run/buildah" "$@"; }

build_base() {
    buildah_ inspect --type image "$base" >/dev/null 2>&1 && return
    local mirror tree=$work/base
    mirror=$(debian_mirror)
    say "making the Debian base${mirror:+ from $mirror}"
    mmdebstrap --variant=minbase --include="$base_packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        trixie "$tree.tar" ${mirror:+"$mirror"} >"$work/base.log" 2>&1 ||
        { tail -n 20 "$work/base.log" >&2; fail "mmdebstrap failed"; }
    printf 'FROM scratch\nADD base.tar /\n' >"$work/Containerfile"
    buildah_ build --quiet --tag "$base" --file "$work/Containerfile" "$work" >/dev/null
    rm -f "$tree.tar"
}

pip_setting() {
    local variable
    variable=PIP_$(echo "$1" | tr 'a-z-' 'A-Z_')
    { [ -n "${!variable:-}" ] && echo "${!variable}"; } || python3 -m pip config get "global.$1" 2>/dev/null || true
}

# This machine's way to its package index, for the build only: secrets stay out of layers and history.
write_secrets() {
    local key value bundle
    {
        echo '[global]'
        for key in index-url extra-index-url trusted-host timeout; do
            value=$(pip_setting "$key" | tr '\n' ' ')
            [ -z "$value" ] || echo "$key = $value"
        done
    } >"$work/pip.conf"
    for bundle in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
        [ -f "$bundle" ] || continue
        cp "$bundle" "$work/ca.crt"
        echo 'cert = /run/secrets/ca.crt' >>"$work/pip.conf"
        return
    done
    : >"$work/ca.crt"
}

needs_openhands() { [[ $1 == openhands-* && $1 != "$openhands" ]]; }

build_with_buildah() {
    local name=$1 image=$2
    if needs_openhands "$name" && ! buildah_ inspect --type image "$openhands_image" >/dev/null 2>&1; then
        buildah_ pull --quiet "docker-archive:$archives/$openhands.tar" >/dev/null
    fi
    buildah_ build --layers --force-rm --format docker --tag "docker.io/$image" \
        --build-arg BASE="$base" --build-arg OPENHANDS="$openhands_image" \
        --secret id=pip.conf,src="$work/pip.conf" --secret id=ca.crt,src="$work/ca.crt" \
        --ignorefile "images/$name/Containerfile.dockerignore" --file "images/$name/Containerfile" . \
        >"$work/$name.log" 2>&1 || { tail -n 40 "$work/$name.log" >&2; fail "$name: the build failed"; }
    buildah_ push --quiet "docker.io/$image" "docker-archive:$work/$name.tar:$image"
}

build_with_docker() {
    local name=$1 image=$2
    if needs_openhands "$name" && ! docker image inspect "$openhands_image" >/dev/null 2>&1; then
        docker load --quiet --input "$archives/$openhands.tar"
    fi
    DOCKER_BUILDKIT=1 docker build --quiet --tag "$image" ${BASE:+--build-arg BASE="$BASE"} \
        --secret id=pip.conf,src="$work/pip.conf" --secret id=ca.crt,src="$work/ca.crt" \
        --file "images/$name/Containerfile" .
    docker save --output "$work/$name.tar" "$image"
}

build() {
    local name=$1 image=conversation-operator/$1:dev wanted started=$SECONDS
    wanted=$(fingerprint "$name")
    if [ -f "$archives/$name.tar" ] && [ "$(cat "$archives/$name.stamp" 2>/dev/null)" = "$wanted" ]; then
        say "$image is up to date"
        return
    fi
    prepare
    say "building $image with $builder"
    "build_with_$builder" "$name" "$image"
    rm -f "$archives/$name.stamp"
    mv "$work/$name.tar" "$archives/$name.tar"
    echo "$wanted" >"$archives/$name.stamp"
    say "$image is $(du -m "$archives/$name.tar" | cut -f1) MB, took $((SECONDS - started)) s"
}

prepare() {
    [ -z "${builder:-}" ] || return 0
    choose_builder
    write_secrets
    if [ "$builder" = buildah ]; then
        install_tools
        build_base
    fi
}

# The images that were asked for, each after the one that it is built on.
ordered() {
    local name
    for name in operator agent-server "$openhands" openhands-v0-sudo openhands-server openhands-tests; do
        case " $* " in
            *" all "* | *" $name "*) echo "$name" ;;
            *" openhands-"*) [ "$name" != "$openhands" ] || echo "$name" ;;
        esac
    done
}

main() {
    local name
    [ $# -gt 0 ] || set -- all
    for name in "$@"; do
        [ "$name" = all ] || [ -f "images/$name/Containerfile" ] || { echo "usage: $0 [all|NAME...]" >&2; exit 2; }
    done
    mkdir -p "$archives"
    exec 9>"$archives/.lock"
    flock -n 9 || { say "waiting for another build"; flock 9; }
    work=$(mktemp -d "$archives/.build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    for name in $(ordered "$@"); do build "$name"; done
}

main "$@"
