# Taking a cluster down, from whatever state it is in, and telling what is left of it.

clear_cluster() {
    rm -f "$ADMIN_KUBECONFIG"
    [[ $CLUSTER != real ]] || clear_node
    # Nothing of a throw-away control plane is worth a longer goodbye; its watches would keep it for a minute.
    # shellcheck disable=SC2046
    stop_processes 1 $(recorded_processes)
    rm -rf "$RUN"
}

clear_node() {
    # First whoever would start containers again, then the containers, then what holds their files.
    stop_processes 3 kubelet provisioner kube-proxy coredns
    kill_all container_processes
    stop_processes 5 containerd
    kill_all shims
    unmount_below "$RUN"
    drop_network
    drop_cgroups
    drop_node_traces
}

leftovers() {
    local name
    [[ ! -e $RUN ]] || echo "directory $RUN"
    for name in $(recorded_processes); do
        process_runs "$name" && echo "process $name $(process_pid "$name")"
    done
    awk -v below="$RUN/" 'index($2, below) == 1 { print "mount " $2 }' /proc/mounts
    [[ $CLUSTER != real ]] || leftovers_of_node
}

leftovers_of_node() {
    shims | sed 's/^/process containerd-shim /'
    ip -brief link show "$NODE_LINK" 2>/dev/null | sed 's/^/link /'
    ip route show | grep -E "^(blackhole )?(${POD_CIDR%/*}|${SERVICE_CIDR%/*})" | sed 's/^/route /'
    find /sys/fs/cgroup -maxdepth 2 -type d -name "$CGROUP" -printf 'cgroup %p\n'
    { iptables-save; ip6tables-save; } 2>/dev/null | grep -E "$OURS" | sed 's/^/packet filter /'
    return 0
}
