"""Names inside a workspace: pure arithmetic on paths, before the runtime sees them."""

import posixpath

from conversations.core.errors import FileError, InvalidRequest

STAGING_PREFIX = ".conversation-upload-"
"""Names of uploads that are not finished; listings leave them out."""
MAX_PATH_BYTES = 4095
MAX_NAME_BYTES = 255
"""What Linux allows.  Checked here because rename would notice only after other files are in place."""


def normalize_root(root: str) -> str:
    """The workspace's absolute path without a trailing slash."""
    clean = posixpath.normpath(root)
    if not clean.startswith("/") or clean in ("/", "//"):
        raise InvalidRequest(f"the workspace must be an absolute path below '/', not {root!r}")
    return clean


def absolute_path(root: str, path: str) -> str:
    """
    Where `path`, relative to the workspace or absolute, lies; a FileError if that is outside.

    The runtime checks again with symlinks resolved: this alone cannot see them.
    """
    encode_path(path)
    clean = posixpath.normpath(posixpath.join(root, path))
    if clean != root and not clean.startswith(root + "/"):
        raise FileError(f"{path!r} is outside the workspace {root}")
    return clean


def relative_path(root: str, absolute: str) -> str:
    """The path as callers write it; the workspace itself is the empty string."""
    return absolute[len(root) + 1 :]


def upload_path(root: str, path: str) -> str:
    """Where an upload goes: like `absolute_path`, but it must plainly name a file."""
    parts = path.split("/")
    if not path or parts[-1] in ("", "."):
        raise InvalidRequest(f"{path!r} does not name a file to upload to")
    if ".." in parts:
        raise InvalidRequest(f"{path!r} contains '..': name the place in the workspace itself")
    if any(part.startswith(STAGING_PREFIX) for part in parts):
        raise InvalidRequest(
            f"{path!r}: names with {STAGING_PREFIX!r} are kept for uploads under way"
        )
    if any(len(encode_path(part)) > MAX_NAME_BYTES for part in parts):
        raise InvalidRequest(f"{path!r}: a name can have at most {MAX_NAME_BYTES} bytes")
    return absolute_path(root, path)


def encode_path(path: str) -> bytes:
    """The bytes that the runtime's file system sees."""
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(f"{path!r} cannot be a file name: it is not valid Unicode") from None
    if b"\0" in encoded:
        raise InvalidRequest(f"{path!r} cannot be a file name: it contains a NUL character")
    if len(encoded) > MAX_PATH_BYTES:
        raise InvalidRequest(f"path of {len(encoded)} bytes: at most {MAX_PATH_BYTES} are possible")
    return encoded


def decode_path(encoded: bytes) -> str:
    """The inverse of `encode_path`, lossless for any bytes."""
    return encoded.decode("utf-8", "surrogateescape")


def is_sendable(path: str) -> bool:
    """Whether the path survives a URL and JSON; names that are not UTF-8 do not."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
