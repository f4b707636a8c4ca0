"""Imports what a boot imports, and prints the folders and files whose bytecode is worth keeping."""

import importlib
import sys
import sysconfig

PROCESSES = (
    "openhands.server.listen",
    "openhands.runtime.action_execution_server",
    "openhands.runtime.plugins.agent_skills.agentskills",
    "kernel_gateway.gatewayapp",
    "ipykernel.kernelapp",
)
# What these leave for the first conversation.
WHOLE = ("openhands", "openhands_aci", "litellm", "openai", "ipykernel", "libtmux")

packages = sysconfig.get_path("purelib")
for process in PROCESSES:
    importlib.import_module(process)
loaded = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
print(*(f"{packages}/{package}" for package in WHOLE), sep="\n")
print(*sorted(f for f in loaded if f.startswith(packages) and f.endswith(".py")), sep="\n")
