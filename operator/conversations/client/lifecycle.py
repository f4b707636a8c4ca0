"""Start, wait, pause, resume, close: what changes a Conversation, and what waits for it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from conversations.api.conversation import Conversation
from conversations.api.labels import DRAINED_POD, INSTALLATION
from conversations.client.cache import ConversationCache
from conversations.client.calls import Calls
from conversations.client.inputs import Hashes, InputSecrets, Packed
from conversations.client.watched import Watched
from conversations.core.errors import ConversationNotFound, SessionConflict
from conversations.core.names import object_name
from conversations.runtime.deadline import Deadline

LOOK_AGAIN_SECONDS = 30.0
"""Waiting follows the watch; should that be silent, the API server is asked this often."""
GONE_SECONDS = 2.0
"""The same for a predecessor's end, which the watch may not tell: few wait for one, and not long."""

RESUMED = {"mode": "Running", "image": None, "resourceFactor": 1}
"""What a wish that resumes says of one that is there, and what each is where nothing is said."""

WhyNot = Callable[[Conversation], str | None]


@dataclass(frozen=True)
class Wish:
    """What a conversation is to be.  One that is there is made to have these settings and env."""

    spec: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Packed = field(default_factory=dict, repr=False)
    resumes: bool = False
    """One that is there is to run, from its next start on with image and size of the spec; in a new
    pod if it was to be paused, because the old one may have been told to stop already."""


@dataclass(frozen=True)
class _Patch:
    spec: dict[str, Any]
    annotations: dict[str, str] = field(default_factory=dict)


