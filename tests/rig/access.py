"""Identities that the code under test runs with: real ServiceAccounts, each bound to its Role."""

from pathlib import Path

import yaml

from conversations.cluster.permissions import OPERATOR_RULES, Rule
from tests.rig.api import Api, Manifest

OPERATOR = "operator-under-test"


async def create_identity(
    api: Api, rules: tuple[Rule, ...] = OPERATOR_RULES, name: str = OPERATOR
) -> str:
    """Make ServiceAccount, Role and RoleBinding in the test's namespace; return a token."""
    metadata = {"name": name}
    await api.create("serviceaccounts", {"metadata": metadata})
    policy = [_policy_rule(rule) for rule in rules]
    await api.create("roles", {"metadata": metadata, "rules": policy})
    await api.create("rolebindings", _binding(api.namespace, name))
    token = await api.create(f"serviceaccounts/{name}/token", {"spec": {"expirationSeconds": 7200}})
    return str(token["status"]["token"])


def _policy_rule(rule: Rule) -> Manifest:
    return {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}


def _binding(namespace: str, name: str) -> Manifest:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }


def write_kubeconfig(path: Path, server: Manifest, token: str, namespace: str) -> Path:
    """A kubeconfig with one context: that server (a `cluster` of a kubeconfig), that token."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
        ],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path
