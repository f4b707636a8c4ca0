# The program behind the default StorageClass.

start_provisioner() {
    start_process provisioner python3 "$HACK/storage/provisioner.py" \
        --server="$API_URL" --pki="$PKI" --root="$RUN/volumes"
}
