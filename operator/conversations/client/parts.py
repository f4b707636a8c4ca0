"""What an open client consists of: put together once it is connected, taken apart when it closes."""

from dataclasses import dataclass
from typing import Generic, Self

from conversations.client.access import AccessMode, choose_access
from conversations.client.cache import ConversationCache
from conversations.client.calls import Calls
from conversations.client.inputs import InputSecrets
from conversations.client.keys import SessionKeys
from conversations.client.lifecycle import Lifecycle
from conversations.client.pods import Pods
from conversations.client.port_forward import PortForwards
from conversations.client.runtimes import R, RuntimeKind, Runtimes
from conversations.client.watched import Watched
from conversations.cluster.connection import Connection, uses_service_account


@dataclass(frozen=True, slots=True)
class Arguments:
    """Which cluster, and which way to its pods."""

    namespace: str | None
    kubeconfig: str | None
    context: str | None
    access: AccessMode
    kubectl: str


@dataclass(frozen=True, slots=True)
class Parts(Generic[R]):
    """Everything that lives as long as the connection."""

    connection: Connection
    cache: ConversationCache
    calls: Calls
    lifecycle: Lifecycle
    keys: SessionKeys
    runtimes: Runtimes[R]

    @classmethod
    async def open(cls, given: Arguments, kind: RuntimeKind[R]) -> Self:
        """Connected, and holding a complete copy of the namespace's Conversations."""
        connection = await Connection.open(kubeconfig=given.kubeconfig, context=given.context)
        calls = Calls(connection, given.namespace or connection.namespace)
        parts = cls.assemble(given, kind, connection, calls)
        try:
            await calls.check_access()
            await parts.cache.start()
        except BaseException:
            await parts.aclose()
            raise
        return parts

    @classmethod
    def assemble(
        cls, given: Arguments, kind: RuntimeKind[R], connection: Connection, calls: Calls
    ) -> Self:
        def pod_gone(old: Watched) -> None:
            keys.forget(old.metadata.uid)
            if old.pod_uid is not None:
                runtimes.forget(old.pod_uid)

        namespace = given.namespace or connection.namespace
        cache = ConversationCache(connection, namespace, pod_gone)
        lifecycle, keys = Lifecycle(calls, cache, InputSecrets(calls)), SessionKeys(calls)
        pods = Pods(connection, namespace)
        tunnels = PortForwards(pods, namespace, given.kubectl, _kubectl_flags(given))
        inside = uses_service_account(given.kubeconfig, given.context)
        access = choose_access(given.access, inside, pods, tunnels)
        runtimes = Runtimes(keys, access, lifecycle.reload, kind)
        return cls(connection, cache, calls, lifecycle, keys, runtimes)

    async def aclose(self) -> None:
        """Stop watching and close every connection and tunnel."""
        await self.cache.stop()
        await self.runtimes.aclose()
        await self.connection.close()


def _kubectl_flags(given: Arguments) -> list[str]:
    return [
        *(["--kubeconfig", given.kubeconfig] if given.kubeconfig else []),
        *(["--context", given.context] if given.context else []),
    ]
