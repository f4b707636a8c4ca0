# The chart, installed as an admin would.

install_release() {
    command -v helm >/dev/null || hack/helm.sh
    say "Chart:"
    step "namespace $NAMESPACE, Pod Security restricted" make_namespace
    step "helm upgrade --install $RELEASE" upgrade_release
    step "RuntimeTemplate default is Accepted" await_template
}

make_namespace() {
    kubectl create namespace "$NAMESPACE" --dry-run=client --output=yaml | kubectl apply -f -
    kubectl label --overwrite namespace "$NAMESPACE" pod-security.kubernetes.io/enforce=restricted
}

upgrade_release() {
    set_image_options
    set_crd_options
    helm upgrade --install "$RELEASE" charts/conversation-operator --namespace "$NAMESPACE" \
        --values hack/demo/values.yaml "${IMAGE_OPTIONS[@]}" "${CRD_OPTIONS[@]}" --wait --timeout 5m
}

set_image_options() {
    local name=${OPERATOR_IMAGE%%@*} tag=latest digest=""
    [[ $OPERATOR_IMAGE != *@* ]] || digest=${OPERATOR_IMAGE#*@}
    # A colon before the last slash belongs to a registry's port.
    [[ ${name##*/} != *:* ]] || tag=${name##*:} name=${name%:*}
    IMAGE_OPTIONS=(--set-string "operator.image.repository=$name,operator.image.tag=$tag,operator.image.digest=$digest"
        --set-string "defaultTemplate.image=$AGENT_SERVER_IMAGE")
    # Built again, an image keeps its tag; only a changed pod gets the new one.
    [[ -z $BUILD ]] || IMAGE_OPTIONS+=(--set-string "operator.podAnnotations.demo/image=$BUILD")
}

# In the cluster of ours the CRDs are this checkout's.  Elsewhere they may be another release's, and stay that.
set_crd_options() {
    local owner
    CRD_OPTIONS=(--take-ownership)
    [[ $MODE != own ]] || return 0
    owner=$(kubectl get crd conversations.conversation-operator.io --ignore-not-found --output \
        'jsonpath={.metadata.annotations.meta\.helm\.sh/release-namespace}/{.metadata.annotations.meta\.helm\.sh/release-name}')
    CRD_OPTIONS=()
    [[ -z $owner || $owner == "$NAMESPACE/$RELEASE" ]] || CRD_OPTIONS=(--set crds.enabled=false)
}

# helm has waited for the operator's pods; the template is applied by the one that holds the Lease.
await_template() {
    local deadline=$((SECONDS + 60))
    until in_namespace get runtimetemplate default; do
        ((SECONDS < deadline)) || fail "the operator did not apply it within 60 s"
        sleep 0.5
    done
    in_namespace wait runtimetemplate/default --for=condition=Accepted --timeout=60s
}

deployment_name() {
    in_namespace get deployment --selector "app.kubernetes.io/instance=$RELEASE" --output 'jsonpath={.items[0].metadata.name}'
}
