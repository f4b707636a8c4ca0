"""What callers see of a workspace: entries, listings, and the contents they hand in."""

import os
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import overload

Content = bytes | bytearray | memoryview | os.PathLike[str] | AsyncIterable[bytes]
"""What can be uploaded: bytes, a local path, or an async iterator of chunks of unknown length."""


class FileKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """
    One name in the workspace.

    `path` is relative to the workspace and can be handed to every other call as it is.  Bytes of a
    name that are not UTF-8 appear as surrogates, the way `os.fsdecode` has them.
    """

    path: str
    kind: FileKind
    size: int

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class FileList(Sequence[FileEntry]):
    """Entries sorted by path.  `truncated` says that there are more, or some could not be seen."""

    entries: tuple[FileEntry, ...]
    truncated: bool = False

    @overload
    def __getitem__(self, index: int) -> FileEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FileEntry]: ...
    def __getitem__(self, index: int | slice) -> FileEntry | Sequence[FileEntry]:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self.entries)


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file that is now in the workspace under its own name, whole."""

    path: str
    size: int
