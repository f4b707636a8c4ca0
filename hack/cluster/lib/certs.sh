# One certificate authority and what it signs.  Made anew at every up, gone at down.

new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

make_ca() {
    mkdir -p "$PKI"
    chmod 700 "$PKI"
    new_key "$PKI/ca.key"
    openssl req -x509 -new -key "$PKI/ca.key" -subj "/CN=conversation-operator-$CLUSTER" -days 3650 \
        -addext keyUsage=critical,keyCertSign,cRLSign -out "$PKI/ca.crt"
}

# sign NAME SUBJECT [SUBJECT_ALT_NAMES]: a certificate that serves as client's and as server's.
sign() {
    local name=$1 subject=$2 names=${3:-}
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=clientAuth,serverAuth"
        [[ -z $names ]] || echo "subjectAltName=$names"
    } >"$PKI/$name.ext"
    new_key "$PKI/$name.key"
    openssl req -new -key "$PKI/$name.key" -subj "$subject" -out "$PKI/$name.csr"
    openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -days 3650 \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$PKI/$name.ext" -out "$PKI/$name.crt"
    rm "$PKI/$name.csr" "$PKI/$name.ext"
}

# write_kubeconfig NAME FILE: the identity of certificate NAME, self-contained so that the file can be copied.
write_kubeconfig() {
    local name=$1 file=$2
    cat >"$file.new" <<END
apiVersion: v1
kind: Config
current-context: $CONTEXT
contexts:
  - name: $CONTEXT
    context: {cluster: $CONTEXT, user: $name}
clusters:
  - name: $CONTEXT
    cluster:
      server: $API_URL
      certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
  - name: $name
    user:
      client-certificate-data: $(base64 -w0 "$PKI/$name.crt")
      client-key-data: $(base64 -w0 "$PKI/$name.key")
END
    chmod 600 "$file.new"
    mv "$file.new" "$file"
}

# sign_client NAME SUBJECT: a certificate, and the kubeconfig $PKI/NAME.kubeconfig with it.
sign_client() {
    sign "$1" "$2"
    write_kubeconfig "$1" "$PKI/$1.kubeconfig"
}

make_control_plane_certs() {
    make_ca
    sign apiserver /CN=kube-apiserver "IP:$API_HOST,IP:127.0.0.1,IP:$API_SERVICE_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    sign apiserver-to-kubelet /CN=kube-apiserver-to-kubelet
    sign_client kube-controller-manager /CN=system:kube-controller-manager
    sign_client kube-scheduler /CN=system:kube-scheduler
    sign_client provisioner /CN=conversation-operator:provisioner
    sign admin /O=system:masters/CN=admin
    write_kubeconfig admin "$RUN/bootstrap.kubeconfig"
    new_key "$PKI/service-account.key"
    openssl pkey -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub"
}

make_node_certs() {
    sign kubelet-server "/O=system:nodes/CN=system:node:$NODE" "IP:$NODE_IP,DNS:$NODE"
    sign_client kubelet "/O=system:nodes/CN=system:node:$NODE"
    sign_client kube-proxy /CN=system:kube-proxy
    sign_client coredns /CN=conversation-operator:coredns
}
