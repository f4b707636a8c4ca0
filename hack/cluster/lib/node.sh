# containerd, kubelet and kube-proxy of the one real node, all with their state below $RUN.

start_containerd() {
    mkdir -p "$RUN/containerd" "$RUN/cni/net.d"
    render "$HACK/node/containerd.toml" >"$RUN/containerd/config.toml"
    render "$HACK/node/cni.conflist" >"$RUN/cni/net.d/10-pods.conflist"
    # An image that was not loaded fails at once, as a registry's "no" would, and no request leaves the machine.
    mkdir -p "$RUN/containerd/registries/_default"
    echo 'server = "http://127.0.0.1:1"' >"$RUN/containerd/registries/_default/hosts.toml"
    start_process containerd containerd --config "$RUN/containerd/config.toml"
    await_process containerd 20 ctr --address "$CONTAINERD_SOCKET" version
}

# render FILE: with ${NAME} replaced by the settings' values.
render() {
    RUN=$RUN PKI=$PKI CONTAINERD_SOCKET=$CONTAINERD_SOCKET PAUSE_IMAGE=$PAUSE_IMAGE POD_CIDR=$POD_CIDR \
        NODE_IP=$NODE_IP DNS_IP=$DNS_IP CGROUP=$CGROUP python3 -c '
import os, pathlib, string, sys
print(string.Template(pathlib.Path(sys.argv[1]).read_text()).substitute(os.environ), end="")' "$1"
}

# A cgroup of our own above the pods': whatever runs below it is ours to kill at down.
make_cgroups() {
    local controller
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        mkdir -p "/sys/fs/cgroup/$CGROUP"
        return
    fi
    for controller in /sys/fs/cgroup/*/; do
        [[ $controller == */unified/ ]] || mkdir -p "$controller$CGROUP"
    done
    # A new cpuset is empty, and nothing can run in it or below.
    for controller in cpus mems; do
        cat "/sys/fs/cgroup/cpuset/cpuset.$controller" >"/sys/fs/cgroup/cpuset/$CGROUP/cpuset.$controller"
    done
}

await_node() {
    await_process kubelet 60 node_is_ready
}

node_is_ready() {
    [[ $(kubectl_admin get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

start_kubelet() {
    make_cgroups
    ls -d /var/lib/kubelet /var/lib/cni /var/log/containers 2>/dev/null >"$RUN/existed-before" || true
    echo "nameserver $DNS_IP" >"$RUN/resolv.conf"
    mkdir -p "$RUN/kubelet" "$RUN/kubelet-plugins" "$LOGS/pods"
    render "$HACK/node/kubelet.yaml" >"$RUN/kubelet.yaml"
    start_process kubelet "$BIN/kubelet" --config="$RUN/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
        --root-dir="$RUN/kubelet" --cert-dir="$PKI" --hostname-override="$NODE" --node-ip="$NODE_IP"
    await_process kubelet 30 kubectl_admin get node "$NODE"
}

start_kube_proxy() {
    # Without rights over the conntrack sysctls, the limits are left as they are.
    start_process kube-proxy "$BIN/kube-proxy" --kubeconfig="$PKI/kube-proxy.kubeconfig" \
        --hostname-override="$NODE" --proxy-mode=iptables --cluster-cidr="$POD_CIDR" --oom-score-adj=0 \
        --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
        --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
    await_process kube-proxy 30 kubectl_admin --server="https://$API_SERVICE_IP" get --raw /readyz
}

# The shims of our containerd name its socket in their arguments.
shims() {
    pgrep --full "containerd-shim.*$CONTAINERD_SOCKET" || true
}

container_processes() {
    find /sys/fs/cgroup/*/"$CGROUP" /sys/fs/cgroup/"$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un || true
}

# kill_all LIST_COMMAND: SIGKILL, as often as somebody is still there: children can start after their parent was listed.
kill_all() {
    local tries pids
    for tries in {1..100}; do
        pids=$("$1")
        [[ -n $pids ]] || return 0
        # shellcheck disable=SC2086
        kill -KILL $pids 2>/dev/null || true
        sleep 0.05
    done
}

# unmount_below DIRECTORY: the deepest first.
unmount_below() {
    local target
    awk -v below="$1/" 'index($2, below) == 1 { print $2 }' /proc/mounts | tac | while read -r target; do
        umount --lazy "$(printf '%b' "$target")" 2>/dev/null || true
    done
}

drop_cgroups() {
    local top
    for top in /sys/fs/cgroup/*/"$CGROUP" /sys/fs/cgroup/"$CGROUP"; do
        [[ ! -d $top ]] || find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

# What kubelet, containerd and the CNI plugins write outside their own directories.
drop_node_traces() {
    local path
    [[ -e $RUN/existed-before ]] || return 0
    for path in /var/lib/kubelet /var/lib/cni /var/log/containers; do
        grep -qx "$path" "$RUN/existed-before" || rm -rf "$path"
    done
    rmdir /run/containerd/s /run/containerd /run/netns 2>/dev/null || true
}
