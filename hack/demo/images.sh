# Where the two images come from.  Sets OPERATOR_IMAGE, AGENT_SERVER_IMAGE, and BUILD where they were built here.

BUILD=""
ARCHIVES=("$CACHE/images/operator.tar" "$CACHE/images/agent-server.tar")

provide_images() {
    local loader
    loader=$(choose_loader)
    if [[ $loader == none ]]; then
        name_images "${IMAGE_REGISTRY:-}"
        say "Images: $OPERATOR_IMAGE, $AGENT_SERVER_IMAGE"
        return
    fi
    name_images ""
    say "Images:"
    images/build.sh operator agent-server | sed 's/^/  /'
    BUILD=$(cut -c1-16 "$CACHE/images/operator.stamp")
    "load_into_$loader"
}

# Names that the user gives need no loading; kind and k3d tell themselves by their contexts.
choose_loader() {
    if [[ $MODE == own ]]; then
        echo own
    elif [[ -n ${IMAGE_REGISTRY:-} || (-n ${OPERATOR_IMAGE:-} && -n ${AGENT_SERVER_IMAGE:-}) ]]; then
        echo none
    elif [[ $CONTEXT == kind-* ]] && command -v kind >/dev/null; then
        echo kind
    elif [[ $CONTEXT == k3d-* ]] && command -v k3d >/dev/null; then
        echo k3d
    else
        fail "context $CONTEXT is not of a kind or k3d on this PATH: push the images (images/README.md) and set IMAGE_REGISTRY"
    fi
}

name_images() {
    local prefix=${1:-conversation-operator} tag=${IMAGE_TAG:-dev}
    [[ -n $1 ]] || tag=dev
    OPERATOR_IMAGE=${OPERATOR_IMAGE:-$prefix/operator:$tag}
    AGENT_SERVER_IMAGE=${AGENT_SERVER_IMAGE:-$prefix/agent-server:$tag}
}

load_into_own() {
    hack/cluster/load-images.sh "${ARCHIVES[@]}"
}

load_into_kind() {
    step "load into kind ${CONTEXT#kind-}" kind load image-archive --name "${CONTEXT#kind-}" "${ARCHIVES[@]}"
}

load_into_k3d() {
    step "load into k3d ${CONTEXT#k3d-}" k3d image import --cluster "${CONTEXT#k3d-}" "${ARCHIVES[@]}"
}
