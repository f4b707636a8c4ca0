#!/usr/bin/env bash
# Resolve requirements/*.txt anew from pyproject.toml.  Usage: hack/lock.sh VENV/bin
set -euo pipefail
cd "$(dirname "$0")/.."
compile=("$1/uv" pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes
  --no-emit-index-url --no-emit-find-links --no-header pyproject.toml --extra operator)
"${compile[@]}" -o requirements/operator.txt
"${compile[@]}" --group dev -o requirements/dev.txt
