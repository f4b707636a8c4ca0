"""What OpenHands gets to know about a conversation, out of the watch's copy of it."""

from typing import Any
from urllib.parse import quote

from openhands.events.event_store import EventStore
from openhands.events.nested_event_store import NestedEventStore
from openhands.runtime.runtime_status import RuntimeStatus
from openhands.server.data_models.agent_loop_info import AgentLoopInfo
from openhands.storage.data_models.conversation_status import ConversationStatus

from conversations.client.watched import Watched
from conversations.openhands.v0.installation import Installation
from conversations.openhands.v0.statuses import (
    RUNNING_SET,
    LoopStatus,
    compute_loop_status,
    compute_runtime_status,
)


class LoopInfos:
    """Builds AgentLoopInfo without a request."""

    def __init__(self, installation: Installation, file_store: Any) -> None:
        self._installation = installation
        self._file_store = file_store

    def build(self, watched: Watched) -> Any:
        """The AgentLoopInfo of a conversation; None of one that is paused."""
        status = compute_loop_status(watched)
        if status is None:
            return None
        key = self._installation.known_key(watched) if status is LoopStatus.RUNNING else None
        return AgentLoopInfo(
            conversation_id=watched.session_id,
            url=self._browser_url(watched) if status in RUNNING_SET else None,
            session_api_key=key,
            event_store=self._event_store(watched, key),
            status=ConversationStatus(status.value),
            runtime_status=RuntimeStatus(compute_runtime_status(watched, status)),
        )

    def _event_store(self, watched: Watched, key: str | None) -> Any:
        url = _pod_url(watched)
        if key is None or url is None:
            return EventStore(watched.session_id, self._file_store, watched.user)
        return NestedEventStore(
            base_url=url, sid=watched.session_id, user_id=watched.user, session_api_key=key
        )

    def _browser_url(self, watched: Watched) -> str | None:
        public = self._installation.settings.public_url
        if public is None:
            return _pod_url(watched)
        return f"{public}/{watched.metadata.name}{_path(watched)}"


def _pod_url(watched: Watched) -> str | None:
    """What this process can reach; the gateway may be for browsers only."""
    url = watched.status.get("url")
    return None if not url else f"{url}{_path(watched)}"


def _path(watched: Watched) -> str:
    return f"/api/conversations/{quote(watched.session_id, safe='')}"
