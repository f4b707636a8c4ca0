#!/bin/sh
# Writes requirements.txt anew: what the client needs beyond what OpenHands' image has.  Needs uv.
set -eu
cd "$(dirname "$0")"
openhands=../openhands-v0/requirements.txt
# shellcheck disable=SC2046 # one argument for each word
exec uv pip compile ../../pyproject.toml --constraint "$openhands" --upgrade --quiet \
    --python-version 3.13 --python-platform linux --generate-hashes --no-emit-index-url --no-emit-find-links \
    $(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' "$openhands") \
    --custom-compile-command images/openhands-server/lock.sh --output-file requirements.txt
