"""Delete a conversation with everything that was kept of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from openhands.storage.locations import (
    get_conversation_dir,
    get_conversation_events_dir,
    get_conversation_metadata_filename,
)
from openhands.utils.async_utils import call_sync_from_async

from conversations.client.watched import Watched
from conversations.openhands.v0.sids import check_sid

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

    async def delete(self, sid: str) -> None:
        """
        Delete the Conversation, and what is mirrored of its history; neither need exist.

        The owner references take pod, Secrets and volume down.  ValueError for a sid that could
        name somebody else's files.
        """
        check_sid(sid)
        known = await self._installation.find_live(sid)
        users = {known.user if known else None, await self._metadata_user(sid)} - {None}
        await self._installation.delete(sid)
        # A page of events under way would otherwise be written behind the deletion's back.
        await self._forget(sid)
        # The metadata goes last: without it the route thinks that there is nothing to delete.
        for user in (*users, None):
            await call_sync_from_async(remove_history, self._file_store, sid, user)

    async def _metadata_user(self, sid: str) -> str | None:
        path = get_conversation_metadata_filename(sid)
        try:
            metadata = json.loads(await call_sync_from_async(self._file_store.read, path))
        except (FileNotFoundError, ValueError):
            return None
        user = metadata.get("user_id") if isinstance(metadata, dict) else None
        return user if isinstance(user, str) else None


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
