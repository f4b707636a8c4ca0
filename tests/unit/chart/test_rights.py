"""What the chart grants: the verbs of the code, in one namespace, and Conversations to people."""

import json
from typing import Any

import pytest

from conversations.api.group import CONVERSATIONS, GROUP
from conversations.cluster.permissions import CLIENT_RULES, OPERATOR_RULES, PORT_FORWARD_RULES, Rule
from tests.rig.helm import Helm, Rendering

Manifest = dict[str, Any]

NAMES = {"operator": "conversation-operator", "client": "conversation-operator-client"}


def granted(role: Manifest) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of everything that the role allows."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def stated(*rules: Rule) -> set[tuple[str, str, str]]:
    return {(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs}


def test_operator_and_client_get_the_verbs_of_the_code(rendering: Rendering) -> None:
    assert granted(rendering.find("Role", NAMES["operator"])) == stated(*OPERATOR_RULES)
    assert granted(rendering.find("Role", NAMES["client"])) == stated(*CLIENT_RULES)


def test_port_forward_is_for_the_client_and_only_on_request(helm: Helm) -> None:
    rendering = helm.render({"client": {"portForward": True}})
    client = granted(rendering.find("Role", NAMES["client"]))
    assert client == stated(*CLIENT_RULES, *PORT_FORWARD_RULES)
    assert granted(rendering.find("Role", NAMES["operator"])) == stated(*OPERATOR_RULES)


@pytest.mark.parametrize("who", NAMES)
def test_each_role_is_bound_to_its_own_account_only(rendering: Rendering, who: str) -> None:
    binding = rendering.find("RoleBinding", NAMES[who])
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == NAMES[who]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": NAMES[who], "namespace": "conversations"}
    ]


def test_no_wildcard_anywhere(helm: Helm) -> None:
    rendering = helm.render({"client": {"portForward": True}})
    rules = [r["rules"] for kind in ("Role", "ClusterRole") for r in rendering.of_kind(kind)]
    assert len(rules) == 4
    assert "*" not in json.dumps(rules)


def test_nobody_is_bound_cluster_wide(rendering: Rendering) -> None:
    assert not rendering.of_kind("ClusterRoleBinding")


def test_people_get_conversations_and_nothing_else(rendering: Rendering) -> None:
    roles = {
        label.removeprefix("rbac.authorization.k8s.io/aggregate-to-"): granted(role)
        for role in rendering.of_kind("ClusterRole")
        for label in role["metadata"]["labels"]
        if label.startswith("rbac.authorization.k8s.io/")
    }
    assert roles.keys() == {"edit", "view"}
    assert {(group, resource) for rights in roles.values() for group, resource, _ in rights} == {
        (GROUP, CONVERSATIONS)
    }
    assert {verb for _, _, verb in roles["view"]} == {"get", "list", "watch"}


def test_no_cluster_role_without_aggregation(helm: Helm) -> None:
    assert not helm.render({"rbac": {"aggregate": False}}).of_kind("ClusterRole")


def test_cluster_wide_names_differ_between_releases_of_one_name(helm: Helm) -> None:
    names = [
        {
            role["metadata"]["name"]
            for role in helm.render(namespace=namespace).of_kind("ClusterRole")
        }
        for namespace in ("one", "two")
    ]
    assert not names[0] & names[1]


def test_roles_follow_the_runtimes_and_accounts_the_release(helm: Helm) -> None:
    rendering = helm.render({"runtimes": {"namespace": "runtimes"}}, namespace="system")
    for kind, namespace in {
        "Role": "runtimes",
        "RoleBinding": "runtimes",
        "ServiceAccount": "system",
    }.items():
        found = {m["metadata"]["namespace"] for m in rendering.of_kind(kind)}
        assert found == {namespace}, kind
    subjects = [s for binding in rendering.of_kind("RoleBinding") for s in binding["subjects"]]
    assert {subject["namespace"] for subject in subjects} == {"system"}


def test_more_clients_by_subject(helm: Helm) -> None:
    subject = {"kind": "Group", "name": "developers", "apiGroup": "rbac.authorization.k8s.io"}
    binding = helm.render({"client": {"subjects": [subject]}}).find("RoleBinding", NAMES["client"])
    assert subject in binding["subjects"]


def test_without_a_client(helm: Helm) -> None:
    rendering = helm.render({"client": {"enabled": False}})
    accounts = rendering.of_kind("ServiceAccount")
    assert [account["metadata"]["name"] for account in accounts] == [NAMES["operator"]]
    assert len(rendering.of_kind("Role")) == len(rendering.of_kind("RoleBinding")) == 1


def test_accounts_hand_out_no_token_unasked(rendering: Rendering) -> None:
    accounts = rendering.of_kind("ServiceAccount")
    assert all(account["automountServiceAccountToken"] is False for account in accounts)
