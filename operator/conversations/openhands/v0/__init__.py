"""
OpenHands V0 (openhands-ai 1.4 to 1.6) on Kubernetes, by two settings of its server:

    CONVERSATION_MANAGER_CLASS=conversations.openhands.v0.KubernetesConversationManager
    RUNTIME=conversations.openhands.v0.ConversationRuntime

They are imported when they are asked for, so that what is pure in here needs no OpenHands.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conversations.openhands.v0.manager import KubernetesConversationManager
    from conversations.openhands.v0.runtime import ConversationRuntime

__all__ = ["ConversationRuntime", "KubernetesConversationManager"]

_MODULES = {
    "ConversationRuntime": "conversations.openhands.v0.runtime",
    "KubernetesConversationManager": "conversations.openhands.v0.manager",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
