#!/usr/bin/env bash
# helm of the pinned version, in the cache folder; built when it is not there.
set -euo pipefail
CLUSTER=kwok  # The library wants to know which; the program is the same for both.
lib=$(dirname "${BASH_SOURCE[0]}")/cluster/lib
for part in settings steps binaries; do
    # shellcheck source=/dev/null
    source "$lib/$part.sh"
done
ensure_binaries helm
