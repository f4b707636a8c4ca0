#!/usr/bin/env bash
# Load docker-archives into the real cluster: load-images.sh ARCHIVE...
set -euo pipefail

CLUSTER=real
(($# > 0)) || { echo "usage: $0 ARCHIVE..." >&2; exit 2; }
lib=$(dirname "${BASH_SOURCE[0]}")/lib
for part in settings steps processes images; do
    # shellcheck source=/dev/null
    source "$lib/$part.sh"
done

process_runs containerd || fail "the real cluster is not up"
for archive in "$@"; do
    [[ -f $archive ]] || fail "no such archive: $archive"
    step "load ${archive##*/}" load_archive "$archive"
done
