"""The client: start, find, talk to and close conversations from asyncio."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from typing import Self

import msgspec

from conversations.api.conversation import Conversation
from conversations.client.access import AccessMode, check_access_mode
from conversations.client.conditions import is_running, why_not_paused, why_not_ready
from conversations.client.inputs import Inputs
from conversations.client.lifecycle import Wish
from conversations.client.parts import Arguments, Parts
from conversations.client.runtimes import RuntimeKind
from conversations.core.errors import ConversationFailed, InvalidRequest
from conversations.runtime.agent_server import (
    LIST_SECONDS,
    TRANSFER_SECONDS,
    WORKSPACE,
    AgentServer,
)
from conversations.runtime.deadline import deadline
from conversations.runtime.download import FileStream
from conversations.runtime.files import Content, FileList, UploadedFile
from conversations.runtime.paths import normalize_root

CALL_SECONDS = 60.0
READY_SECONDS = 300.0
PAUSE_SECONDS = 120.0


class Conversations:
    """
    The conversations of one namespace.

    async with Conversations(namespace="agents") as conversations:
        await conversations.start("my-session", user="ada")
        await conversations.wait_ready("my-session")

    One watch keeps a copy of them all, so finding and listing cost no request; what this client
    wrote is seen at once.  Every call has a deadline in seconds and raises ConversationError's
    children, whose messages say what to do.  Use it in one event loop.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        kubeconfig: str | PathLike[str] | None = None,
        context: str | None = None,
        access: AccessMode = "auto",
        kubectl: str = "kubectl",
        workspace: str = WORKSPACE,
    ) -> None:
        self._given = Arguments(
            namespace=namespace,
            kubeconfig=None if kubeconfig is None else str(kubeconfig),
            context=context,
            access=check_access_mode(access),
            kubectl=kubectl,
        )
        self._kind = RuntimeKind(partial(AgentServer, workspace=normalize_root(workspace)))
        self._opened: Parts[AgentServer] | None = None

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise RuntimeError("this client is open already: make another one, or share this")
        async with deadline(CALL_SECONDS, "first look at the cluster"):
            self._opened = await Parts.open(self._given, self._kind)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching and close every connection and tunnel.  Conversations go on."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    # --- find

    async def get(self, session_id: str) -> Conversation | None:
        """The conversation of a session, or None."""
        found = self._parts.cache.find(session_id)
        return None if found is None else found.model

    async def list(
        self, *, user: str | None = None, session_ids: Collection[str] | None = None
    ) -> list[Conversation]:
        """All conversations, or those of a user, or of these sessions; an empty collection: none."""
        models = []
        for number, found in enumerate(self._parts.cache.select(user, session_ids)):
            models.append(found.model)
            if number % 200 == 199:
                await asyncio.sleep(0)  # Thousands at once would hold up the event loop.
        return models

    async def is_running(self, session_id: str) -> bool:
        """Whether it can serve a request now."""
        found = self._parts.cache.find(session_id)
        return found is not None and is_running(found.model)

    # --- change

    async def start(
        self,
        session_id: str,
        *,
        user: str | None = None,
        template: str = "default",
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        inputs: Inputs | None = None,
        labels: Mapping[str, str] | None = None,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Conversation:
        """
        Ask for a conversation; asking twice for the same one returns the one that is there.

        SessionConflict if it belongs to another user or template.  A paused one stays paused.
        Of one that is there, settings and env of the inputs are replaced where they differ.
        """
        spec = build_spec(session_id, user=user, template=template, image=image, env=env)
        wish = Wish(spec, labels or {}, (inputs or Inputs()).pack())
        async with deadline(timeout_seconds, f"start of {session_id!r}") as until:
            return (await self._parts.lifecycle.start(session_id, wish, until)).model

    async def wait_ready(
        self, session_id: str, *, timeout_seconds: float = READY_SECONDS
    ) -> Conversation:
        """
        Return the conversation once it can serve requests.

        ConversationFailed with the reason if it never will, ConversationNotReady if it is paused,
        DeadlineExceeded with the last reason, ConversationNotFound if it is deleted.
        """
        async with deadline(timeout_seconds, f"{session_id!r} becoming ready") as until:
            return await self._parts.lifecycle.wait(session_id, why_not_ready, until)

    async def pause(
        self, session_id: str, *, wait: bool = True, timeout_seconds: float = PAUSE_SECONDS
    ) -> Conversation:
        """
        Remove the pod; the key and the workspace stay.

        ConversationFailed with reason PauseRefused where files would be lost; it then runs on.
        """
        async with deadline(timeout_seconds, f"pause of {session_id!r}") as until:
            written = await self._parts.lifecycle.set_mode(session_id, "Paused", until)
            if not wait:
                return written.model
            try:
                return await self._parts.lifecycle.wait(session_id, why_not_paused, until)
            except ConversationFailed:
                # A wish that stays would be granted some day, when nobody expects it.
                await self._parts.lifecycle.set_mode(session_id, "Running", until)
                raise

    async def resume(
        self,
        session_id: str,
        *,
        inputs: Inputs | None = None,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Conversation:
        """
        Ask for the pod again, on the same key and workspace; wait_ready says when it is there.

        Settings and env of the inputs are replaced in the same step.
        """
        packed = (inputs or Inputs()).pack()
        async with deadline(timeout_seconds, f"resume of {session_id!r}") as until:
            return (
                await self._parts.lifecycle.set_mode(session_id, "Running", until, packed)
            ).model

    async def close(self, session_id: str, *, timeout_seconds: float = CALL_SECONDS) -> None:
        """Delete the conversation with its pod, key and (by the template's policy) workspace."""
        async with deadline(timeout_seconds, f"close of {session_id!r}") as until:
            await self._parts.lifecycle.close(session_id, until)

    # --- files

    async def list_files(
        self,
        session_id: str,
        path: str = "",
        *,
        recursive: bool = False,
        timeout_seconds: float = LIST_SECONDS,
    ) -> FileList:
        """Entries of a directory of the workspace, with kinds and sizes, sorted by path."""
        async with self._runtime(session_id, "list of files", timeout_seconds) as runtime:
            return await runtime.list_files(
                path, recursive=recursive, timeout_seconds=timeout_seconds
            )

    async def read_file(
        self, session_id: str, path: str, *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> bytes:
        """A whole file as bytes; `read_text` is for text, `open_file` and `download_file` for big ones."""
        async with self.open_file(session_id, path, timeout_seconds=timeout_seconds) as stream:
            return await stream.read()

    async def read_text(
        self, session_id: str, path: str, *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> str:
        """A file of UTF-8 text; UnicodeDecodeError if it is not."""
        return (await self.read_file(session_id, path, timeout_seconds=timeout_seconds)).decode()

    @asynccontextmanager
    async def open_file(
        self, session_id: str, path: str, *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> AsyncIterator[FileStream]:
        """A file as an async iterator of chunks; the deadline covers the `async with` block."""
        async with self._runtime(session_id, f"read of {path!r}", timeout_seconds) as runtime:
            async with runtime.open_file(path, timeout_seconds=timeout_seconds) as stream:
                yield stream

    async def download_file(
        self,
        session_id: str,
        path: str,
        to: str | PathLike[str],
        *,
        timeout_seconds: float = TRANSFER_SECONDS,
    ) -> int:
        """Copy a file to a local path, whole or not at all; returns its size."""
        async with self._runtime(session_id, f"read of {path!r}", timeout_seconds) as runtime:
            return await runtime.download_file(path, to, timeout_seconds=timeout_seconds)

    async def upload_files(
        self,
        session_id: str,
        files: Mapping[str, Content],
        *,
        timeout_seconds: float = TRANSFER_SECONDS,
    ) -> tuple[UploadedFile, ...]:
        """
        Put files into the workspace: bytes, local paths, or async iterators of chunks.

        None of them shows under its name before it is whole and all of them were sent.
        """
        async with self._runtime(session_id, "upload", timeout_seconds) as runtime:
            return await runtime.upload_files(files, timeout_seconds=timeout_seconds)

    # --- inside

    @property
    def _parts(self) -> Parts[AgentServer]:
        if self._opened is None:
            raise RuntimeError("the client is not open: use it within `async with`")
        return self._opened

    @asynccontextmanager
    async def _runtime(
        self, session_id: str, what: str, seconds: float
    ) -> AsyncIterator[AgentServer]:
        async with deadline(seconds, f"{what} of {session_id!r}") as until:
            conversation = (await self._parts.lifecycle.find(session_id, until)).model
            async with self._parts.runtimes.use(conversation, until) as runtime:
                yield runtime


def build_spec(
    session_id: str,
    *,
    user: str | None,
    template: str,
    image: str | None,
    env: Mapping[str, str] | None,
) -> dict[str, object]:
    """The spec of a new Conversation; what is not asked for is left to the API's defaults."""
    spec: dict[str, object] = {"sessionID": session_id, "template": template}
    if user is not None:
        spec["user"] = user
    if image is not None:
        spec["image"] = image
    if env:
        spec["env"] = [{"name": name, "value": value} for name, value in env.items()]
    try:
        msgspec.json.encode(spec)
    except UnicodeEncodeError:
        raise InvalidRequest("a conversation can only be described in valid Unicode") from None
    return spec
