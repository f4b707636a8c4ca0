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

# module_version MODULE_FOLDER PATH: what the go.mod pins.
module_version() {
    awk -v path="$2" '$1 == path { print $2; exit }' "$HACK/$1/go.mod"
}

# Without these a Kubernetes built from its module calls itself v0.0.0,
# and helm takes Kubernetes 1.20 for granted where it renders a chart without a cluster.
link_flags() {
    local minor
    minor=$(module_version k8s k8s.io/kubernetes | cut -d. -f2)
    echo -n "-s -w"
    case $1 in
        kube*) link_values k8s.io/component-base/version. \
            "gitVersion=$(module_version k8s k8s.io/kubernetes)" gitMajor=1 "gitMinor=$minor" ;;
        helm)
            link_values helm.sh/helm/v3/internal/version. "version=$(module_version helm helm.sh/helm/v3)"
            link_values helm.sh/helm/v3/pkg/chartutil. k8sVersionMajor=1 "k8sVersionMinor=$minor"
            link_values helm.sh/helm/v3/pkg/lint/rules. k8sVersionMajor=1 "k8sVersionMinor=$minor"
            ;;
    esac
}

# link_values PACKAGE. VARIABLE=VALUE...
link_values() {
    local package=$1
    shift
    printf " -X $package%s" "$@"
}

binary_stamp() {
    local module
    module=$(binary_module "$1")
    {
        cat "$module/go.mod" "$module/go.sum"
        find "$module" -name '*.go' -exec cat {} +
        go env GOVERSION GOARCH CGO_ENABLED 2>/dev/null
        link_flags "$1"
    } | sha256sum | cut -d' ' -f1
}

binary_is_current() {
    [[ -x $BIN/$1 && $(cat "$BIN/.$1.stamp" 2>/dev/null) == "$(binary_stamp "$1")" ]]
}

build_binary() {
    # Both clusters may be coming up, and share most programs.
    exec 8>"$BIN/.lock"
    flock 8
    ! binary_is_current "$1" || return 0
    cd "$(binary_module "$1")" || return
    go build -trimpath -buildvcs=false -ldflags "$(link_flags "$1")" -o "$BIN/.$1.new" "${PACKAGES[$1]}"
    mv "$BIN/.$1.new" "$BIN/$1"
    binary_stamp "$1" >"$BIN/.$1.stamp"
}

# ensure_binaries NAME...
ensure_binaries() {
    local name stale=()
    mkdir -p "$BIN"
    for name in "$@"; do
        binary_is_current "$name" || stale+=("$name")
    done
    ((${#stale[@]} == 0)) && return
    command -v go >/dev/null || fail "Go is needed to build ${stale[*]}"
    say "  ${#stale[@]} programs are built from source; all of them, for the first time, take about 10 minutes on two cores"
    for name in "${stale[@]}"; do
        step "build $name" build_binary "$name"
    done
}
