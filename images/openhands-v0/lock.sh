#!/bin/sh
# Writes requirements.txt anew.  Needs uv.
set -eu
cd "$(dirname "$0")"
exec uv pip compile requirements.in --overrides overrides.txt --upgrade --quiet \
    --python-version 3.13 --python-platform linux --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command images/openhands-v0/lock.sh --output-file requirements.txt
