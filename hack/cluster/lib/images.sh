# Images get into the cluster as archives; there is no registry.

ctr_images() {
    ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io images "$@"
}

# archive_identity ARCHIVE: of the file, not of its bytes; reading a gigabyte to find nothing to do takes seconds.
archive_identity() {
    stat --format '%d %i %s %y' "$1" | sha256sum | cut -d' ' -f1
}

# load_archive ARCHIVE: costs nothing when this very file was loaded before.
load_archive() {
    local loaded=$RUN/containerd/loaded identity
    identity=$(archive_identity "$1")
    mkdir -p "$loaded"
    [[ ! -e $loaded/$identity ]] || return 0
    ctr_images import "$1"
    touch "$loaded/$identity"
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
