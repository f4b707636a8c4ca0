"""
Who may talk to whom, rule by rule.

No enforcing CNI is at hand, so these tests read the policies as the specification says they are to
be read: what no rule allows is denied to a selected pod.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from conversations.api import labels
from tests.rig.helm import ChartRefused, Helm, Rendering

Manifest = dict[str, Any]

RUNTIME = {labels.MANAGED_BY: labels.MANAGER, labels.COMPONENT: labels.RUNTIME_COMPONENT}
OPERATOR = {
    "app.kubernetes.io/name": "conversation-operator",
    "app.kubernetes.io/instance": "conversation-operator",
    "app.kubernetes.io/component": "operator",
}
CLIENT = {labels.CLIENT_ACCESS: "true"}

PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"]
INSIDE = {
    "RFC 1918, 10/8": "10.96.0.1",
    "RFC 1918, 172.16/12": "172.31.255.254",
    "RFC 1918, 192.168/16": "192.168.1.1",
    "CGNAT": "100.64.0.1",
    "CGNAT, Alibaba's metadata": "100.100.100.200",
    "link-local, metadata": "169.254.169.254",
    "node-local DNS, other ports": "169.254.20.10",
    "Azure's host agent": "168.63.129.16",
    "loopback": "127.0.0.1",
    "reserved, pods on GKE": "240.0.0.1",
    "IPv6 ULA": "fd12:3456::1",
    "IPv6 ULA, AWS metadata": "fd00:ec2::254",
    "IPv6 link-local": "fe80::1",
    "IPv6 loopback": "::1",
    "NAT64 of 10.0.0.1": "64:ff9b::a00:1",
    "NAT64 of 169.254.169.254": "64:ff9b::a9fe:a9fe",
    "NAT64 of 172.16.0.1": "64:ff9b::ac10:1",
    "NAT64 of 192.168.0.1": "64:ff9b::c0a8:1",
    "NAT64 of 100.64.0.1": "64:ff9b::6440:1",
}


def selects(selector: Manifest | None, wanted: dict[str, str]) -> bool:
    return selector is not None and (selector.get("matchLabels") or {}).items() <= wanted.items()


def rules_for(rendering: Rendering, pod: dict[str, str], direction: str) -> list[Manifest]:
    """All rules of that direction that speak about the pod; at least one policy must select it."""
    selecting = [
        policy["spec"]
        for policy in rendering.of_kind("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod)
        and direction.title() in policy["spec"]["policyTypes"]
    ]
    assert selecting, f"no policy restricts the {direction} of {pod}"
    return [rule for spec in selecting for rule in spec.get(direction) or []]


def allows_port(rule: Manifest, protocol: str, port: int | str) -> bool:
    ports = rule.get("ports")
    return not ports or {"protocol": protocol, "port": port} in ports


def in_block(block: Manifest, address: str) -> bool:
    ip = ip_address(address)

    def within(cidr: str) -> bool:
        return ip in ip_network(cidr)

    return within(block["cidr"]) and not any(within(cidr) for cidr in block.get("except") or [])


def may_reach_address(rules: Iterable[Manifest], address: str, protocol: str, port: int) -> bool:
    return any(
        in_block(peer["ipBlock"], address)
        for rule in rules
        if allows_port(rule, protocol, port)
        for peer in rule["to"]
        if "ipBlock" in peer
    )


def matches_pod(peer: Manifest, namespace: str, pod: dict[str, str]) -> bool:
    spaces = peer.get("namespaceSelector")
    pods = peer.get("podSelector")
    return (
        "ipBlock" not in peer
        and spaces is not None
        and selects(spaces, {"kubernetes.io/metadata.name": namespace})
        and (pods is None or selects(pods, pod))
    )


def may_pod(
    rules: Iterable[Manifest], side: str, namespace: str, pod: dict[str, str], port: tuple[str, int]
) -> bool:
    """Whether a rule lets the pod in (`from`) or be reached (`to`)."""
    return any(
        matches_pod(peer, namespace, pod)
        for rule in rules
        if allows_port(rule, *port)
        for peer in rule.get(side) or []
    )


HTTP = ("TCP", 8000)
DNS_POD = {"k8s-app": "kube-dns"}


def test_runtimes_are_denied_everything_that_no_rule_allows(rendering: Rendering) -> None:
    deny = rendering.find("NetworkPolicy", "conversation-operator-runtimes-default-deny")["spec"]
    assert deny == {"podSelector": {"matchLabels": RUNTIME}, "policyTypes": ["Ingress", "Egress"]}


def test_every_runtime_policy_selects_runtimes_only(rendering: Rendering) -> None:
    selectors = {
        policy["metadata"]["name"]: policy["spec"]["podSelector"]["matchLabels"]
        for policy in rendering.of_kind("NetworkPolicy")
    }
    assert selectors.pop("conversation-operator") == OPERATOR
    assert len(selectors) == 3
    assert all(selector == RUNTIME for selector in selectors.values())


@pytest.mark.parametrize("address", PUBLIC)
def test_runtimes_reach_public_addresses(rendering: Rendering, address: str) -> None:
    assert may_reach_address(rules_for(rendering, RUNTIME, "egress"), address, "TCP", 443)


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE.keys())
def test_runtimes_reach_nothing_inside(rendering: Rendering, address: str) -> None:
    assert not may_reach_address(rules_for(rendering, RUNTIME, "egress"), address, "TCP", 443)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_runtimes_reach_dns(rendering: Rendering, protocol: str) -> None:
    rules = rules_for(rendering, RUNTIME, "egress")
    assert may_pod(rules, "to", "kube-system", DNS_POD, (protocol, 53))
    assert may_reach_address(rules, "169.254.20.10", protocol, 53)


def test_runtimes_reach_no_other_pod(rendering: Rendering) -> None:
    rules = rules_for(rendering, RUNTIME, "egress")
    assert not may_pod(rules, "to", "kube-system", DNS_POD, ("TCP", 443))
    assert not may_pod(rules, "to", "kube-system", {}, ("TCP", 53))
    assert not may_pod(rules, "to", "conversations", RUNTIME, HTTP)
    assert not may_pod(rules, "to", "conversations", OPERATOR, ("TCP", 8080))


def test_runtimes_accept_operator_and_labelled_clients_only(rendering: Rendering) -> None:
    rules = rules_for(rendering, RUNTIME, "ingress")
    assert may_pod(rules, "from", "conversations", OPERATOR, HTTP)
    assert may_pod(rules, "from", "conversations", CLIENT, HTTP)
    assert not may_pod(rules, "from", "conversations", RUNTIME, HTTP)
    assert not may_pod(rules, "from", "conversations", {labels.CLIENT_ACCESS: "false"}, HTTP)
    assert not may_pod(rules, "from", "elsewhere", OPERATOR, HTTP)
    assert not may_pod(rules, "from", "elsewhere", CLIENT, HTTP)
    assert not may_pod(rules, "from", "conversations", CLIENT, ("TCP", 22))


def test_closed_egress_leaves_dns(helm: Helm) -> None:
    rules = rules_for(helm.render({"runtimes": {"egress": {"public": False}}}), RUNTIME, "egress")
    assert not any(may_reach_address(rules, address, "TCP", 443) for address in PUBLIC)
    assert may_pod(rules, "to", "kube-system", DNS_POD, ("UDP", 53))


def test_deny_takes_addresses_of_both_families_from_the_public(helm: Helm) -> None:
    values = {"runtimes": {"egress": {"deny": ["8.8.8.0/24", "2606:4700::/32"]}}}
    rules = rules_for(helm.render(values), RUNTIME, "egress")
    assert not may_reach_address(rules, "8.8.8.8", "TCP", 443)
    assert not may_reach_address(rules, "2606:4700::1111", "TCP", 443)
    assert may_reach_address(rules, "1.1.1.1", "TCP", 443)


def test_allow_opens_what_it_names_and_no_more(helm: Helm) -> None:
    model = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}
    rule = {
        "to": [model, {"ipBlock": {"cidr": "10.20.0.5/32"}}],
        "ports": [{"protocol": "TCP", "port": 3128}],
    }
    rules = rules_for(helm.render({"runtimes": {"egress": {"allow": [rule]}}}), RUNTIME, "egress")
    assert may_pod(rules, "to", "models", {}, ("TCP", 3128))
    assert may_reach_address(rules, "10.20.0.5", "TCP", 3128)
    assert not may_reach_address(rules, "10.20.0.5", "TCP", 22)
    assert not may_reach_address(rules, "10.20.0.6", "TCP", 3128)


def test_more_clients_by_namespace_and_by_peer(helm: Helm) -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}},
        "podSelector": {"matchLabels": {"app": "openhands"}},
    }
    values = {"runtimes": {"ingress": {"clientNamespaces": ["apps"], "from": [peer]}}}
    rules = rules_for(helm.render(values), RUNTIME, "ingress")
    assert may_pod(rules, "from", "apps", CLIENT, HTTP)
    assert not may_pod(rules, "from", "apps", {}, HTTP)
    assert may_pod(rules, "from", "web", {"app": "openhands"}, HTTP)
    assert not may_pod(rules, "from", "web", {}, HTTP)


def test_ports_of_all_templates_and_extra_ones(helm: Helm) -> None:
    values = {
        "defaultTemplate": {"port": 9000},
        "runtimes": {"ingress": {"extraPorts": [9000, 3000]}},
        "templates": {
            "small": {"pod": {}, "port": 7000},
            "usual": {"pod": {}},
            "other": {"pod": {}, "port": 8000},
        },
    }
    [rule] = rules_for(helm.render(values), RUNTIME, "ingress")
    assert [port["protocol"] for port in rule["ports"]] == ["TCP"] * 4
    assert {port["port"] for port in rule["ports"]} == {9000, 3000, 7000, 8000}


def test_operator_elsewhere_reaches_runtimes_where_they_are(helm: Helm) -> None:
    rendering = helm.render({"runtimes": {"namespace": "runtimes"}}, namespace="system")
    rules = rules_for(rendering, RUNTIME, "ingress")
    assert may_pod(rules, "from", "system", OPERATOR, HTTP)
    assert not may_pod(rules, "from", "runtimes", OPERATOR, HTTP)
    assert may_pod(rules, "from", "system", CLIENT, HTTP)
    assert may_pod(rules, "from", "runtimes", CLIENT, HTTP)
    namespaces = {
        policy["metadata"]["name"]: policy["metadata"]["namespace"]
        for policy in rendering.of_kind("NetworkPolicy")
    }
    assert namespaces.pop("conversation-operator") == "system"
    assert set(namespaces.values()) == {"runtimes"}


def test_operator_accepts_its_probe_and_metrics_port_only(rendering: Rendering) -> None:
    rules = rules_for(rendering, OPERATOR, "ingress")
    assert rules == [{"ports": [{"protocol": "TCP", "port": "http"}]}]


def test_operator_port_can_be_narrowed(helm: Helm) -> None:
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    rendering = helm.render({"networkPolicy": {"operatorFrom": [prometheus]}})
    [rule] = rules_for(rendering, OPERATOR, "ingress")
    assert rule["from"] == [prometheus]


def test_switched_off(helm: Helm) -> None:
    assert not helm.render({"networkPolicy": {"enabled": False}}).of_kind("NetworkPolicy")


def test_a_peer_of_nothing_is_refused(helm: Helm) -> None:
    """An empty peer would let everybody in."""
    with pytest.raises(ChartRefused, match="from"):
        helm.render({"runtimes": {"ingress": {"from": [{}]}}})
