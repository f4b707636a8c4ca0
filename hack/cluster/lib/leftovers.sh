# Taking a cluster down, from whatever state it is in, and telling what is left of it.

clear_cluster() {
    rm -f "$ADMIN_KUBECONFIG"
    "clear_$CLUSTER"
    stop_all_processes 10
    rm -rf "$RUN"
}

clear_kwok() {
    stop_process kwok
}

clear_real() {
    # First whoever would start containers again, then the containers, then what holds their files.
    stop_process kubelet
    stop_process provisioner
    kill_containers
    stop_process containerd
    unmount_below "$RUN"
    stop_process kube-proxy
    stop_process coredns
    drop_network
    drop_cgroups
    drop_node_traces
}

leftovers() {
    local file
    [[ ! -e $RUN ]] || echo "directory $RUN"
    for file in "$RUN"/pids/*; do
        [[ -e $file ]] && process_runs "${file##*/}" && echo "process ${file##*/} $(process_pid "${file##*/}")"
    done
    grep -F " $RUN/" /proc/mounts | awk '{ print "mount " $2 }'
    [[ $CLUSTER != real ]] || leftovers_of_node
}

leftovers_of_node() {
    shims | sed 's/^/process containerd-shim /'
    ip -brief link show "$NODE_LINK" 2>/dev/null | sed 's/^/link /'
    ip route show | grep -E "^(blackhole )?(${POD_CIDR%/*}|${SERVICE_CIDR%/*})" | sed 's/^/route /'
    ls -d /sys/fs/cgroup/*/"$CGROUP" /sys/fs/cgroup/"$CGROUP" 2>/dev/null | sed 's/^/cgroup /'
    { iptables-save; ip6tables-save; } 2>/dev/null | grep -E "^:(KUBE|CNI)-|$CONTEXT" | sed 's/^/packet filter /'
}
