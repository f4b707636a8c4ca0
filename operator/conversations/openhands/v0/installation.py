"""
The Conversations of one OpenHands installation, and the way to their pods.

Whoever else makes Conversations in the namespace, this sees and changes only what carries its label.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from conversations.api.labels import DRAINED_POD, INSTALLATION
from conversations.client.conditions import why_not_paused
from conversations.client.inputs import Inputs
from conversations.client.lifecycle import Wish
from conversations.client.parts import Arguments, Parts
from conversations.client.runtimes import RuntimeKind
from conversations.client.watched import Watched
from conversations.core.errors import ConversationNotFound
from conversations.openhands.v0 import statuses
from conversations.openhands.v0.config import ManagerSettings
from conversations.runtime.deadline import Deadline, deadline
from conversations.runtime.openhands_v0 import OpenHandsV0

OPEN_SECONDS = 60.0
CALL_SECONDS = 20.0
MAX_OPEN_RUNTIMES = 1024
"""All that run are asked for their history, again and again."""

Listener = Callable[[Watched | None, Watched | None], None]


class Installation:
    """Queries are answered from the watch; what this process wrote is seen at once."""

    def __init__(self, parts: Parts[OpenHandsV0], settings: ManagerSettings) -> None:
        self.settings = settings
        self._parts = parts

    @classmethod
    async def open(cls, settings: ManagerSettings) -> Self:
        """Connected, with a complete copy; ConversationError says what keeps it from working."""
        given = Arguments(
            namespace=settings.namespace,
            kubeconfig=settings.kubeconfig,
            context=settings.context,
            access=settings.access,
            kubectl="kubectl",
        )
        kind = RuntimeKind(OpenHandsV0, max_idle=MAX_OPEN_RUNTIMES)
        async with deadline(OPEN_SECONDS, "first look at the cluster"):
            return cls(await Parts.open(given, kind), settings)

    async def aclose(self) -> None:
        """Let go of the cluster.  The conversations go on."""
        await self._parts.aclose()

    # --- find

    def find(self, sid: str) -> Watched | None:
        """The conversation, or None if this installation has none of that id."""
        return self._ours(self._parts.cache.find(sid))

    def select(
        self, user_id: str | None = None, sids: Collection[str] | None = None
    ) -> list[Watched]:
        """Those of a user, or with these ids, one of each id; None does not filter."""
        found = self._parts.cache.select(user_id, sids, self.settings.installation)
        if len({watched.session_id for watched in found}) == len(found):
            return found
        return [watched for watched in found if self.find(watched.session_id) is watched]

    def is_running(self, watched: Watched) -> bool:
        """Whether it can serve a request now."""
        return statuses.is_running(watched)

    def on_change(self, listener: Listener) -> None:
        """Call it at every change of ours from now on; it must be quick."""

        def told(old: Watched | None, new: Watched | None) -> None:
            before, after = self._ours(old), self._ours(new)
            if before is not None or after is not None:
                listener(before, after)

        self._parts.cache.on_change(told)

    # --- change

    async def start(self, sid: str, spec: Mapping[str, Any], inputs: Inputs) -> Watched:
        """Running, with these inputs: made, resumed or left alone, in as few writes as that takes."""
        labels = {INSTALLATION: self.settings.installation}
        # A large replay takes a second to pack, in which nobody else must wait.
        packed = await asyncio.to_thread(inputs.pack)
        wish = Wish(spec, labels, packed, resumes=True)
        async with deadline(CALL_SECONDS, f"start of {sid!r}") as until:
            return await self._parts.lifecycle.start(sid, wish, until)

    async def find_live(self, sid: str) -> Watched | None:
        """As `find`, but another process may have made it a moment ago."""
        try:
            async with deadline(CALL_SECONDS, f"look for {sid!r}") as until:
                return self._ours(await self._parts.lifecycle.find(sid, until))
        except ConversationNotFound:
            return None

    async def pause(self, watched: Watched) -> Watched:
        """Ask for a pause; from now on it does not count as running."""
        sid = watched.session_id
        async with deadline(CALL_SECONDS, f"pause of {sid!r}") as until:
            return await self._parts.lifecycle.set_mode(sid, "Paused", until)

    async def resume(self, watched: Watched) -> Watched:
        """Take the wish for a pause back."""
        sid = watched.session_id
        async with deadline(CALL_SECONDS, f"resume of {sid!r}") as until:
            return await self._parts.lifecycle.set_mode(sid, "Running", until)

    async def wait_paused(self, sid: str, seconds: float) -> None:
        """Return when the pod is gone.  ConversationFailed where the pause is refused."""
        async with deadline(seconds, f"pause of {sid!r}") as until:
            await self._parts.lifecycle.wait(sid, why_not_paused, until)

    async def wait_change(self, sid: str) -> None:
        """Return after the next change of it that the watch brings."""
        await self._parts.cache.wait_change(sid)

    async def mark_drained(self, watched: Watched, pod_uid: str) -> None:
        """Let the operator remove that pod: what is in it was saved."""
        async with deadline(CALL_SECONDS, f"mark of {watched.session_id!r}") as until:
            await self._parts.lifecycle.annotate(watched, {DRAINED_POD: pod_uid}, until)

    async def delete(self, sid: str) -> None:
        """Delete it, running or paused, with pod, key and workspace; a missing one is as good."""
        if await self.find_live(sid) is None:
            return
        async with deadline(CALL_SECONDS, f"delete of {sid!r}") as until:
            await self._parts.lifecycle.close(sid, until)

    # --- talk to

    @asynccontextmanager
    async def runtime(self, sid: str, seconds: float) -> AsyncIterator[OpenHandsV0]:
        """The nested server; ValueError unless the conversation is Ready."""
        found = self.find(sid)
        if found is None or not statuses.is_running(found):
            raise ValueError(f"Conversation {sid} is not running")
        async with deadline(seconds, f"request to {sid!r}") as until:
            async with self._parts.runtimes.use(found.model, until) as server:
                yield server

    @asynccontextmanager
    async def draining_runtime(
        self, watched: Watched, seconds: float
    ) -> AsyncIterator[OpenHandsV0]:
        """The nested server for as long as there is a pod, also on its way to a pause."""
        async with deadline(seconds, f"drain of {watched.session_id!r}") as until:
            async with self._parts.runtimes.use(watched.model, until, while_pausing=True) as server:
                yield server

    # --- keys

    def known_key(self, watched: Watched) -> str | None:
        """The session key, if it was read before."""
        return self._parts.keys.known_key(watched.metadata.uid, _key_hash(watched))

    async def read_key(self, watched: Watched, until: Deadline) -> None:
        """Read the session key, for `known_key`."""
        await self._parts.keys.get_key(watched.model, until)

    def _ours(self, found: Watched | None) -> Watched | None:
        if found is None or found.installation != self.settings.installation:
            return None
        return found


def _key_hash(watched: Watched) -> str:
    return watched.status.get("sessionKeyHash") or ""
