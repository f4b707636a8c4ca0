# Go programs, built from the versions pinned in the go.mod next to this folder.
# One is rebuilt only when its go.mod, go.sum, build flags or the Go release change.

declare -A PACKAGES=(
    [etcd]=go.etcd.io/etcd/server/v3
    [kwok]=sigs.k8s.io/kwok/cmd/kwok
    [helm]=helm.sh/helm/v3/cmd/helm
    [coredns]=conversation-operator.io/hack/cluster/coredns
)
for name in kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet kube-proxy; do
    PACKAGES[$name]=k8s.io/kubernetes/cmd/$name
done
REAL_BINARIES=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet kube-proxy coredns helm)
KWOK_BINARIES=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok helm)

# binary_module NAME: the folder of the go.mod it is built from.
binary_module() {
    case $1 in
        kube*) echo "$HACK/k8s" ;;
        *) echo "$HACK/$1" ;;
    esac
}

# Without these a Kubernetes built from its module calls itself v0.0.0, and helm refuses the chart's kubeVersion.
link_flags() {
    local version minor package=k8s.io/component-base/version
    echo -n "-s -w"
    [[ $1 == kube* ]] || return 0
    version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$HACK/k8s/go.mod")
    minor=${version#v1.}
    echo -n " -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
}

binary_stamp() {
    local module
    module=$(binary_module "$1")
    {
        cat "$module/go.mod" "$module/go.sum"
        find "$module" -name '*.go' -exec cat {} +
        go env GOVERSION GOARCH CGO_ENABLED
        link_flags "$1"
    } | sha256sum | cut -d' ' -f1
}

binary_is_current() {
    [[ -x $BIN/$1 && $(cat "$BIN/.$1.stamp" 2>/dev/null) == "$(binary_stamp "$1")" ]]
}

build_binary() {
    cd "$(binary_module "$1")"
    go build -trimpath -ldflags "$(link_flags "$1")" -o "$BIN/.$1.new" "${PACKAGES[$1]}"
    mv "$BIN/.$1.new" "$BIN/$1"
    binary_stamp "$1" >"$BIN/.$1.stamp"
}

# ensure_binaries NAME...
ensure_binaries() {
    local name
    mkdir -p "$BIN"
    for name in "$@"; do
        binary_is_current "$name" || step "build $name" build_binary "$name"
    done
}
