#!/usr/bin/env bash
# Say what is on this machine of each cluster: whether it is up, and if it is not, what is left of it.
set -euo pipefail

lib=$(dirname "${BASH_SOURCE[0]}")/lib
for CLUSTER in real kwok; do
    (
        for part in settings steps processes network node leftovers; do
            # shellcheck source=/dev/null
            source "$lib/$part.sh"
        done
        if [[ -e $ADMIN_KUBECONFIG ]] && all_processes_run; then
            say "$CLUSTER: up; export KUBECONFIG=$ADMIN_KUBECONFIG"
        elif [[ -z $(leftovers) ]]; then
            say "$CLUSTER: down, nothing left"
        else
            say "$CLUSTER: broken; '$(dirname "$0")/down.sh $CLUSTER' removes:"
            leftovers | sed 's/^/  /'
        fi
    )
done
