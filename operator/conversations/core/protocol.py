"""What a runtime of protocol AgentServer must be told by its pod: environment and probes."""

from typing import Any

from conversations.api import labels

Env = list[dict[str, Any]]


def agent_server_env(workspace: str, secret_name: str) -> tuple[Env, Env]:
    """
    (defaults that a blueprint may override, what it may not).

    Everything that the server writes goes to the workspace volume; the server encrypts stored
    secrets with a key of its own, because the session key may one day rotate; and the lease on
    conversations is off, because one pod at most ever writes here.
    """
    defaults = {
        "HOME": workspace,
        "TMPDIR": "/tmp",
        "OH_WORKSPACE_PATH": f"{workspace}/project",
        "OH_CONVERSATIONS_PATH": f"{workspace}/.openhands/conversations",
        "OH_BASH_EVENTS_DIR": f"{workspace}/.openhands/bash_events",
        "OH_PERSISTENCE_DIR": f"{workspace}/.openhands",
        "OH_CONVERSATION_WORKTREE_ROOT": f"{workspace}/.openhands/worktrees",
        "OH_LEASE_TTL_SECONDS": "0",
        "OH_ENABLE_VSCODE": "0",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    enforced = [
        _from_secret("OH_SESSION_API_KEYS_0", secret_name, labels.SESSION_KEY),
        _from_secret("OH_SECRET_KEY", secret_name, labels.RUNTIME_SECRET_KEY),
    ]
    return [{"name": name, "value": value} for name, value in defaults.items()], enforced


def agent_server_probes(port: int) -> dict[str, dict[str, Any]]:
    """Probes by name.  /ready and /alive need no key; booting may take five minutes on a busy node."""

    def get(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": port}, **timing}

    return {
        "startupProbe": get("/ready", periodSeconds=1, timeoutSeconds=5, failureThreshold=300),
        "readinessProbe": get("/ready", periodSeconds=5, timeoutSeconds=5, failureThreshold=3),
        "livenessProbe": get("/alive", periodSeconds=20, timeoutSeconds=10, failureThreshold=6),
    }


def _from_secret(variable: str, secret_name: str, key: str) -> dict[str, Any]:
    source = {"secretKeyRef": {"name": secret_name, "key": key}}
    return {"name": variable, "valueFrom": source}
