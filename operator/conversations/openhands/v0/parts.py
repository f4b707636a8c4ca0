"""What an entered manager consists of: started together, and stopped in the reverse order."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from conversations.openhands.v0 import runtime
from conversations.openhands.v0.attached import Attachments
from conversations.openhands.v0.closing import Closing
from conversations.openhands.v0.config import ManagerSettings
from conversations.openhands.v0.deletion import Deletion
from conversations.openhands.v0.draining import Drainer
from conversations.openhands.v0.files import NestedFiles
from conversations.openhands.v0.installation import Installation
from conversations.openhands.v0.key_ring import KeyRing
from conversations.openhands.v0.limits import ConversationStores, UserLimit
from conversations.openhands.v0.loop_info import LoopInfos
from conversations.openhands.v0.mirror import Mirror
from conversations.openhands.v0.starter import Starter


@dataclass(frozen=True)
class Server:
    """What the OpenHands server gives its manager."""

    sio: Any
    config: Any
    file_store: Any
    server_config: Any
    conversation_stores: ConversationStores


@dataclass(frozen=True)
class ManagerParts:
    """Everything that lives from `__aenter__` to `__aexit__`."""

    installation: Installation
    keys: KeyRing
    infos: LoopInfos
    mirror: Mirror
    closing: Closing
    starter: Starter
    files: NestedFiles
    attachments: Attachments
    stack: AsyncExitStack

    @classmethod
    async def open(cls, server: Server, settings: ManagerSettings) -> Self:
        """Connected, synced and at work; ConversationError says what keeps it from that."""
        async with AsyncExitStack() as stack:
            installation = await Installation.open(settings)
            stack.push_async_callback(installation.aclose)
            keys = KeyRing(installation)
            mirror = Mirror(installation, server.file_store, server.conversation_stores)
            drainer = Drainer(installation, mirror)
            closing = Closing(installation, drainer)
            for part in (keys, mirror, drainer, closing):
                stack.push_async_callback(part.stop)
            keys.start()
            await mirror.start()
            await drainer.start()
            deletion = Deletion(installation, mirror.forget, server.file_store)
            stack.push_async_callback(deletion.stop)
            runtime.serve(deletion)
            stack.callback(runtime.stop_serving, deletion)
            most = server.config.max_concurrent_conversations
            limit = UserLimit(most, installation, closing, server.conversation_stores, server.sio)
            return cls(
                installation=installation,
                keys=keys,
                infos=LoopInfos(installation, server.file_store),
                mirror=mirror,
                closing=closing,
                starter=Starter(installation, limit, server.config, server.server_config),
                files=NestedFiles(installation),
                attachments=Attachments(installation, server.file_store, server.config),
                stack=stack.pop_all(),
            )

    async def aclose(self) -> None:
        """Leave no task behind.  The conversations go on."""
        await self.stack.aclose()
