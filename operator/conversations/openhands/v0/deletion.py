"""Delete a conversation with everything that was kept of it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from openhands.storage.locations import (
    get_conversation_dir,
    get_conversation_events_dir,
    get_conversation_metadata_filename,
)
from openhands.utils.async_utils import call_sync_from_async

from conversations.client.watched import Watched
from conversations.core.errors import ConversationError
from conversations.openhands.v0.sids import check_sid

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""A drain may be under way; it ends before."""
SWEEP_SECONDS = 5.0
MAX_ROUNDS = 1000
"""An S3 store lists and deletes a thousand files at a time."""


class Deleting(Protocol):
    """What is needed of the installation."""

    async def find_live(self, sid: str) -> Watched | None: ...
    async def delete(self, sid: str) -> None: ...


class Deletion:
    """Ends conversations for good."""

    def __init__(
        self, installation: Deleting, forget: Callable[[str], Awaitable[None]], file_store: Any
    ) -> None:
        self._installation = installation
        self._forget = forget
        self._file_store = file_store
        self._sweeps: set[asyncio.Task[None]] = set()

    async def delete(self, sid: str) -> None:
        """
        Delete the Conversation, and what is mirrored of its history; neither need exist.

        The owner references take pod, Secrets and volume down.  ValueError for a sid that could
        name somebody else's files.
        """
        check_sid(sid)
        known = await self._installation.find_live(sid)
        metadata = await self._metadata(sid)
        remains = Remains(sid, metadata, frozenset({known and known.user, metadata.get("user_id")}))
        await self._installation.delete(sid)
        await self._silence(sid)
        await self._remove(remains)
        sweep = asyncio.create_task(self._sweep(remains))
        self._sweeps.add(sweep)
        sweep.add_done_callback(self._sweeps.discard)

    async def stop(self) -> None:
        """Leave no task behind."""
        for sweep in self._sweeps:
            sweep.cancel()
        await asyncio.gather(*self._sweeps, return_exceptions=True)

    async def _silence(self, sid: str) -> None:
        """A page of events under way would otherwise be written behind the deletion's back."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._forget(sid)
        except TimeoutError:
            logger.warning("conversation %r: its mirror is still busy with it", sid)

    async def _sweep(self, remains: "Remains") -> None:
        """
        Delete what another server wrote, which learnt of the deletion a moment later.

        Not where there is a new conversation of this id by now.
        """
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            if await self._installation.find_live(remains.sid) is not None:
                return
            if (await self._metadata(remains.sid)) in ({}, remains.metadata):
                await self._remove(remains)
        except (OSError, ConversationError) as error:
            logger.warning("conversation %r: not looked at again: %s", remains.sid, error)

    async def _remove(self, remains: "Remains") -> None:
        for user in remains.users:
            await call_sync_from_async(remove_history, self._file_store, remains.sid, user)
        # The metadata goes last: without it the route thinks that there is nothing to delete.
        await call_sync_from_async(remove_history, self._file_store, remains.sid, None)

    async def _metadata(self, sid: str) -> dict[str, Any]:
        """What says which conversation of this id it is, and whose; nothing where nothing is kept."""
        path = get_conversation_metadata_filename(sid)
        try:
            metadata = json.loads(await call_sync_from_async(self._file_store.read, path))
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(metadata, dict):
            return {}
        return {name: metadata.get(name) for name in ("user_id", "created_at")}


@dataclass(frozen=True, slots=True)
class Remains:
    """What a deleted conversation left: its metadata, and whose histories it has."""

    sid: str
    metadata: dict[str, Any]
    owners: frozenset[Any]

    @property
    def users(self) -> list[str]:
        return [owner for owner in self.owners if isinstance(owner, str) and owner]


def remove_history(file_store: Any, sid: str, user: str | None) -> None:
    """Delete every file of the conversation; OSError if the store keeps some."""
    if user is not None and ".." in user.split("/"):
        return  # Nothing of ours is ever written there.
    directory = get_conversation_dir(sid, user)
    left = _files(file_store, sid, user)
    for _ in range(MAX_ROUNDS):
        if not left:
            return
        file_store.delete(directory)
        before, left = left, _files(file_store, sid, user)
        if left == before:
            break
    raise OSError(f"the file store keeps files of {directory}: {len(left)} or more")


def _files(file_store: Any, sid: str, user: str | None) -> set[str]:
    # The directory's own entries may stay the same although a thousand of the events are gone.
    return _list(file_store, get_conversation_dir(sid, user)) | _list(
        file_store, get_conversation_events_dir(sid, user)
    )


def _list(file_store: Any, directory: str) -> set[str]:
    try:
        return set(file_store.list(directory))
    except FileNotFoundError:
        return set()
