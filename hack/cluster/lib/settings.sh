# Names, addresses and places of the two clusters.  Sourced by every script after CLUSTER is set to `real` or `kwok`.

HACK=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${CONVERSATION_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/conversation-operator}
BIN=$CACHE/bin
RUN=$CACHE/run/$CLUSTER
LOGS=$RUN/logs
PKI=$RUN/pki
ADMIN_KUBECONFIG=$RUN/admin.kubeconfig
CONTEXT=conversation-operator-$CLUSTER

SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1

# real: a memberless bridge carries the node's address, because kubelet refuses a loopback one
# and a kernel without the dummy driver has nothing else to offer.
NODE=node-1
NODE_IP=10.240.0.1
NODE_LINK=convop0
POD_CIDR=10.244.0.0/16
DNS_IP=10.96.0.10
CGROUP=conversation-operator
CONTAINERD_SOCKET=$RUN/containerd/containerd.sock
PAUSE_IMAGE=conversation-operator/pause:1

# kwok: fake pods get loopback addresses, so one server on 0.0.0.0 answers for all of them.
FAKE_NODES=40
FAKE_POD_CIDR=127.64.0.0/12

case $CLUSTER in
    real) API_HOST=$NODE_IP API_PORT=6443 ETCD_PORT=12379 ;;
    kwok) API_HOST=127.0.0.1 API_PORT=7443 ETCD_PORT=22379 ;;
esac
API_URL=https://$API_HOST:$API_PORT
ETCD_URL=http://127.0.0.1:$ETCD_PORT
ETCD_PEER_URL=http://127.0.0.1:$((ETCD_PORT + 1))

kubectl_admin() {
    "$BIN/kubectl" --kubeconfig "$RUN/bootstrap.kubeconfig" "$@"
}
