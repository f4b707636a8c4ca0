"""The operator's view of its namespace: four reflectors, and who wants to know."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from conversations.api import labels
from conversations.cluster import paths
from conversations.cluster.connection import Connection
from conversations.cluster.reflector import Reflector
from conversations.core.inputs import InputKind, input_name
from conversations.core.observed import Child, Conversation, Pod


class Key(NamedTuple):
    """What the workqueue holds: which object, never what happened to it."""

    kind: str
    name: str


class Caches:
    """
    Conversations, the pods and Secrets that carry a conversation's uid, and Secrets with inputs.

    `notify(key)` is called for the conversation that a change concerns.
    """

    def __init__(
        self, connection: Connection, namespace: str, notify: Callable[[Key], None]
    ) -> None:
        self._notify = notify
        self._names: dict[str, str] = {}
        self._pods_by_uid: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
        selector = labels.CONVERSATION_UID
        self.conversations = Reflector(
            connection,
            paths.conversations(namespace),
            Conversation,
            on_change=self._conversation_changed,
        )
        self.pods = Reflector(
            connection,
            paths.core("pods", namespace),
            Pod,
            label_selector=selector,
            on_change=self._pod_changed,
        )
        self.secrets = Reflector(
            connection,
            paths.core("secrets", namespace),
            Child,
            label_selector=selector,
            metadata_only=True,
            on_change=self._secret_changed,
        )

        self.inputs = Reflector(
            connection,
            paths.core("secrets", namespace),
            Child,
            label_selector=labels.INPUT,
            metadata_only=True,
            on_change=self._input_changed,
        )
        self._all = (self.conversations, self.pods, self.secrets, self.inputs)

    @property
    def failing_seconds(self) -> float:
        """For how long a watch has been without the API server; 0 while all is well."""
        since = [reflector.failing_since for reflector in self._all]
        return max((time.monotonic() - moment for moment in since if moment), default=0.0)

    def pods_of(self, uid: str) -> list[Pod]:
        return list(self._pods_by_uid.get(uid, {}).values())

    def inputs_of(self, conversation: str) -> dict[InputKind, Child]:
        """The input Secrets that have a conversation's name, whoever made them."""
        named = ((kind, self.inputs.get(input_name(conversation, kind))) for kind in InputKind)
        return {kind: secret for kind, secret in named if secret is not None}

    async def run(self) -> None:
        """Keep all of it true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._all:
                group.create_task(reflector.run())

    async def wait_synced(self) -> None:
        """Return once every cache has taken in a complete LIST."""
        for reflector in self._all:
            await reflector.synced.wait()

    def relist(self) -> None:
        """Have all of it compared with fresh LISTs: the safety net under the watches."""
        for reflector in self._all:
            reflector.relist()

    def notify_all(self, template: str | None = None) -> None:
        """Have every conversation looked at, or those of one template."""
        for conversation in self.conversations.objects.values():
            if template is None or conversation.spec.template == template:
                self._notify(Key("Conversation", conversation.metadata.name))

    def _conversation_changed(self, old: Conversation | None, new: Conversation | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._names.pop(old.metadata.uid, None)
        if new is not None:
            self._names[new.metadata.uid] = new.metadata.name
        changed = new or old
        assert changed is not None
        self._notify(Key("Conversation", changed.metadata.name))

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            uid = pod.metadata.labels.get(labels.CONVERSATION_UID, "")
            pods = self._pods_by_uid[uid]
            pods.pop(pod.metadata.name, None)
            if pod is new:
                pods[pod.metadata.name] = pod
            if not pods:
                del self._pods_by_uid[uid]
            self._notify_owner(uid)

    def _secret_changed(self, old: Child | None, new: Child | None) -> None:
        changed = new or old
        assert changed is not None
        self._notify_owner(changed.metadata.labels.get(labels.CONVERSATION_UID, ""))

    def _input_changed(self, old: Child | None, new: Child | None) -> None:
        changed = new or old
        assert changed is not None
        self._notify(Key("Conversation", changed.metadata.name.rpartition(".")[0]))

    def _notify_owner(self, uid: str) -> None:
        name = self._names.get(uid)
        if name is not None:
            self._notify(Key("Conversation", name))
