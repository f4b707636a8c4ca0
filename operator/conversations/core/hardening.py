"""
Defaults that make a runtime pod pass Pod Security `restricted`, where the blueprint is silent.

The blueprint is the admin's: what it says stays, except for the service account token and the
service links, which a runtime never needs and which must be asked for in so many words.
"""

from typing import Any

RUNTIME_UID = 10001
"""The user of OpenHands' agent-server images."""

_MEMORY = "512Mi"

Manifest = dict[str, Any]


def harden_pod(spec: Manifest) -> None:
    """Fill in the pod-level defaults, in place."""
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    spec.setdefault("terminationGracePeriodSeconds", 30)
    context = spec.setdefault("securityContext", {})
    for field, value in _POD_SECURITY.items():
        context.setdefault(field, value)


def harden_container(container: Manifest, memory: str = _MEMORY) -> None:
    """Fill in the container-level defaults, in place; `memory` is what it asks for where it is silent."""
    context = container.setdefault("securityContext", {})
    context.setdefault("allowPrivilegeEscalation", False)
    context.setdefault("readOnlyRootFilesystem", True)
    context.setdefault("capabilities", {"drop": ["ALL"]})
    _bound_resources(container.setdefault("resources", {}), memory)


def _bound_resources(resources: Manifest, memory: str) -> None:
    requests = resources.setdefault("requests", {})
    limits = resources.setdefault("limits", {})
    for name, wanted in (_REQUESTS | {"memory": memory}).items():
        if name in requests or name in limits:
            continue  # A default beside the admin's other half could contradict it.
        requests[name] = wanted
        if name in _LIMITS:
            limits[name] = _LIMITS[name]


_POD_SECURITY: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": RUNTIME_UID,
    "runAsGroup": RUNTIME_UID,
    "fsGroup": RUNTIME_UID,
    # A big workspace would otherwise be chowned file by file at every start.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
_REQUESTS = {"cpu": "100m", "ephemeral-storage": "256Mi"}
_LIMITS = {"memory": "4Gi", "ephemeral-storage": "8Gi"}
