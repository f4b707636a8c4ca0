# Debian packages the cluster stands on.

NODE_PACKAGES=(containerd runc containernetworking-plugins iptables conntrack iproute2 gcc libc6-dev)
BASE_PACKAGES=(openssl python3 util-linux procps)

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

required_packages() {
    echo "${BASE_PACKAGES[@]}"
    [[ $CLUSTER != real ]] || echo "${NODE_PACKAGES[@]}"
}

# Debian starts a service when it installs it; the cluster runs a containerd of its own, so nothing may start.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    "$@"
}

install_packages() {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive without_starting_services apt-get install -q -y --no-install-recommends "$@"
}

ensure_packages() {
    local missing
    command -v dpkg-query >/dev/null || fail "not a Debian machine; install the equivalents of: $(required_packages | xargs)"
    # shellcheck disable=SC2046
    missing=$(missing_packages $(required_packages) | xargs)
    [[ -n $missing ]] || return 0
    # shellcheck disable=SC2086
    step "install Debian packages: $missing" install_packages $missing
}
