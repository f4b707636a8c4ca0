"""What the outer server's lists say about a conversation, kept as true as its history."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from openhands.storage.conversation.conversation_store import ConversationStore
from openhands.utils.conversation_summary import get_default_conversation_title

from conversations.openhands.v0.facts import Facts
from conversations.openhands.v0.follower import Follower, Nested

ConversationStores = Callable[[str | None], Awaitable[ConversationStore]]
"""The store of a user's metadata."""

KEEP_SECONDS = 5.0
"""Metadata is written no more often than this, while events come."""
MAX_STORES = 128
TITLE_LOOKS = 12
"""A title is made by an LLM after the first message: how often to look for it, once all is quiet."""
MAX_TITLE = 200


class Stores:
    """
    The stores of some users, kept open.

    OpenHands makes one for each request; with S3 that is a client, and a client is a tenth of a second.
    """

    def __init__(self, open_store: ConversationStores) -> None:
        self._open_store = open_store
        self._stores: dict[str | None, ConversationStore] = {}

    async def get(self, user_id: str | None) -> ConversationStore:
        if user_id not in self._stores:
            if len(self._stores) >= MAX_STORES:
                self._stores.clear()
            self._stores[user_id] = await self._open_store(user_id)
        return self._stores[user_id]

    def drop(self, user_id: str | None) -> None:
        """It failed: the next call gets another one."""
        self._stores.pop(user_id, None)


class MetadataKeeper:
    """One conversation's metadata: written when there is news, never made."""

    def __init__(self, follower: Follower, stores: Stores) -> None:
        self._follower = follower
        self._stores = stores
        self._kept = Facts()
        self._kept_time = 0.0
        self._looks_left = TITLE_LOOKS
        self._saving = asyncio.Lock()

    async def close(self) -> None:
        """Return when nothing is being written; the follower, closed before, sees to it that nothing will."""
        async with self._saving:
            pass

    async def keep(self, nested: Nested, *, last: bool = False) -> None:
        """Write what has changed; at once if this is the last look at the pod, or else in due time."""
        facts = self._follower.facts
        if facts != self._kept and self._looks_left:
            self._looks_left = TITLE_LOOKS
        if facts == self._kept and not self._looks_left:
            return
        if not last and time.monotonic() - self._kept_time < KEEP_SECONDS:
            return
        told = await self._ask(nested, facts)
        self._kept_time = time.monotonic()
        async with self._saving:
            if await self._save(facts, told):
                self._kept = facts

    async def _ask(self, nested: Nested, facts: Facts) -> dict[str, Any]:
        news = facts != self._kept
        if not self._looks_left and not (facts.git_used and news):
            return {}
        self._looks_left = max(0, self._looks_left - 1)
        return await nested.get_conversation(self._follower.sid) or {}

    async def _save(self, facts: Facts, told: dict[str, Any]) -> bool:
        """Whether there is metadata: what was deleted must not come back, what is away may."""
        user_id = self._follower.user_id
        try:
            await self._improve(await self._stores.get(user_id), facts, told)
        except FileNotFoundError:
            return False
        except Exception:
            self._stores.drop(user_id)
            raise
        return True

    async def _improve(self, store: ConversationStore, facts: Facts, told: dict[str, Any]) -> None:
        metadata = await store.get_metadata(self._follower.sid)
        if improve(metadata, facts, told) and not self._follower.is_closed:
            await store.save_metadata(metadata)
        if metadata.title != get_default_conversation_title(self._follower.sid):
            self._looks_left = 0


def improve(metadata: Any, facts: Facts, told: dict[str, Any]) -> bool:
    """
    Bring metadata up to what the events and the nested server say; whether anything changed.

    What a person wrote stays: a title is taken over only while there is none but the default.
    """
    before = vars(metadata).copy()
    if facts.last_time is not None:
        now = datetime.now(UTC)
        metadata.last_updated_at = max(_aware(metadata.last_updated_at), min(facts.last_time, now))
    if facts.spent is not None:
        metadata.accumulated_cost = facts.spent.cost
        metadata.prompt_tokens = facts.spent.prompt_tokens
        metadata.completion_tokens = facts.spent.completion_tokens
        metadata.total_tokens = facts.spent.prompt_tokens + facts.spent.completion_tokens
    default = get_default_conversation_title(metadata.conversation_id)
    if metadata.title in (None, default) and is_text(told.get("title")):
        metadata.title = told["title"]
    if facts.git_used and is_text(told.get("selected_branch")):
        metadata.selected_branch = told["selected_branch"]
    return vars(metadata) != before


def _aware(known: datetime | None) -> datetime:
    if known is None:
        return datetime.min.replace(tzinfo=UTC)
    return known.replace(tzinfo=UTC) if known.tzinfo is None else known


def is_text(value: object) -> bool:
    """Whether a pod's word may stand in a list that people read."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TITLE or value.isspace():
        return False
    return value.isprintable()
