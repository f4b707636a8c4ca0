"""How a client's requests reach a pod."""

from dataclasses import dataclass
from typing import Literal, Protocol

from conversations.api.conversation import Conversation
from conversations.client.port_forward import PortForwards
from conversations.cluster.connection import in_cluster

AccessMode = Literal["auto", "direct", "port-forward"]


class Route(Protocol):
    """A url that leads to exactly the pod of status.podUID, until it is closed."""

    @property
    def url(self) -> str: ...
    async def aclose(self) -> None: ...


class Access(Protocol):
    """A way to the pods."""

    async def open_route(self, conversation: Conversation) -> Route: ...


class DirectAccess:
    """For clients that can route to pod addresses: those inside the cluster."""

    async def open_route(self, conversation: Conversation) -> Route:
        """The pod's own url."""
        assert conversation.status.url is not None
        return _DirectRoute(conversation.status.url)


@dataclass(frozen=True)
class _DirectRoute:
    url: str

    async def aclose(self) -> None:
        """Nothing is held."""


def choose_access(mode: AccessMode, port_forwards: PortForwards) -> Access:
    """`auto` is direct inside a cluster and port-forward outside."""
    if mode == "direct" or (mode == "auto" and in_cluster()):
        return DirectAccess()
    return port_forwards
