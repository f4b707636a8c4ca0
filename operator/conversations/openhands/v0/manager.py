"""
OpenHands' ConversationManager on Kubernetes: CONVERSATION_MANAGER_CLASS names this class.

It writes what is wanted into Conversations and answers from a watch of them.  The operator makes the
pods and tells the nested servers; clients talk to those directly.
"""

import os
from typing import Any, Self

from openhands.llm.llm_registry import LLMRegistry
from openhands.server.conversation_manager.conversation_manager import ConversationManager
from openhands.storage.conversation.conversation_store import ConversationStore
from openhands.utils.async_utils import call_sync_from_async
from openhands.utils.import_utils import get_impl

from conversations.openhands.v0.config import ManagerSettings
from conversations.openhands.v0.documents import Order
from conversations.openhands.v0.parts import ManagerParts, Server
from conversations.openhands.v0.refusals import UNSUPPORTED, Unsupported, checked, refusals
from conversations.openhands.v0.statuses import RUNNING_SET, compute_loop_status

EVENT_SECONDS = 30.0


class KubernetesConversationManager(ConversationManager):
    """One pod for each conversation, whoever asks and however often."""

    def __init__(self, sio: Any, config: Any, file_store: Any, server_config: Any) -> None:
        self.sio = sio
        self.config = config
        self.file_store = file_store
        self.server_config = server_config
        self._settings = ManagerSettings.from_environment(os.environ)
        self._entered: ManagerParts | None = None

    @classmethod
    def get_instance(
        cls,
        sio: Any,
        config: Any,
        file_store: Any,
        server_config: Any,
        monitoring_listener: Any = None,
    ) -> Self:
        """A manager that is not connected yet: OpenHands asks while it is imported.  ValueError for
        a CONVERSATIONS_* variable that makes no sense."""
        return cls(sio, config, file_store, server_config)

    async def __aenter__(self) -> Self:
        """Connect and take in every Conversation; what keeps it from that ends the server's start."""
        if self._entered is not None:
            raise RuntimeError("this manager is entered already")
        server = Server(
            self.sio, self.config, self.file_store, self.server_config, self._conversation_store
        )
        self._entered = await ManagerParts.open(server, self._settings)
        return self

    async def __aexit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Stop watching.  The conversations go on."""
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered.aclose()

    # --- queries

    async def is_agent_loop_running(self, sid: str) -> bool:
        """Whether it runs or is on its way, from the watch alone."""
        found = self._parts.installation.find(checked(sid))
        return found is not None and compute_loop_status(found) in RUNNING_SET

    async def get_running_agent_loops(
        self, user_id: str | None = None, filter_to_sids: set[str] | None = None
    ) -> set[str]:
        """Ids of what runs or is on its way.  None does not filter, an empty set matches nothing."""
        return {
            watched.session_id
            for watched in self._parts.installation.select(user_id or None, filter_to_sids)
            if compute_loop_status(watched) in RUNNING_SET
        }

    async def get_agent_loop_info(
        self, user_id: str | None = None, filter_to_sids: set[str] | None = None
    ) -> list[Any]:
        """What is known of all that is not paused; filters as above."""
        found = self._parts.installation.select(user_id or None, filter_to_sids)
        await self._parts.keys.read([w for w in found if self._parts.installation.is_running(w)])
        # While keys were read, the world went on.
        latest = (self._parts.installation.find(watched.session_id) for watched in found)
        infos = (self._parts.infos.build(watched) for watched in latest if watched is not None)
        return [info for info in infos if info is not None]

    async def get_connections(
        self, user_id: str | None = None, filter_to_sids: set[str] | None = None
    ) -> dict[str, str]:
        """Nobody is connected here: sockets are for the nested servers."""
        return {}

    # --- life

    async def maybe_start_agent_loop(
        self,
        sid: str,
        settings: Any,
        user_id: str | None,
        initial_user_msg: Any = None,
        replay_json: str | None = None,
    ) -> Any:
        """
        Ask for it to run, whether it is new, paused, or running already.

        Refused, a ValueError and an HTTPException, says why it cannot be asked for.
        """
        order = Order(checked(sid), user_id or None, settings, initial_user_msg, replay_json)
        with refusals():
            started = await self._parts.starter.start(order)
        if self._parts.installation.is_running(started):
            await self._parts.keys.read([started])
        return self._parts.infos.build(started)

    async def close_session(self, sid: str) -> None:
        """Stop the agent, save its history, then pause or delete by policy, within a bound."""
        await self._parts.closing.close(checked(sid))

    # --- its runtime

    async def list_files(self, sid: str, path: str | None = None) -> list[str]:
        """The nested server's list; ValueError unless it is running."""
        return await self._parts.files.list_files(checked(sid), path)

    async def select_file(self, sid: str, file: str) -> tuple[str | None, str | None]:
        """(content, None) or (None, why not); ValueError unless it is running."""
        return await self._parts.files.select_file(checked(sid), file)

    async def upload_files(
        self, sid: str, files: list[tuple[str, bytes]]
    ) -> tuple[list[str], list[dict[str, str]]]:
        """(uploaded, skipped with reasons); ValueError unless it is running."""
        return await self._parts.files.upload_files(checked(sid), files)

    async def send_event_to_conversation(self, sid: str, data: dict[str, Any]) -> None:
        """Hand an event to the agent; ValueError unless it is running."""
        async with self._parts.installation.runtime(checked(sid), EVENT_SECONDS) as server:
            await server.post_event(sid, data)
        self._parts.mirror.poke(sid)

    async def attach_to_conversation(self, sid: str, user_id: str | None = None) -> Any:
        """What the routes need of a ServerConversation; None, their 404, unless it is running."""
        return await self._parts.attachments.attach(checked(sid), user_id)

    async def detach_from_conversation(self, conversation: Any) -> None:
        """Nothing is held by having attached."""

    # --- not here: clients connect to the nested server

    async def join_conversation(
        self, sid: str, connection_id: str, settings: Any, user_id: str | None
    ) -> Any:
        """Refuses the socket; a ValueError as well."""
        raise Unsupported(UNSUPPORTED)

    async def send_to_event_stream(self, connection_id: str, data: dict[str, Any]) -> None:
        raise Unsupported(UNSUPPORTED)

    async def disconnect_from_session(self, connection_id: str) -> None:
        raise Unsupported(UNSUPPORTED)

    def get_agent_session(self, sid: str) -> Any:
        raise ValueError(UNSUPPORTED)

    async def request_llm_completion(
        self, sid: str, service_id: str, llm_config: Any, messages: list[dict[str, str]]
    ) -> str:
        """Ask the user's LLM from here: it needs nothing of the conversation."""
        registry = LLMRegistry(self.config)
        return str(
            await call_sync_from_async(
                registry.request_extraneous_completion, service_id, llm_config, messages
            )
        )

    # --- inside

    @property
    def _parts(self) -> ManagerParts:
        if self._entered is None:
            raise RuntimeError("the manager is not entered: use it within `async with`")
        return self._entered

    async def _conversation_store(self, user_id: str | None) -> Any:
        store_class = get_impl(ConversationStore, self.server_config.conversation_store_class)
        return await store_class.get_instance(self.config, user_id)
