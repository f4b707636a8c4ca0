# etcd, API server, controller manager and scheduler: the same in both clusters but for a few flags.

start_etcd() {
    # Nothing here outlives the cluster, so nothing is worth an fsync.
    start_process etcd "$BIN/etcd" --name=default --data-dir="$RUN/etcd" --log-level=warn \
        --listen-client-urls="$ETCD_URL" --advertise-client-urls="$ETCD_URL" \
        --listen-peer-urls="$ETCD_PEER_URL" --initial-advertise-peer-urls="$ETCD_PEER_URL" \
        --initial-cluster="default=$ETCD_PEER_URL" --unsafe-no-fsync --quota-backend-bytes=8589934592
    await_process etcd 20 answers "$ETCD_URL/health"
}

answers() {
    python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$1"
}

api_server_flags() {
    case $CLUSTER in
        real) echo --kubelet-client-certificate="$PKI/apiserver-to-kubelet.crt" \
            --kubelet-client-key="$PKI/apiserver-to-kubelet.key" \
            --kubelet-certificate-authority="$PKI/ca.crt" \
            --kubelet-preferred-address-types=InternalIP ;;
        # The kubernetes Service cannot point at a loopback address, and fake pods do not need it.
        kwok) echo --endpoint-reconciler-type=none \
            --max-requests-inflight=2000 --max-mutating-requests-inflight=1000 ;;
    esac
}

start_api_server() {
    local flags
    read -ra flags <<<"$(api_server_flags)"
    start_process kube-apiserver "$BIN/kube-apiserver" --etcd-servers="$ETCD_URL" \
        --bind-address="$API_HOST" --advertise-address="$API_HOST" --secure-port="$API_PORT" \
        --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --client-ca-file="$PKI/ca.crt" \
        --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$PKI/service-account.pub" \
        --service-account-signing-key-file="$PKI/service-account.key" \
        --profiling=false "${flags[@]}"
    await_process kube-apiserver 60 kubectl_admin get --raw /readyz
}

start_controller_manager() {
    local flags=()
    # Fake heartbeats are slow by design; dropping the node lifecycle controller instead would leave the not-ready taint.
    [[ $CLUSTER != kwok ]] || flags+=(--node-monitor-grace-period=3600s)
    start_process kube-controller-manager "$BIN/kube-controller-manager" \
        --kubeconfig="$PKI/kube-controller-manager.kubeconfig" --secure-port=0 --leader-elect=false \
        --use-service-account-credentials=true \
        --service-account-private-key-file="$PKI/service-account.key" --root-ca-file="$PKI/ca.crt" \
        --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
        --kube-api-qps=5000 --kube-api-burst=10000 "${flags[@]}"
}

start_scheduler() {
    start_process kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$PKI/kube-scheduler.kubeconfig" \
        --secure-port=0 --leader-elect=false --kube-api-qps=5000 --kube-api-burst=10000
}

default_service_account_exists() {
    kubectl_admin get serviceaccount --namespace default default
}

start_controllers() {
    start_controller_manager
    start_scheduler
    # Proves that the controller manager works; pods cannot be created without it.
    await_process kube-controller-manager 30 default_service_account_exists
    process_runs kube-scheduler
}

apply_manifests() {
    kubectl_admin apply --filename="$HACK/manifests/both" --filename="$HACK/manifests/$CLUSTER"
}
