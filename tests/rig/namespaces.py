"""A namespace for each test, thrown away without waiting for it to go."""

import json
import secrets
import time
from collections.abc import Iterator

from tests.rig.kubectl import Kubectl

BASELINE = {"pod-security.kubernetes.io/enforce": "baseline"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def fresh_namespace(kubectl: Kubectl, labels: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the name of a new namespace whose pods may start at once; delete it afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"conversation-operator-test": "true", **(labels or {})},
        },
    }
    kubectl("create", "-f", "-", input=json.dumps(manifest))
    try:
        wait_for_service_account(kubectl, name)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def wait_for_service_account(
    kubectl: Kubectl, namespace: str, deadline_seconds: float = 30
) -> None:
    """Pods are refused until the controller manager has made the default service account."""
    deadline = time.monotonic() + deadline_seconds
    while kubectl("get", "serviceaccount", "default", "-n", namespace, check=False).returncode:
        assert time.monotonic() < deadline, f"no default service account in {namespace}"
        time.sleep(0.1)


def apply_crds(kubectl: Kubectl, folder: str) -> None:
    """Apply our CRDs and wait until the API server serves them."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", folder)
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", folder)
