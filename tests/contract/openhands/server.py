"""A real nested OpenHands server on loopback, started as its image starts it."""

import os
import shlex
from pathlib import Path

from conversations.runtime.openhands_v0 import OpenHandsV0
from tests.contract.server_process import ServerProcess


class OpenHandsProcess(ServerProcess):
    """It takes 12 s to boot."""

    # The image of the tests holds the runtime's; its files are shared with tests/openhands.
    image_name = "openhands-tests"
    venv = "opt/openhands"
    ready_path = "/alive"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.file_store = home / ".openhands" / "file_store"
        # The image's entry point calls `python`.
        (home / "bin").mkdir(exist_ok=True)
        python = home / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join(self.image.python())} "$@"\n')
        python.chmod(0o755)

    def client(self) -> OpenHandsV0:
        """Ours, with the right key."""
        return OpenHandsV0("uid-1", self.url, self.key)

    def command(self) -> list[str]:
        return ["sh", str(self.image.root / "usr/local/bin/openhands-v0")]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home / "tmp" / "home"),
            "USER": "agent",
            "SU_TO_USER": "false",
            "port": str(self.port),
            "SESSION_API_KEY": self.key,
            "ALLOW_SET_CONVERSATION_ID": "1",
            "SERVE_FRONTEND": "0",
            "ENABLE_V1": "0",
            "RUNTIME": "cli",
            "FILE_STORE": "local",
            "FILE_STORE_PATH": str(self.file_store),
            "WORKSPACE_BASE": str(self.workspace),
            "WORKSPACE_MOUNT_PATH_IN_SANDBOX": str(self.workspace),
            "OH_PERSISTENCE_DIR": str(self.home / ".openhands"),
            "SANDBOX_CLOSE_DELAY": "0",
            "SKIP_DEPENDENCY_CHECK": "1",
            "ENABLE_BROWSER": "false",
            "DISABLE_VSCODE_PLUGIN": "true",
            "OH_SANDBOX_KIND": "ProcessSandboxServiceInjector",
            "OH_SANDBOX_SPEC_KIND": "ProcessSandboxSpecServiceInjector",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "LOG_JSON": "1",
            # These tests keep many conversations in one server; a pod has one.
            "MAX_CONCURRENT_CONVERSATIONS": "100",
        }
