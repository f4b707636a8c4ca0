#!/usr/bin/env bash
# Installs the agent-server that the contract tests talk to: the packages of its image, in a venv.
# Does nothing while the lock file is the one that was installed.
set -euo pipefail

repository=$(cd "$(dirname "$0")/../.." && pwd)
requirements=$repository/images/agent-server/requirements.txt
cache=${CONVERSATION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conversation-operator}
venv=$cache/venvs/agent-server
uv=$repository/.venv/bin/uv
wanted=$(sha256sum < "$requirements")

if [[ $(cat "$venv/installed" 2>/dev/null) == "$wanted" ]]; then
  exit 0
fi
echo "installing agent-server (about 30 s) ..."
"$uv" venv --quiet --clear --python '>=3.12,<3.14' "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes -r "$requirements"
echo "$wanted" > "$venv/installed"
