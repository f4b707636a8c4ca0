"""A real agent-server on loopback."""

from tests.contract.server_process import ServerProcess


class AgentServerProcess(ServerProcess):
    """It takes 15 s to boot."""

    image_name = "agent-server"
    venv = "opt/agent-server"
    ready_path = "/ready"

    def command(self) -> list[str]:
        listen = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [*self.image.python(), "-m", "openhands.agent_server", *listen]

    def environment(self) -> dict[str, str]:
        state = self.home / ".openhands"
        return {
            "HOME": str(self.home),
            "OH_SESSION_API_KEYS_0": self.key,
            "OH_WORKSPACE_PATH": str(self.workspace),
            "OH_CONVERSATIONS_PATH": str(state / "conversations"),
            "OH_BASH_EVENTS_DIR": str(state / "bash_events"),
            "OH_PERSISTENCE_DIR": str(state),
            "OH_CONVERSATION_WORKTREE_ROOT": str(state / "worktrees"),
            "OH_LEASE_TTL_SECONDS": "0",
            "OH_ENABLE_VSCODE": "0",
            "OH_ENABLE_BROWSER": "0",
            "OH_PRELOAD_TOOLS": "0",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OPENHANDS_SUPPRESS_BANNER": "1",
        }
