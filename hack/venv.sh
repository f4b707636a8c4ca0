#!/usr/bin/env bash
# The Python environment, exactly as locked.  Usage: hack/venv.sh PYTHON FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$python is older than 3.11; set PYTHON to a newer one" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  echo "installing python3-venv"
  apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
fi
"$python" -m venv "$folder"
# uv, itself locked with hashes, installs the rest ten times as fast as pip.
sed -n '/^uv==/,/^[^ ]*# via/p' requirements/dev.txt | sed '$!b; /^ *# via/d' > "$folder/uv.txt"
"$folder/bin/pip" install -q --disable-pip-version-check --require-hashes --no-deps -r "$folder/uv.txt"
"$folder/bin/uv" pip sync -q --require-hashes --python "$folder/bin/python" requirements/dev.txt
