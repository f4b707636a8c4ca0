#!/usr/bin/env bash
# Bring up one of the two local clusters; see README.md.  Safe to run again.
set -euo pipefail

CLUSTER=${1:-}
[[ $CLUSTER == real || $CLUSTER == kwok ]] || { echo "usage: $0 real|kwok" >&2; exit 2; }
lib=$(dirname "${BASH_SOURCE[0]}")/lib
for part in settings steps processes packages binaries certs control_plane storage network node dns images kwok leftovers; do
    # shellcheck source=/dev/null
    source "$lib/$part.sh"
done

up_real() {
    ensure_binaries "${REAL_BINARIES[@]}"
    prepare_run_directory
    step "certificates" make_real_certs
    step "node address, routes, packet filter" setup_network
    step "containerd" start_containerd
    step "etcd" start_etcd
    step "API server" start_api_server
    step "controller manager, scheduler" start_controllers
    step "roles and default StorageClass" apply_manifests
    step "volumes" start_provisioner
    step "pause image" load_pause_image
    step "kubelet" start_kubelet
    step "kube-proxy" start_kube_proxy
    step "cluster DNS" start_dns
    step "node is Ready" await_node
}

make_real_certs() {
    make_control_plane_certs
    make_node_certs
}

up_kwok() {
    ensure_binaries "${KWOK_BINARIES[@]}"
    prepare_run_directory
    step "certificates" make_control_plane_certs
    step "etcd" start_etcd
    step "API server" start_api_server
    step "controller manager, scheduler" start_controllers
    step "roles and default StorageClass" apply_manifests
    step "volumes" start_provisioner
    step "$FAKE_NODES fake nodes" start_fake_nodes
}

# What an interrupted or killed cluster left would be taken for the new one's.
prepare_run_directory() {
    [[ -z $(leftovers) ]] || step "clear what an earlier run left" clear_cluster
    mkdir -p "$LOGS" "$PKI" "$RUN/pids"
    chmod 700 "$RUN"
}

is_up() {
    [[ -e $ADMIN_KUBECONFIG ]] && all_processes_run && kubectl_admin get --raw /readyz >/dev/null 2>&1
}

main() {
    [[ $EUID == 0 || $CLUSTER == kwok ]] || fail "the real cluster needs root (network, mounts, cgroups)"
    take_lock
    if is_up; then
        say "The $CLUSTER cluster is already up."
    else
        say "Bringing up the $CLUSTER cluster:"
        ensure_packages
        "up_$CLUSTER"
        # Last, because others take this file for the sign that the cluster can be used.
        write_kubeconfig admin "$ADMIN_KUBECONFIG"
        say "The $CLUSTER cluster is up after $(seconds_since "$STARTED") s. "
    fi
    say "export KUBECONFIG=$ADMIN_KUBECONFIG"
}

main
