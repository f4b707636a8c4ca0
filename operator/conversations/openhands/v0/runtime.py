"""
The outer server's `RUNTIME=conversations.openhands.v0.ConversationRuntime`.

OpenHands' managers have no delete: its route deletes a conversation by `delete` of the class that
RUNTIME names.  That is all this class is for.  The agent's actions run in the pods, so nothing ever
makes an instance.
"""

import abc
from typing import Any

from openhands.runtime.base import Runtime

from conversations.openhands.v0.deletion import Deletion

_serving: list[Deletion] = []


def serve(deletion: Deletion) -> None:
    """From now on the route's delete goes there: the manager of this process was entered."""
    _serving.append(deletion)


def stop_serving(deletion: Deletion) -> None:
    """The manager is being left."""
    if deletion in _serving:
        _serving.remove(deletion)


def _refuse(*_: object, **__: object) -> Any:
    raise RuntimeError(
        "ConversationRuntime runs nothing: with RUNTIME=conversations.openhands.v0.ConversationRuntime"
        " set CONVERSATION_MANAGER_CLASS=conversations.openhands.v0.KubernetesConversationManager"
    )


class ConversationRuntime(Runtime):
    """Deletes conversations."""

    def __init__(self, *_: object, **__: object) -> None:
        _refuse()

    @classmethod
    def setup(cls, config: Any, headless_mode: bool = False) -> None:
        """Nothing: the operator makes the pods."""

    @classmethod
    def teardown(cls, config: Any) -> None:
        """Nothing: the pods go on."""

    @classmethod
    async def delete(cls, conversation_id: str) -> None:
        """Delete the conversation with its pod, Secrets, volume and history; none is as good."""
        if not _serving:
            raise RuntimeError(
                "no KubernetesConversationManager is running in this process:"
                " set CONVERSATION_MANAGER_CLASS beside RUNTIME"
            )
        for deletion in _serving.copy():
            await deletion.delete(conversation_id)


# Which methods are abstract differs between versions; none of them is ever called.
for _name in Runtime.__abstractmethods__:
    setattr(ConversationRuntime, _name, _refuse)
abc.update_abstractmethods(ConversationRuntime)
