# Which cluster.  Sets MODE (own | named), ACCESS (how a client outside reaches pods) and CONTEXT.

choose_cluster() {
    if [[ -n ${KUBECONFIG:-} ]]; then
        use_named_cluster
    else
        bring_up_own_cluster
    fi
}

bring_up_own_cluster() {
    MODE=own ACCESS=direct
    hack/cluster/up.sh real | grep -v '^export '
    export KUBECONFIG=$CACHE/run/real/admin.kubeconfig
    CONTEXT=$(kubectl config current-context)
}

use_named_cluster() {
    MODE=named ACCESS=port-forward
    command -v kubectl >/dev/null || fail "kubectl is needed to use a cluster of your own"
    CONTEXT=$(kubectl config current-context) || fail "KUBECONFIG ($KUBECONFIG) has no current context"
    say "Using your cluster, context $CONTEXT, namespace $NAMESPACE:"
    step "it answers" kubectl --request-timeout=10s get --raw /readyz
    step "it has a default StorageClass" has_default_storage_class
}

has_default_storage_class() {
    kubectl get storageclass --output 'jsonpath={.items[*].metadata.annotations.storageclass\.kubernetes\.io/is-default-class}' | grep --word-regexp true ||
        fail "the demo's files need a volume: mark a StorageClass as default"
}
