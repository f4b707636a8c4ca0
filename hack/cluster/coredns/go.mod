module conversation-operator.io/hack/cluster/coredns

go 1.25.0
