"""How a client's requests reach a pod."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from conversations.api.conversation import Conversation
from conversations.client.pods import Pods
from conversations.client.port_forward import PortForwards
from conversations.core.errors import ApiUnavailable, InvalidRequest

AccessMode = Literal["auto", "direct", "port-forward"]


class Route(Protocol):
    """A url that leads to exactly the pod of status.podUID, until it is closed."""

    @property
    def url(self) -> str: ...
    async def check(self, conversation: Conversation) -> None:
        """RuntimeUnavailable unless it still leads there."""

    async def aclose(self) -> None: ...


class Access(Protocol):
    """A way to the pods."""

    async def open_route(self, conversation: Conversation) -> Route: ...


class DirectAccess:
    """For clients that can route to pod addresses: those inside the cluster."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    async def open_route(self, conversation: Conversation) -> Route:
        """The pod's address as the API server knows it; status.url is for people."""
        pod = await self._pods.get_runtime_pod(conversation)
        assert pod.url is not None
        return _DirectRoute(pod.url, self._pods)


@dataclass(frozen=True)
class _DirectRoute:
    url: str
    pods: Pods

    async def check(self, conversation: Conversation) -> None:
        """An address outlives its pod: somebody else's may have it by now."""
        try:
            await self.pods.get_runtime_pod(conversation)
        except ApiUnavailable:
            return  # Nor does any new pod get an address while the API server is away.

    async def aclose(self) -> None:
        """Nothing is held."""


def check_access_mode(mode: AccessMode) -> AccessMode:
    """The mode, or InvalidRequest: a misspelt one would pass for port-forward."""
    if mode not in get_args(AccessMode):
        raise InvalidRequest(f"access={mode!r}: it is one of {', '.join(get_args(AccessMode))}")
    return mode


def choose_access(
    mode: AccessMode, inside: bool, pods: Pods, port_forwards: PortForwards
) -> Access:
    """`auto` is direct for a pod that talks to its own cluster, and port-forward elsewhere."""
    if mode == "direct" or (mode == "auto" and inside):
        return DirectAccess(pods)
    return port_forwards
