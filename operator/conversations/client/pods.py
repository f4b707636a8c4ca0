"""Live looks at runtime pods: no key is sent on the word of a status, a cache or an old look."""

import msgspec

from conversations.api.conversation import Conversation
from conversations.cluster.connection import Connection
from conversations.cluster.paths import core
from conversations.core.errors import RuntimeUnavailable
from conversations.core.names import children_name
from conversations.core.observed import Pod


class Pods:
    """One request a look."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._path = core("pods", namespace)

    async def get_runtime_pod(self, conversation: Conversation) -> Pod:
        """The pod of status.podUID: this conversation's own and ready, or RuntimeUnavailable."""
        uid = conversation.metadata.uid
        name = children_name(uid)
        payload = await self._connection.get(f"{self._path}/{name}")
        pod = None if payload is None else msgspec.json.decode(payload, type=Pod)
        if pod is None or pod.metadata.uid != conversation.status.pod_uid:
            raise RuntimeUnavailable(f"pod {name} of this conversation is gone: try again")
        if not (pod.metadata.is_owned_by(uid) and pod.is_ready and pod.url):
            raise RuntimeUnavailable(f"pod {name} of this conversation is not ready: try again")
        return pod
