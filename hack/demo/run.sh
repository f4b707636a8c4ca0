#!/usr/bin/env bash
# Install the chart and walk a conversation through its life, telling what was done and how long it took.
# Safe to run again.  It takes its orders from the environment:
#
#   KUBECONFIG          unset: a real one-node cluster on this machine; set: that cluster, its current context
#   IMAGE_REGISTRY      with KUBECONFIG: prefix of images that the cluster can pull; kind and k3d need none
#   IMAGE_TAG           their tag (dev)
#   OPERATOR_IMAGE, AGENT_SERVER_IMAGE   or each by its whole name
#   DEMO_CLIENT         process: the client runs here (the default); job: inside the cluster
#   DEMO_NAMESPACE, DEMO_RELEASE         conversation-demo, conversation-operator
set -euo pipefail
cd "$(dirname "$0")/../.."

CLUSTER=demo  # The name of the log that steps.sh keeps.
CACHE=${CONVERSATION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conversation-operator}
NAMESPACE=${DEMO_NAMESPACE:-conversation-demo}
RELEASE=${DEMO_RELEASE:-conversation-operator}
PATH=$CACHE/bin:$PATH
mkdir -p "$CACHE/run"
for part in cluster/lib/steps demo/cluster demo/images demo/release demo/client; do
    # shellcheck source=/dev/null
    source "hack/$part.sh"
done

in_namespace() {
    kubectl --namespace "$NAMESPACE" "$@"
}

# show COMMAND...: the command as a person would type it, and what it prints.
show() {
    local shown="$*"
    printf '    $ %s\n' "${shown/in_namespace/kubectl -n $NAMESPACE}"
    "$@" | tail -n 20 | sed 's/^/      /'
}

explain_failure() {
    local status=$?
    ((status != 0)) || return 0
    set +e
    printf '\nThe demo failed after %s s.\n' "$(seconds_since "$STARTED")" >&2
    [[ -n ${INSTALLING:-} ]] || return 0
    {
        show in_namespace get conversations,pods
        show in_namespace get events --field-selector type=Warning --sort-by lastTimestamp
        show in_namespace logs --tail=20 --selector "app.kubernetes.io/instance=$RELEASE" --all-containers
    } >&2
}

say_goodbye() {
    cat <<END

All of it worked, in $(seconds_since "$STARTED") s.  Conversation "first" goes on; look around:
    export KUBECONFIG=$KUBECONFIG PATH=$CACHE/bin:\$PATH
    kubectl -n $NAMESPACE get conversations --watch
    kubectl -n $NAMESPACE describe conversation first
    kubectl -n $NAMESPACE logs -f deployment/$(deployment_name)
Clean up:
END
    if [[ $MODE == own ]]; then
        echo "    make cluster-down"
    else
        echo "    kubectl -n $NAMESPACE delete conversations --all"
        echo "    helm -n $NAMESPACE uninstall $RELEASE && kubectl delete namespace $NAMESPACE"
    fi
}

main() {
    trap explain_failure EXIT
    choose_cluster
    provide_images
    INSTALLING=yes  # From here on the cluster has something to say about a failure.
    install_release
    run_sample
    run_client
    say_goodbye
}

main