class Lifecycle:
    """Every method takes the deadline within which its caller runs it."""

    def __init__(self, calls: Calls, cache: ConversationCache, inputs: InputSecrets) -> None:
        self._calls = calls
        self._cache = cache
        self._inputs = inputs

    async def start(self, session_id: str, wish: Wish, until: Deadline) -> Watched:
        """
        The conversation of this session, made if there is none.

        The create decides, whoever else is trying: its name follows from the session id.
        """
        while True:
            known = self._cache.find(session_id)
            name = known.metadata.name if known else object_name(session_id)
            if known is None and (created := await self._create(name, wish, until)):
                self._cache.observe(created)
                return created
            existing = await self._calls.get_conversation(name, until)
            if existing is None:
                self._forget(known)
            elif existing.is_terminating:
                until.news = f"an earlier conversation {name} is still being deleted"
                await self._wait_change(session_id, GONE_SECONDS)
            else:
                check_same(existing, session_id, wish.spec, wish.labels)
                self._cache.observe(existing)
                return await self._bring_up_to_date(existing, wish, until)

    async def find(self, session_id: str, until: Deadline) -> Watched:
        """From the cache, or else from the API server: somebody may have started it just now."""
        if known := self._cache.find(session_id):
            return known
        live = await self._calls.get_conversation(object_name(session_id), until)
        if live is None or live.is_terminating or live.session_id != session_id:
            raise ConversationNotFound(f"there is no conversation of session {session_id!r}")
        self._cache.observe(live)
        return live

    async def reload(self, conversation: Conversation, until: Deadline) -> Conversation:
        """The same conversation as it is now; ConversationNotFound if that very one is gone."""
        live = await self._calls.get_conversation(conversation.metadata.name, until)
        if live is None or live.metadata.uid != conversation.metadata.uid:
            raise ConversationNotFound(f"{conversation.session_id!r} was deleted")
        self._cache.observe(live)
        return live.model

    async def set_mode(
        self,
        session_id: str,
        mode: Literal["Running", "Paused"],
        until: Deadline,
        inputs: Packed | None = None,
    ) -> Watched:
        """Write the mode, and the inputs that changed, in one request; none if it is all so."""
        known = await self.find(session_id, until)
        changes: dict[str, Any] = {}
        if known.spec.get("mode", "Running") != mode:
            changes["mode"] = mode
        return await self._change(known, _Patch(changes), inputs or {}, until)

    async def annotate(
        self, target: Watched, annotations: Mapping[str, str], until: Deadline
    ) -> None:
        """Write annotations on that very Conversation; one that is gone needs none."""
        if annotations.items() <= target.metadata.annotations.items():
            return
        written = await self._calls.patch_conversation(target, until, annotations=annotations)
        if written is not None:
            self._cache.observe(written)

    async def close(self, session_id: str, until: Deadline) -> None:
        """Delete that very conversation, by uid; a missing one is as good."""
        try:
            known = await self.find(session_id, until)
        except ConversationNotFound:
            return
        await self._inputs.discard(known, until)
        await self._calls.delete_conversation(known, until)
        self._cache.hide(known)

    async def wait(self, session_id: str, why_not: WhyNot, until: Deadline) -> Conversation:
        """Return when `why_not` has nothing to say; what it raises ends the wait."""
        known = await self.find(session_id, until)
        while True:
            conversation = known.model
            news = why_not(conversation)
            if news is None:
                return conversation
            until.news = news
            if not await self._wait_change(session_id, LOOK_AGAIN_SECONDS):
                await self.reload(conversation, until)
            # Nothing is awaited between this look and the next wait, so no change is missed.
            latest = self._cache.find(session_id)
            if latest is None:
                raise ConversationNotFound(f"{session_id!r} was deleted")
            known = latest

    async def _create(self, name: str, wish: Wish, until: Deadline) -> Watched | None:
        hashes = await self._inputs.offer(name, wish.inputs, until)
        if hashes is None:
            return None
        spec = {**wish.spec, "inputs": hashes} if hashes else wish.spec
        return await self._calls.create_conversation(name, spec, wish.labels, until)

    async def _bring_up_to_date(self, existing: Watched, wish: Wish, until: Deadline) -> Watched:
        changes: dict[str, Any] = {}
        if wish.resumes:
            wanted = {name: wish.spec.get(name, value) for name, value in RESUMED.items()}
            changes = {
                name: value
                for name, value in wanted.items()
                if existing.spec.get(name, RESUMED[name]) != value
            }
        patch = _Patch(changes)
        if (
            "mode" in changes
            and existing.pod_uid
            and existing.status.get("workspace") != "emptyDir"
        ):
            # Whoever paused it may have stopped what runs there, and crashed before he could say so.
            patch.annotations[DRAINED_POD] = existing.pod_uid
        return await self._change(existing, patch, wish.inputs, until)

    async def _change(
        self, target: Watched, patch: _Patch, inputs: Packed, until: Deadline
    ) -> Watched:
        hashes = await self._inputs.replace(target, inputs, until)
        while patch.spec or hashes:
            spec = patch.spec | ({"inputs": dict(hashes)} if hashes else {})
            written = await self._calls.patch_conversation(
                target, until, spec=spec, annotations=patch.annotations
            )
            if written is None:
                self._cache.hide(target)
                raise ConversationNotFound(f"{target.session_id!r} was deleted")
            self._cache.observe(written)
            target, patch = written, _Patch({})
            hashes = await self._overtaken(target, hashes, until)
        return target

    async def _overtaken(self, target: Watched, named: Hashes, until: Deadline) -> Hashes:
        """What others have written since: they may have named theirs before we named ours."""
        newer: dict[Any, str | None] = {}
        for kind, ours in named.items():
            if ours is not None:
                there = await self._inputs.read_hash(target.metadata.name, kind, until)
                if there not in (ours, None):
                    newer[kind] = there
        return newer

    def _forget(self, known: Watched | None) -> None:
        if known is not None:
            self._cache.hide(known)

    async def _wait_change(self, session_id: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._cache.wait_change(session_id)
        except TimeoutError:
            return False
        return True


def check_same(
    existing: Watched,
    session_id: str,
    spec: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
) -> None:
    """SessionConflict unless this is the conversation that the caller means."""
    wanted = {"session id": session_id, "user": spec.get("user"), "template": spec["template"]}
    found = {
        "session id": existing.session_id,
        "user": existing.user,
        "template": existing.spec.get("template", "default"),
    }
    if labels and INSTALLATION in labels:
        wanted["installation"] = labels[INSTALLATION]
        found["installation"] = existing.installation
    for what, value in wanted.items():
        if found[what] != value:
            raise SessionConflict(
                f"conversation {existing.metadata.name} exists with another {what}: "
                "use that one's, close it first, or choose another session id"
            )
