"""
What is in a directory: agent-server has no route for it, so `find` writes NUL-separated records.

A small listing comes back in the command's own output, a big one through a file that is downloaded:
the runtime keeps command output in memory and on its disk.
"""

import zlib

from conversations.core.errors import FileError, FileMissing, RuntimeUnavailable
from conversations.runtime.download import open_download
from conversations.runtime.files import FileEntry, FileKind, FileList
from conversations.runtime.paths import STAGING_PREFIX, decode_path, encode_path, relative_path
from conversations.runtime.pod_http import PodHttp
from conversations.runtime.shell import REMOVE_SCRIPT, Exit, ShellResult, decode_base64, run_script
from conversations.runtime.translation import nonsense

MAX_LISTING_BYTES = 64 * 1024 * 1024
"""Of records, unpacked."""
INLINE_BYTES = 384 * 1024

# Arguments: workspace, directory, depth ('' for all), number of records.
LIST_SCRIPT = rf"""
decode "$1"; target=$v
decode "$2"; depth=${{v:+-maxdepth $v}}
decode "$3"; limit=$v
resolve -e "$target" || exit 44
inside || exit 41
[ -d "$r" ] || exit 43
out=$(mktemp) || exit 47
{{
  find "$r" -ignore_readdir_race -mindepth 1 $depth -name '{STAGING_PREFIX}*' -prune -o -printf '%y %s %P\0'
  printf '= %s \0' $?
}} | head -z -n "$limit" | head -c {MAX_LISTING_BYTES} | gzip -c > "$out" || exit 47
if [ "$(stat -c %s -- "$out")" -le {INLINE_BYTES} ]; then
  printf 'inline '; base64 -w 0 < "$out"; rm -f -- "$out"
else
  printf 'file '; printf %s "$out" | base64 -w 0
fi
"""

_KINDS = {b"f": FileKind.FILE, b"d": FileKind.DIRECTORY, b"l": FileKind.SYMLINK}


def unpack(packed: bytes) -> bytes:
    """Gunzip, but never to more than a listing may have: the runtime is not trusted."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        raw = inflater.decompress(packed, MAX_LISTING_BYTES)
    except zlib.error:
        raise nonsense("listing") from None
    if not inflater.eof and len(raw) < MAX_LISTING_BYTES:
        raise nonsense("listing")  # It ends in the middle.
    return raw


def parse_records(raw: bytes, parent: str) -> tuple[list[FileEntry], bool]:
    """Entries in `find`'s order, and whether they are all there is."""
    prefix = f"{parent}/" if parent else ""
    *records, _ = raw.split(b"\0")
    entries: list[FileEntry] = []
    for record in records:
        kind, size, name = record.split(b" ", 2)
        if kind == b"=":
            return entries, size == b"0"
        if not {b"", b".", b".."}.isdisjoint(name.split(b"/")):
            raise ValueError  # A caller that copies the listing must not be led elsewhere.
        entries.append(
            FileEntry(prefix + decode_path(name), _KINDS.get(kind, FileKind.OTHER), int(size))
        )
    return entries, False


def parse_listing(packed: bytes, parent: str) -> tuple[tuple[FileEntry, ...], bool]:
    """Entries sorted by path, and whether some are missing."""
    try:
        entries, complete = parse_records(unpack(packed), parent)
    except ValueError:
        raise nonsense("listing") from None
    return tuple(sorted(entries, key=lambda entry: entry.path)), not complete


class Listing:
    """One request for the entries of a directory."""

    def __init__(self, http: PodHttp, root: str, directory: str) -> None:
        self._http = http
        self._root = root
        self._directory = directory
        self._what = f"list of {directory!r}"

    async def run(self, *, recursive: bool, limit: int, seconds: float) -> FileList:
        """At most `limit` entries; an empty list for a workspace that was not made yet."""
        depth = b"" if recursive else b"1"
        # find's own end record counts, too.
        words = [encode_path(self._directory), depth, str(limit + 1).encode()]
        result = await self._script(LIST_SCRIPT, words, seconds)
        if result.exit_code == Exit.MISSING and self._directory == self._root:
            return FileList(())
        if result.exit_code != 0:
            raise self._refusal(result)
        packed = await self._fetch(result.stdout, seconds)
        entries, truncated = parse_listing(packed, relative_path(self._root, self._directory))
        return FileList(entries[:limit], truncated or len(entries) > limit)

    async def _fetch(self, output: str, seconds: float) -> bytes:
        how, _, payload = output.partition(" ")
        decoded = decode_base64(payload, self._what)
        if how == "inline":
            return decoded
        try:
            async with open_download(self._http, decode_path(decoded), self._what) as stream:
                if stream.size > MAX_LISTING_BYTES:
                    raise nonsense(self._what)
                return await stream.read()
        finally:
            await self._script(REMOVE_SCRIPT, [decoded], seconds)

    async def _script(self, script: str, words: list[bytes], seconds: float) -> ShellResult:
        arguments = [encode_path(self._root), *words]
        return await run_script(self._http, script, arguments, seconds=seconds, what=self._what)

    def _refusal(self, result: ShellResult) -> FileError | RuntimeUnavailable:
        match result.exit_code:
            case Exit.OUTSIDE:
                return FileError(f"{self._what}: it is outside the workspace")
            case Exit.WRONG_KIND:
                return FileError(f"{self._what}: it is not a directory")
            case Exit.MISSING:
                return FileMissing(f"{self._what}: there is no such directory")
            case _:
                return RuntimeUnavailable(f"{self._what}: {result.words}")
