"""Pod Security `restricted`, as far as our pods can break it."""

from typing import Any

Manifest = dict[str, Any]

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def find_violations(spec: Manifest) -> list[str]:
    """What the standard would object to; empty when it would not."""
    pod = spec.get("securityContext") or {}
    found = [
        f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)
    ]
    found += [
        f"volume {volume['name']}"
        for volume in spec.get("volumes") or []
        if not (volume.keys() - {"name"}) <= VOLUMES
    ]
    for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
        found += _container_violations(pod, container)
    return found


def _container_violations(pod: Manifest, container: Manifest) -> list[str]:
    context = container.get("securityContext") or {}
    effective = {**pod, **context}
    rules = {
        "runAsNonRoot": effective.get("runAsNonRoot") is True,
        "runAsUser": effective.get("runAsUser") != 0,
        "seccompProfile": (effective.get("seccompProfile") or {}).get("type")
        in ("RuntimeDefault", "Localhost"),
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
        "privileged": not context.get("privileged"),
        "capabilities": "ALL" in (context.get("capabilities") or {}).get("drop", []),
        "hostPort": not any(port.get("hostPort") for port in container.get("ports") or []),
    }
    return [f"{container['name']}: {rule}" for rule, holds in rules.items() if not holds]
