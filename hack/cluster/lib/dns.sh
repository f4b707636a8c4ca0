# Cluster DNS: CoreDNS as a process of the host, behind the usual Service.  Names outside the cluster do not exist.

dns_is_reachable() {
    python3 "$HACK/dns/ask.py" "$1" kubernetes.default.svc.cluster.local
}

start_dns() {
    render "$HACK/dns/Corefile" >"$RUN/Corefile"
    start_process coredns "$BIN/coredns" -conf "$RUN/Corefile" -pidfile "$RUN/coredns.pid"
    await_process coredns 30 dns_is_reachable "$NODE_IP"
    await_process coredns 30 dns_is_reachable "$DNS_IP"
}
