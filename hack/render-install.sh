#!/usr/bin/env bash
# Renders manifests/install.yaml from the chart; with --check it only shows what differs, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly namespace=conversation-operator
readonly target=manifests/install.yaml
cache=${CONVERSATION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conversation-operator}
helm=$(PATH="$cache/bin:$PATH" command -v helm) || { echo "no helm here: make helm builds it" >&2; exit 1; }

render() {
    cat <<EOF
# Rendered from charts/conversation-operator by \`make generate\`; do not edit.
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    pod-security.kubernetes.io/enforce: restricted
EOF
    # The oldest Kubernetes that the chart supports: the same text from every helm.
    "$helm" template conversation-operator charts/conversation-operator \
        --namespace "$namespace" --kube-version 1.31.0
}

if [[ ${1:-} == --check ]]; then
    render | diff -u "$target" - || { echo "$target differs from the chart: run make generate" >&2; exit 1; }
else
    rendered=$(render)
    printf '%s\n' "$rendered" >"$target"
fi
