# Images get into the cluster as archives; there is no registry.

# Loading the same bytes again costs their digest and nothing else.
archive_digest() {
    sha256sum "$1" | cut -d' ' -f1
}

ctr_images() {
    ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io images "$@"
}

load_archive() {
    local marker=$RUN/containerd/loaded digest
    digest=$(archive_digest "$1")
    mkdir -p "$marker"
    [[ ! -e $marker/$digest ]] || return 0
    ctr_images import "$1"
    touch "$marker/$digest"
}

build_pause_image() {
    mkdir -p "$CACHE/images" "$RUN/pause"
    gcc -Os -static -s -o "$RUN/pause/pause" "$HACK/pause/pause.c"
    python3 "$HACK/pause/archive.py" "$RUN/pause/pause" "$PAUSE_IMAGE" "$CACHE/images/pause.tar.new"
    mv "$CACHE/images/pause.tar.new" "$CACHE/images/pause.tar"
}

load_pause_image() {
    [[ $CACHE/images/pause.tar -nt $HACK/pause/pause.c ]] || build_pause_image
    load_archive "$CACHE/images/pause.tar"
}
