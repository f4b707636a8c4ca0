"""A multipart/form-data body that is never in memory as a whole."""

import asyncio
import os
import secrets
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass

from conversations.core.errors import InvalidRequest
from conversations.runtime.files import Content

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Chunks of one upload, with the length when it is known beforehand."""

    chunks: AsyncIterator[bytes]
    size: int | None


async def open_source(content: Content) -> Source:
    """Look at what the caller handed in; a local file that cannot be read raises OSError here."""
    if isinstance(content, bytes | bytearray | memoryview):
        view = memoryview(content).cast("B")
        return Source(_slices(view), view.nbytes)
    if isinstance(content, os.PathLike):
        return Source(_file_chunks(content), await asyncio.to_thread(_regular_size, content))
    if hasattr(content, "__aiter__"):
        return Source(aiter(content), None)
    raise InvalidRequest(
        f"cannot upload a {type(content).__name__}: give bytes, a pathlib.Path or an async iterator"
    )


async def close_source(source: Source) -> None:
    """Give back what an unfinished source holds."""
    if close := getattr(source.chunks, "aclose", None):
        await close()


def _regular_size(path: os.PathLike[str]) -> int:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest(f"cannot upload {os.fspath(path)!r}: not a regular file")
    return status.st_size


async def _slices(view: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, view.nbytes, CHUNK):
        yield bytes(view[start : start + CHUNK])


async def _file_chunks(path: os.PathLike[str]) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(open, path, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


class Multipart:
    """One file field.  After it was sent, `sent` is how many bytes of content it had."""

    def __init__(self, source: Source, field: str = "file") -> None:
        boundary = secrets.token_hex(16)
        self._head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{field}"; filename="upload"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._source = source
        self.sent = 0
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if source.size is not None:
            length = len(self._head) + source.size + len(self._tail)
            self.headers["Content-Length"] = str(length)

    async def body(self) -> AsyncIterator[bytes]:
        """Head, content, tail; a source whose length changed under way fails here."""
        yield self._head
        async for chunk in self._source.chunks:
            self.sent += len(chunk)
            self._check_length(final=False)
            yield chunk
        self._check_length(final=True)
        yield self._tail

    def _check_length(self, *, final: bool) -> None:
        promised = self._source.size
        if promised is None:
            return
        if self.sent > promised or (final and self.sent < promised):
            raise InvalidRequest("the local file changed its size while it was being uploaded")
