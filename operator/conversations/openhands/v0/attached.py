"""
What `attach_to_conversation` gives: enough of a ServerConversation for the routes that take one.

Those are zip-directory, git, vscode-url, web-hosts, config, events, message and submit-feedback of
OpenHands 1.4 to 1.6.  The runtime is in its pod; these are the questions that they put to it.
"""

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
from openhands.core.exceptions import AgentRuntimeUnavailableError
from openhands.events.event_store import EventStore

from conversations.client.watched import Watched
from conversations.core.errors import ConversationError
from conversations.openhands.v0.addresses import AddressBook, Addresses
from conversations.openhands.v0.nested import Call, NestedServers, Runtimes, is_text, read_json

GIT_SECONDS = 60.0
ZIP_SECONDS = 900.0
MAX_ZIP_BYTES = 4 * 1024**3
CHUNK = 1 << 20
BRIDGE_SECONDS = 5.0
"""A thread waits this much longer than what it waits for: only a loop that has died lets it."""

T = TypeVar("T")

UNAVAILABLE = (ValueError, httpx.HTTPError, ConversationError)


@dataclass(frozen=True, slots=True)
class AttachedConversation:
    """A conversation whose runtime could serve a request when it was attached."""

    sid: str
    user_id: str | None
    runtime: "AttachedRuntime"
    event_stream: Any
    """The history in the outer file store."""
    security_analyzer: None = None


class Known(Runtimes, Protocol):
    """What is needed of the installation."""

    def find(self, sid: str) -> Watched | None: ...
    def is_running(self, watched: Watched) -> bool: ...


class Attachments:
    """Attaches to conversations of this installation."""

    def __init__(self, installation: Known, file_store: Any, config: Any) -> None:
        self._installation = installation
        self._nested = NestedServers(installation)
        self._file_store = file_store
        self._config = config
        self._addresses = AddressBook(self._nested)

    async def attach(self, sid: str, user_id: str | None = None) -> AttachedConversation | None:
        """None, the routes' 404, unless it is this user's and can serve a request now."""
        found = self._installation.find(sid)
        if found is None or not self._installation.is_running(found):
            return None
        if (found.user or None) != (user_id or None):
            return None
        addresses = await self._addresses.look_up(sid, found.pod_uid or "")
        runtime = AttachedRuntime(self._nested, found, addresses, self._config)
        history = EventStore(sid, self._file_store, user_id)
        return AttachedConversation(sid, user_id, runtime, history)


class AttachedRuntime:
    """
    The runtime of one conversation, in its pod.

    The methods block: the routes call them in threads.  AgentRuntimeUnavailableError, for which the
    routes have an answer, is all that they raise.
    """

    security_analyzer = None

    def __init__(
        self, nested: NestedServers, conversation: Watched, addresses: Addresses, config: Any
    ) -> None:
        self.sid = conversation.session_id
        self.runtime_id = conversation.metadata.name
        self.config = config
        self._nested = nested
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()

    @property
    def vscode_url(self) -> str | None:
        """What the nested server says; the routes ask on the event loop, so it was asked before."""
        return self._addresses.vscode_url.read()

    @property
    def web_hosts(self) -> dict[str, int]:
        """As vscode_url."""
        return self._addresses.web_hosts.read()

    def copy_from(self, path: str) -> Path:
        """The workspace as a zip in a temporary file, which the caller deletes."""
        handle, name = tempfile.mkstemp(suffix=".zip")
        try:
            with os.fdopen(handle, "wb") as file:
                self._wait(self._download(file), ZIP_SECONDS)
        except BaseException:
            os.unlink(name)
            raise
        return Path(name)

    def get_git_changes(self, cwd: str) -> list[dict[str, str]] | None:
        """Changed files; None where the workspace is no git repository."""
        response = self._wait(self._ask("git/changes", None), GIT_SECONDS)
        changes = read_json(response)
        if response.status_code == 404 and changes == {"error": "Not a git repository"}:
            return None
        if response.status_code != 200 or not _are_changes(changes):
            raise _refusal(response, changes)
        return list(changes)

    def get_git_diff(self, file_path: str, cwd: str) -> dict[str, str]:
        """The file before and after."""
        response = self._wait(self._ask("git/diff", {"path": file_path}), GIT_SECONDS)
        diff = read_json(response)
        if response.status_code != 200 or not isinstance(diff, dict) or not is_text(*diff.values()):
            raise _refusal(response, diff)
        return diff

    async def _ask(self, name: str, params: dict[str, str] | None) -> httpx.Response:
        return await self._nested.ask(Call(self.sid, name, GIT_SECONDS, params))

    async def _download(self, file: Any) -> None:
        size = 0
        async with self._nested.stream(Call(self.sid, "zip-directory", ZIP_SECONDS)) as response:
            if response.status_code != 200:
                raise AgentRuntimeUnavailableError(f"the runtime answered {response.status_code}")
            async for chunk in response.aiter_raw(CHUNK):
                size += len(chunk)
                if size > MAX_ZIP_BYTES:
                    raise AgentRuntimeUnavailableError(
                        f"the workspace's zip is larger than {MAX_ZIP_BYTES} bytes"
                    )
                await asyncio.to_thread(file.write, chunk)

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        if _runs_here(self._loop):
            work.close()
            raise RuntimeError("this blocks, and must not be called on the event loop")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds + BRIDGE_SECONDS)
        except TimeoutError:
            future.cancel()
            raise AgentRuntimeUnavailableError("the runtime did not answer in time") from None
        except UNAVAILABLE as error:
            raise AgentRuntimeUnavailableError(str(error)) from None


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _are_changes(changes: object) -> bool:
    return isinstance(changes, list) and all(
        isinstance(one, dict) and is_text(*one.values()) for one in changes
    )


def _refusal(response: httpx.Response, answer: object) -> AgentRuntimeUnavailableError:
    said = answer.get("error") if isinstance(answer, dict) else None
    words = f": {said}" if isinstance(said, str) and is_text(said) else ""
    if response.status_code == 200:
        words = " what makes no sense"
    return AgentRuntimeUnavailableError(f"the runtime answered {response.status_code}{words}"[:500])
