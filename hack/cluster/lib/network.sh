# The node's address, routes and packet filter.  Nothing of the pods' may leave this machine.

# Read before the first change, written back at down.  kubelet and kube-proxy set the others than ip_forward.
SYSCTLS=(net.ipv4.ip_forward net.ipv4.conf.all.route_localnet vm.overcommit_memory vm.panic_on_oom
    kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

save_sysctls() {
    sysctl "${SYSCTLS[@]}" 2>/dev/null >"$RUN/sysctls" || true
}

restore_sysctls() {
    [[ ! -s $RUN/sysctls ]] || sysctl --quiet --load="$RUN/sysctls" || true
}

setup_network() {
    save_sysctls
    sysctl --quiet --write net.ipv4.ip_forward=1
    ip link add "$NODE_LINK" type bridge
    ip address add "$NODE_IP/32" dev "$NODE_LINK"
    ip link set "$NODE_LINK" up
    # The host itself uses ClusterIPs; kube-proxy rewrites them before anything is sent.
    ip route replace "$SERVICE_CIDR" dev "$NODE_LINK" src "$NODE_IP"
    # A live pod has a /32 route of its own.  Packets for one that is gone die here.
    ip route replace blackhole "$POD_CIDR"
    # After kube-proxy's rewriting: a pod talks to pods, Services and the node, and gets a prompt "no" for the rest.
    iptables --wait -I FORWARD -s "$POD_CIDR" ! -d "$POD_CIDR" -m comment --comment "$CONTEXT" -j REJECT
    iptables --wait -I FORWARD -d "$POD_CIDR" -m comment --comment "$CONTEXT" -j ACCEPT
}

OURS="KUBE-|CNI-|$CONTEXT"

# The chains of kube-proxy and kubelet, those of the CNI plugins, and the two rules above.
drop_packet_filter() {
    local rules
    rules=$(iptables-save)
    [[ ! $rules =~ $OURS ]] || grep -vE "$OURS" <<<"$rules" | iptables-restore
    rules=$(ip6tables-save)
    [[ ! $rules =~ $OURS ]] || grep -vE "$OURS" <<<"$rules" | ip6tables-restore
}

drop_network() {
    drop_packet_filter
    ip route del "$SERVICE_CIDR" dev "$NODE_LINK" 2>/dev/null || true
    ip route del blackhole "$POD_CIDR" 2>/dev/null || true
    ip link del "$NODE_LINK" 2>/dev/null || true
    restore_sysctls
}
