# Fake nodes, and the fake kubelet that plays the stages in kwok/stages.

write_kwok_config() {
    local stage
    cat "$HACK/kwok/config.yaml"
    for stage in "$HACK"/kwok/stages/*.yaml; do
        echo "---"
        cat "$stage"
    done
}

fake_nodes() {
    local number
    for ((number = 1; number <= FAKE_NODES; number++)); do
        sed "s/NUMBER/$number/g" "$HACK/kwok/node.yaml"
    done
}

fake_nodes_are_ready() {
    [[ $(kubectl_admin get nodes --no-headers | grep -c ' Ready ') == "$FAKE_NODES" ]]
}

start_fake_nodes() {
    sign_client kwok /CN=conversation-operator:kwok
    write_kwok_config >"$RUN/kwok.yaml"
    start_process kwok "$BIN/kwok" --kubeconfig="$PKI/kwok.kubeconfig" --config="$RUN/kwok.yaml" --server-address=127.0.0.1:10247
    fake_nodes | kubectl_admin apply --filename=- --server-side
    await_process kwok 30 fake_nodes_are_ready
}
