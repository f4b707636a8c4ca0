"""What a runtime must be told by its pod, by the template's protocol: environment, probes, memory."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from conversations.api import labels
from conversations.api.template import RuntimeTemplateSpec

Env = list[dict[str, Any]]

STANDALONE_MANAGER = (
    "openhands.server.conversation_manager.standalone_conversation_manager."
    "StandaloneConversationManager"
)


class RuntimeEnv(NamedTuple):
    """Defaults that a blueprint may override, and what it may not."""

    defaults: Env
    enforced: Env


def runtime_env(template: RuntimeTemplateSpec, secret_name: str) -> RuntimeEnv:
    """The environment that the runtime needs; its keys come from that Secret."""
    workspace = template.workspace.mount_path.rstrip("/")
    if template.protocol == "OpenHandsV0":
        return _openhands_v0_env(workspace, template.port, secret_name)
    return _agent_server_env(workspace, secret_name)


def runtime_probes(template: RuntimeTemplateSpec) -> dict[str, dict[str, Any]]:
    """
    Probes by name.  They need no key; booting may take five minutes on a busy node.

    OpenHandsV0 gets them on /alive alone: its /ready is absent in 1.4 and says no more in 1.5 and
    1.6.  Its rate limiter counts probes, too: there must never be more than one in a second.
    """
    ready = "/alive" if template.protocol == "OpenHandsV0" else "/ready"

    def get(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": template.port}, **timing}

    return {
        "startupProbe": get(ready, periodSeconds=1, timeoutSeconds=5, failureThreshold=300),
        "readinessProbe": get(ready, periodSeconds=5, timeoutSeconds=5, failureThreshold=3),
        "livenessProbe": get("/alive", periodSeconds=20, timeoutSeconds=10, failureThreshold=6),
    }


def runtime_memory(template: RuntimeTemplateSpec, env: Env) -> str:
    """The memory to request where the blueprint is silent: what an idle runtime was seen to use."""
    if template.protocol != "OpenHandsV0":
        return "512Mi"
    # RUNTIME=local runs an action server, a kernel gateway and an IPython kernel beside the server.
    return "640Mi" if _kind(env) == "cli" else "1536Mi"


def explain_runtime(template: RuntimeTemplateSpec, env: Env) -> str | None:
    """Why a blueprint with that environment cannot work with its protocol, or None."""
    if template.protocol != "OpenHandsV0" or _kind(env) != "cli":
        return None
    if f"{template.workspace.mount_path}/".startswith("/workspace/"):
        return (
            "RUNTIME=cli takes every path below /workspace for one below its own directory: "
            "spec.workspace.mountPath must be another, such as /data."
        )
    return None


def _kind(env: Env) -> str:
    """Which of OpenHands' runtimes does the work."""
    given = (entry.get("value") for entry in env if entry.get("name") == "RUNTIME")
    return next(given, None) or _OPENHANDS_V0_DEFAULTS["RUNTIME"]


def _agent_server_env(workspace: str, secret_name: str) -> RuntimeEnv:
    """
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
    return RuntimeEnv(_literal(defaults), enforced)


def _openhands_v0_env(workspace: str, port: int, secret_name: str) -> RuntimeEnv:
    """
    Enforced is what bootstrap and history rely on: the key, the port, ids of our choosing, one
    directory for agent, list and upload, and a file store that outlives the container.
    """
    project = f"{workspace}/project"
    defaults = _OPENHANDS_V0_DEFAULTS | {"OH_PERSISTENCE_DIR": f"{workspace}/.openhands"}
    enforced = {
        "port": str(port),
        "ALLOW_SET_CONVERSATION_ID": "1",
        "CONVERSATION_MANAGER_CLASS": STANDALONE_MANAGER,
        "WORKSPACE_BASE": project,
        "WORKSPACE_MOUNT_PATH_IN_SANDBOX": project,
        "FILE_STORE": "local",
        "FILE_STORE_PATH": f"{workspace}/.openhands/file_store",
    }
    keys = [
        _from_secret("SESSION_API_KEY", secret_name, labels.SESSION_KEY),
        _from_secret("JWT_SECRET", secret_name, labels.RUNTIME_SECRET_KEY),
    ]
    return RuntimeEnv(_literal(defaults), [*_literal(enforced), *keys])


_OPENHANDS_V0_DEFAULTS = {
    # Off the volume: the server writes every secret to .bashrc, and never takes one out.
    "HOME": "/tmp/home",
    "TMPDIR": "/tmp",
    "RUNTIME": "local",
    "SERVE_FRONTEND": "0",
    "ENABLE_V1": "0",
    # The operator ends conversations, not the runtime's own clock.
    "SANDBOX_CLOSE_DELAY": "0",
    "SKIP_DEPENDENCY_CHECK": "1",
    # OpenHands calls su for the names openhands and root, and edits sudoers for a name it cannot find.
    "USER": "agent",
    "SU_TO_USER": "false",
    "DISABLE_VSCODE_PLUGIN": "true",
    "ENABLE_BROWSER": "false",
    # Off as V1 is, some routes ask it for a backend, and the default one wants Docker's socket.
    "OH_SANDBOX_KIND": "ProcessSandboxServiceInjector",
    "OH_SANDBOX_SPEC_KIND": "ProcessSandboxSpecServiceInjector",
    # The rate limiter would take all that comes through a proxy for one client.
    "FORWARDED_ALLOW_IPS": "*",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def _literal(values: Mapping[str, str]) -> Env:
    return [{"name": name, "value": value} for name, value in values.items()]


def _from_secret(variable: str, secret_name: str, key: str) -> dict[str, Any]:
    source = {"secretKeyRef": {"name": secret_name, "key": key}}
    return {"name": variable, "valueFrom": source}
