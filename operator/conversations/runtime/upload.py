"""
Uploads: first beside the workspace's files under names of our own, then renamed into place.

A pod that dies in mid-transfer, or a caller that gives up, leaves at most a staging directory,
which the next upload sweeps; a file under its own name is always whole.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conversations.core.errors import FileError, InvalidRequest, NotAFile, RuntimeUnavailable
from conversations.runtime.files import Content, UploadedFile
from conversations.runtime.multipart import Multipart, close_source, open_source
from conversations.runtime.paths import STAGING_PREFIX, encode_path, relative_path, upload_path
from conversations.runtime.pod_http import PodHttp
from conversations.runtime.shell import MAX_COMMAND_BYTES, Exit, ShellResult, run_script

UPLOAD = "/api/file/upload"
STALE_MINUTES = 24 * 60

_TARGET = r"""
# Sets $parent and $final for the target in $v, or names the file that cannot be there.
place() {
  target=$v; final=${target##*/}
  resolve -m "${target%/*}" && inside || refuse 41
  parent=$r
  up=$parent; while [ ! -e "$up" ] && [ ! -L "$up" ]; do up=${up%/*}; done
  [ -d "$up" ] || refuse 42
  [ ! -d "$parent/$final" ] || [ -L "$parent/$final" ] || refuse 43
}
refuse() { printf %s "$n"; exit "$1"; }
"""

# Arguments: workspace, staging name, number of the first file, targets.
PREPARE_SCRIPT = (
    _TARGET
    + rf"""
decode "$1"; stage=$v; decode "$2"; n=$v; shift 2
for word; do decode "$word"; place; n=$((n + 1)); done
mkdir -p -- "$root" || exit 47
find "$root" -maxdepth 1 -name '{STAGING_PREFIX}*' -mmin +{STALE_MINUTES} -exec rm -rf -- {{}} +
mkdir -p -- "$root/$stage" || exit 47
"""
)

# Arguments: workspace, staging name, number of the first file, then size and target of each.
COMMIT_SCRIPT = (
    _TARGET
    + r"""
decode "$1"; stage=$root/$v; decode "$2"; first=$v; shift 2
n=$first; i=0
for word; do
  i=$((i + 1)); decode "$word"
  if [ $((i % 2)) = 1 ]; then size=$v; continue; fi
  [ "$(stat -c %s -- "$stage/$n")" = "$size" ] || refuse 45
  place; n=$((n + 1))
done
n=$first; i=0
for word; do
  i=$((i + 1)); [ $((i % 2)) = 0 ] || continue
  decode "$word"; place
  mkdir -p -- "$parent" || refuse 42
  # In two steps: the last one is atomic even where the directory is another file system.
  part=$parent/${stage##*/}-$n
  [ ! -f "$parent/$final" ] || chmod --reference="$parent/$final" -- "$stage/$n"
  mv -T -- "$stage/$n" "$part" && mv -fT -- "$part" "$parent/$final" || { rm -f -- "$part"; refuse 47; }
  n=$((n + 1))
done
rmdir -- "$stage" 2>/dev/null || :
"""
)

# Arguments: workspace, staging name.
DISCARD_SCRIPT = 'decode "$1"; rm -rf -- "$root/$v"'


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    path: str
    target: str


class Upload:
    """One call of upload_files: everything is sent first, then renamed file by file."""

    def __init__(self, http: PodHttp, root: str, paths: Sequence[str]) -> None:
        self._http = http
        self._root = root
        self._stage = STAGING_PREFIX + secrets.token_hex(8)
        self._items = plan_items(root, paths)

    async def run(
        self, contents: Mapping[str, Content], *, seconds: float
    ) -> tuple[UploadedFile, ...]:
        """All files in the order given."""
        for batch in _batches(self._items):
            await self._prepare(batch, seconds)
        sizes = [await self._send(item, contents[item.path]) for item in self._items]
        for batch in _batches(self._items):
            await self._commit(batch, sizes, seconds)
        return tuple(
            UploadedFile(relative_path(self._root, item.target), size)
            for item, size in zip(self._items, sizes, strict=True)
        )

    async def discard(self, *, seconds: float) -> None:
        """Remove whatever is left of the staging directory."""
        await self._script(DISCARD_SCRIPT, (), seconds)

    async def _prepare(self, batch: Sequence[_Item], seconds: float) -> None:
        words = [str(batch[0].number).encode(), *(encode_path(item.target) for item in batch)]
        result = await self._script(PREPARE_SCRIPT, words, seconds)
        self._check(result, batch)

    async def _commit(self, batch: Sequence[_Item], sizes: Sequence[int], seconds: float) -> None:
        words = [str(batch[0].number).encode()]
        for item in batch:
            words += [str(sizes[item.number]).encode(), encode_path(item.target)]
        result = await self._script(COMMIT_SCRIPT, words, seconds)
        self._check(result, batch)

    async def _send(self, item: _Item, content: Content) -> int:
        source = await open_source(content)
        form = Multipart(source)
        query = {"path": f"{self._root}/{self._stage}/{item.number}"}
        what = f"upload of {item.path!r}"
        try:
            answer = await self._http.post_stream(UPLOAD, query, form.headers, form.body(), what)
        finally:
            await close_source(source)
        if answer.get("file_size") != form.sent:
            raise RuntimeUnavailable(f"{what}: the runtime did not store all of it")
        return form.sent

    async def _script(self, script: str, words: Sequence[bytes], seconds: float) -> ShellResult:
        arguments = [encode_path(self._root), self._stage.encode(), *words]
        return await run_script(self._http, script, arguments, seconds=seconds, what="upload")

    def _check(self, result: ShellResult, batch: Sequence[_Item]) -> None:
        if result.exit_code == 0:
            return
        # Compared as text: what the runtime prints may be a number too long to parse.
        named = (item.path for item in batch if str(item.number) == result.stdout)
        raise _refusal(result, next(named, batch[0].path))


def plan_items(root: str, paths: Sequence[str]) -> tuple[_Item, ...]:
    """The files of one upload; InvalidRequest for a path, or a list, that makes no sense."""
    items = tuple(_Item(n, path, upload_path(root, path)) for n, path in enumerate(paths))
    if not items:
        raise InvalidRequest("upload_files was given no file")
    if len({item.target for item in items}) < len(items):
        raise InvalidRequest("two of the files to upload have the same path")
    return items


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    batch: list[_Item] = []
    size = 0
    for item in items:
        # base64 makes 4 of 3; the number and the spaces need a few more.
        size += len(encode_path(item.target)) * 4 // 3 + 40
        if batch and size > MAX_COMMAND_BYTES - 8192:
            yield batch
            batch, size = [], len(encode_path(item.target)) * 4 // 3 + 40
        batch.append(item)
    yield batch


def _refusal(result: ShellResult, path: str) -> FileError | RuntimeUnavailable:
    what = f"upload of {path!r}"
    match result.exit_code:
        case Exit.OUTSIDE:
            return FileError(f"{what}: a symlink leads outside the workspace")
        case Exit.BAD_PARENT:
            return FileError(f"{what}: a parent of the path cannot be a directory: {result.words}")
        case Exit.WRONG_KIND:
            return NotAFile(f"{what}: there is a directory of this name")
        case Exit.INCOMPLETE:
            return RuntimeUnavailable(f"{what}: the runtime did not store all of it")
        case Exit.CANNOT_STORE:
            return FileError(f"{what}: {result.words}")
        case _:
            return RuntimeUnavailable(f"{what}: {result.words}")
