#!/usr/bin/env bash
# Take one of the two local clusters down, whatever state it is in.  Safe to run again.
set -euo pipefail

CLUSTER=${1:-}
[[ $CLUSTER == real || $CLUSTER == kwok ]] || { echo "usage: $0 real|kwok" >&2; exit 2; }
lib=$(dirname "${BASH_SOURCE[0]}")/lib
for part in settings steps processes network node leftovers; do
    # shellcheck source=/dev/null
    source "$lib/$part.sh"
done

main() {
    local left
    take_lock
    if [[ -z $(leftovers) ]]; then
        say "The $CLUSTER cluster is not up; nothing of it is left."
        return
    fi
    step "take the $CLUSTER cluster down" clear_cluster
    left=$(leftovers)
    [[ -z $left ]] || fail "left behind:
$left"
    say "The $CLUSTER cluster is down, and nothing of it is left."
}

main
