# What the two kinds of users do: apply a Conversation, and use the Python client.

run_sample() {
    say "A Conversation, as a platform engineer applies it:"
    step "kubectl apply -f manifests/samples/conversation.yaml" apply_sample
    step "its runtime is Ready" in_namespace wait conversation/first --for=condition=Ready --timeout=300s
    show in_namespace get conversation first
    step "it has one pod" check_one_pod first
    show in_namespace get pods --selector "conversation-operator.io/conversation-uid=$(conversation_uid first)"
}

# Somebody who looked around after an earlier run may have paused it, which applying again would not undo.
apply_sample() {
    in_namespace apply -f manifests/samples/conversation.yaml
    in_namespace patch conversation first --type merge --patch '{"spec":{"mode":"Running"}}'
}

conversation_uid() {
    in_namespace get conversation "$1" --output 'jsonpath={.metadata.uid}'
}

check_one_pod() {
    local pods
    pods=$(in_namespace get pods --output name --selector "conversation-operator.io/conversation-uid=$(conversation_uid "$1")")
    [[ $(grep -c . <<<"$pods") == 1 ]] || fail "expected one pod, found: $pods"
}

run_client() {
    case ${DEMO_CLIENT:-process} in
        process)
            say "The Python client (access=$ACCESS), as a developer uses it:"
            PYTHONPATH=operator .venv/bin/python hack/demo/walk.py --namespace "$NAMESPACE" --access "$ACCESS"
            ;;
        job)
            say "The Python client, in a Job:"
            run_job
            ;;
        *) fail "DEMO_CLIENT is process or job, not $DEMO_CLIENT" ;;
    esac
    step "pod, key and volume of what was closed are gone" await_no_orphans
}

await_no_orphans() {
    local deadline=$((SECONDS + 60)) left
    until left=$(orphans) && [[ -z $left ]]; do
        ((SECONDS < deadline)) || fail "still there: $left"
        sleep 0.5
    done
}

# Children of Conversations that do not exist.
orphans() {
    local living
    living=$(in_namespace get conversations --output 'jsonpath={.items[*].metadata.uid}')
    in_namespace get pods,secrets,persistentvolumeclaims --output name \
        --selector "conversation-operator.io/conversation-uid,conversation-operator.io/conversation-uid notin (${living// /,})"
}

run_job() {
    step "start it" start_job
    step "its pod runs" await_job_pod
    # Following ends when the pod does; whether it ended well, only the Job says.
    in_namespace logs --follow job/demo-client
    step "the Job is Complete" in_namespace wait job/demo-client --for=condition=Complete --timeout=30s
}

await_job_pod() {
    local deadline=$((SECONDS + 120)) phase
    until phase=$(job_phase) && [[ ${phase:-Pending} != Pending ]]; do
        ((SECONDS < deadline)) || fail "it does not start: $(in_namespace get pods --selector job-name=demo-client)"
        sleep 0.5
    done
}

job_phase() {
    in_namespace get pods --selector job-name=demo-client --output 'jsonpath={.items[*].status.phase}'
}

start_job() {
    local account
    account=$(in_namespace get serviceaccount --output 'jsonpath={.items[0].metadata.name}' \
        --selector "app.kubernetes.io/instance=$RELEASE,app.kubernetes.io/component=client")
    in_namespace delete job demo-client --ignore-not-found
    in_namespace create configmap demo-client --from-file=hack/demo/walk.py --dry-run=client --output=yaml | in_namespace apply -f -
    sed -e "s|SERVICE_ACCOUNT|$account|" -e "s|OPERATOR_IMAGE|$OPERATOR_IMAGE|" hack/demo/job.yaml | in_namespace create -f -
}
