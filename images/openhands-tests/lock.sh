#!/bin/sh
# Writes the locks anew: what the tests need beyond OpenHands 1.6.0, and what lies over it for 1.4.0 and 1.5.0.
# Needs uv.
set -eu
cd "$(dirname "$0")"
openhands=../openhands-v0/requirements.txt

compile() {
    name=$1
    shift
    uv pip compile "$name.in" --output-file "$name.txt" --upgrade --quiet --python-version 3.13 --python-platform linux \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command images/openhands-tests/lock.sh "$@"
}

# shellcheck disable=SC2046 # one argument for each word
compile requirements --constraint "$openhands" \
    $(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' "$openhands")
for version in 1.4.0 1.5.0; do
    compile "openhands-$version" --no-deps
done
