"""
Downloads: the path is resolved in the pod first, then the bytes come with their length.

The runtime's own route would read any file of the container.  What is guarded here is the caller,
against a symlink that the agent made; the agent itself is contained by the pod.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from conversations.core.errors import FileError, FileMissing, NotAFile, RuntimeUnavailable
from conversations.runtime.paths import decode_path, encode_path, is_sendable
from conversations.runtime.pod_http import PodHttp
from conversations.runtime.shell import REMOVE_SCRIPT, Exit, ShellResult, decode_base64, run_script
from conversations.runtime.translation import translated

DOWNLOAD = "/api/file/download"
STREAM_CHUNK = 256 * 1024
MAX_READ_BYTES = 1 << 30
"""The runtime is not trusted: what it says is a file of a terabyte must not end a manager."""

# Arguments: workspace, file.
RESOLVE_SCRIPT = """
decode "$1"; resolve -e "$v" || exit 44
inside || exit 41
[ -f "$r" ] || exit 43
[ -r "$r" ] || exit 46
printf %s "$r" | base64 -w 0
"""

# Arguments: workspace, file.
LINK_SCRIPT = """
decode "$1"; d=$(mktemp -d) && ln -s -- "$v" "$d/file" || exit 47
printf %s "$d" | base64 -w 0
"""


class FileStream:
    """The bytes of one file as they arrive: `async for chunk in stream`.  `size` is known before."""

    def __init__(self, response: httpx.Response, size: int, what: str) -> None:
        self.size = size
        self._response = response
        self._what = what

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks that add up to `size`; RuntimeUnavailable as soon as that cannot be."""
        received = 0
        with translated(self._what):
            async for chunk in self._response.aiter_raw(STREAM_CHUNK):
                received += len(chunk)
                yield chunk
        if received != self.size:
            raise RuntimeUnavailable(
                f"{self._what}: it ended after {received} of {self.size} bytes"
            )

    async def read(self) -> bytes:
        """All of it, in memory; a FileError for more than a manager should take there."""
        if self.size > MAX_READ_BYTES:
            raise FileError(
                f"{self._what}: {self.size} bytes are too many to have in memory: "
                "read it as a stream, or download it to a file"
            )
        return b"".join([chunk async for chunk in self])


@asynccontextmanager
async def open_download(http: PodHttp, path: str, what: str) -> AsyncIterator[FileStream]:
    """The file at an absolute path that was resolved before."""
    async with http.get(DOWNLOAD, {"path": path}, what) as response:
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal() or response.headers.get("Content-Encoding"):
            raise RuntimeUnavailable(f"{what}: the runtime does not say how long it is")
        yield FileStream(response, int(length), what)


@asynccontextmanager
async def open_file(
    http: PodHttp, root: str, absolute: str, *, seconds: float
) -> AsyncIterator[FileStream]:
    """A regular file of the workspace, its symlinks followed as long as they stay inside."""
    what = f"read of {absolute!r}"
    arguments = [encode_path(root), encode_path(absolute)]
    result = await run_script(http, RESOLVE_SCRIPT, arguments, seconds=seconds, what=what)
    if result.exit_code != 0:
        raise _refusal(result, what)
    resolved = decode_path(decode_base64(result.stdout, what))
    if is_sendable(resolved):
        async with open_download(http, resolved, what) as stream:
            yield stream
        return
    async with _linked(http, root, resolved, seconds=seconds, what=what) as link:
        async with open_download(http, link, what) as stream:
            yield stream


@asynccontextmanager
async def _linked(
    http: PodHttp, root: str, resolved: str, *, seconds: float, what: str
) -> AsyncIterator[str]:
    """A path of plain characters for a file whose name no URL can carry."""
    arguments = [encode_path(root), encode_path(resolved)]
    made = await run_script(http, LINK_SCRIPT, arguments, seconds=seconds, what=what)
    if made.exit_code != 0:
        raise RuntimeUnavailable(f"{what}: {made.words}")
    directory = decode_base64(made.stdout, what)
    try:
        yield f"{decode_path(directory)}/file"
    finally:
        remove = [encode_path(root), directory]
        await run_script(http, REMOVE_SCRIPT, remove, seconds=seconds, what=what)


def _refusal(result: ShellResult, what: str) -> FileError | RuntimeUnavailable:
    match result.exit_code:
        case Exit.OUTSIDE:
            return FileError(f"{what}: it is outside the workspace")
        case Exit.WRONG_KIND:
            return NotAFile(f"{what}: it is a directory or something else without bytes to read")
        case Exit.MISSING:
            return FileMissing(f"{what}: there is no such file")
        case Exit.UNREADABLE:
            return FileError(f"{what}: the runtime's user may not read it")
        case _:
            return RuntimeUnavailable(f"{what}: {result.words}")
