"""Session keys: read by name when needed, checked against the status, kept in memory only."""

from hashlib import sha256

from conversations.api.conversation import Conversation
from conversations.api.labels import SESSION_KEY
from conversations.api.reasons import Reason
from conversations.client.calls import Calls
from conversations.core.errors import ConversationNotReady
from conversations.core.names import children_name
from conversations.runtime.deadline import Deadline


class SessionKeys:
    """One key per (conversation uid, key hash).  Its repr and errors never hold one."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._keys: dict[str, tuple[str, str]] = {}

    async def get_key(self, conversation: Conversation, until: Deadline) -> str:
        """The key of a conversation whose status names its hash."""
        uid, wanted = conversation.metadata.uid, conversation.status.session_key_hash or ""
        cached_hash, key = self._keys.get(uid, ("", ""))
        if wanted and cached_hash == wanted:
            return key
        # The name follows from the uid: no status can make us read another Secret.
        found = await self._calls.get_secret_value(children_name(uid), SESSION_KEY, until)
        if found is None or sha256(found).hexdigest() != wanted:
            raise ConversationNotReady(
                Reason.SESSION_KEY_LOST,
                "the Secret with the session key is gone, or is not the one that the status speaks of",
            )
        # Only now: an error about bytes that are no text would carry them.
        key = found.decode()
        self._keys[uid] = (wanted, key)
        return key

    def known_key(self, uid: str, key_hash: str) -> str | None:
        """The key of that hash, if it was read before."""
        cached_hash, key = self._keys.get(uid, ("", ""))
        return key if key_hash and cached_hash == key_hash else None

    def forget(self, uid: str) -> None:
        """Read it from the Secret next time."""
        self._keys.pop(uid, None)
