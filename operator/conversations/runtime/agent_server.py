"""The files of one runtime pod that speaks OpenHands' agent-server protocol."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from conversations.core.errors import ConversationError
from conversations.runtime.deadline import deadline
from conversations.runtime.download import FileStream, open_file
from conversations.runtime.files import Content, FileList, UploadedFile
from conversations.runtime.listing import Listing
from conversations.runtime.paths import absolute_path, normalize_root
from conversations.runtime.pod_http import PodHttp
from conversations.runtime.upload import Upload

WORKSPACE = "/workspace/project"
"""The directory that agent-server gives its agents (OH_WORKSPACE_PATH in our templates)."""
KEY_CHECK = "/api/file/home"
CHECK_SECONDS = 30.0
LIST_SECONDS = 60.0
TRANSFER_SECONDS = 900.0
DISCARD_SECONDS = 10.0
MAX_ENTRIES = 100_000


class AgentServer:
    """
    The only pod I/O of files, bound to one pod uid, its url and its session key.

    Every call has a deadline and raises only what core/errors.py lists (and what a caller's own
    iterator or local file raises).  Paths are relative to the workspace, or absolute within it.
    """

    def __init__(self, pod_uid: str, url: str, key: str, *, workspace: str = WORKSPACE) -> None:
        self.pod_uid = pod_uid
        self._root = normalize_root(workspace)
        self._http = PodHttp(url, key)
        self._discards: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"AgentServer(pod_uid={self.pod_uid!r})"

    async def __aenter__(self) -> "AgentServer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish the cleaning up that is under way and close the connections."""
        await asyncio.gather(*self._discards)
        await self._http.aclose()

    async def check_key(self, *, timeout_seconds: float = CHECK_SECONDS) -> None:
        """Unauthorized unless this runtime takes this key; the cheapest request that needs one."""
        async with deadline(timeout_seconds, "first contact"):
            async with self._http.get(KEY_CHECK, {}, "first contact"):
                pass

    async def list_files(
        self,
        path: str = "",
        *,
        recursive: bool = False,
        limit: int = MAX_ENTRIES,
        timeout_seconds: float = LIST_SECONDS,
    ) -> FileList:
        """Entries of a directory, sorted by path; symlinks are listed, not followed."""
        directory = absolute_path(self._root, path)
        async with deadline(timeout_seconds, f"list of {directory!r}"):
            listing = Listing(self._http, self._root, directory)
            return await listing.run(recursive=recursive, limit=limit, seconds=timeout_seconds)

    @asynccontextmanager
    async def open_file(
        self, path: str, *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> AsyncIterator[FileStream]:
        """A file as a stream of chunks.  The deadline covers the whole `async with` block."""
        absolute = absolute_path(self._root, path)
        async with deadline(timeout_seconds, f"read of {absolute!r}"):
            async with open_file(
                self._http, self._root, absolute, seconds=timeout_seconds
            ) as stream:
                yield stream

    async def read_file(self, path: str, *, timeout_seconds: float = TRANSFER_SECONDS) -> bytes:
        """The whole file in memory; use open_file or download_file for big ones."""
        async with self.open_file(path, timeout_seconds=timeout_seconds) as stream:
            return await stream.read()

    async def download_file(
        self, path: str, to: str | os.PathLike[str], *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> int:
        """Copy a file to a local path and return its size; what is at `to` is replaced when whole."""
        async with self.open_file(path, timeout_seconds=timeout_seconds) as stream:
            return await _save(stream, Path(to))

    async def upload_files(
        self, files: Mapping[str, Content], *, timeout_seconds: float = TRANSFER_SECONDS
    ) -> tuple[UploadedFile, ...]:
        """
        Put files into the workspace, making directories as needed and replacing what is there.

        Each appears under its name only when it is whole, and only after all of them were sent.
        """
        upload = Upload(self._http, self._root, list(files))
        try:
            async with deadline(timeout_seconds, "upload"):
                return await upload.run(files, seconds=timeout_seconds)
        except BaseException:
            # Off the caller's path: his deadline may have passed, the pod may be gone.
            task = asyncio.create_task(self._discard(upload))
            self._discards.add(task)
            task.add_done_callback(self._discards.discard)
            raise

    async def _discard(self, upload: Upload) -> None:
        with suppress(ConversationError):
            async with deadline(DISCARD_SECONDS, "clean-up"):
                await upload.discard(seconds=DISCARD_SECONDS)


async def _save(stream: FileStream, target: Path) -> int:
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
    file = await asyncio.to_thread(part.open, "xb")
    try:
        with file:
            async for chunk in stream:
                await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(os.replace, part, target)
    except BaseException:
        part.unlink(missing_ok=True)  # A cancelled replace may have happened all the same.
        raise
    return stream.size
