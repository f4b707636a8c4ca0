"""What the pod answers is parsed without trusting it."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.core.errors import RuntimeUnavailable
from conversations.runtime import listing
from conversations.runtime.files import FileEntry, FileKind, FileList
from conversations.runtime.listing import parse_listing
from conversations.runtime.paths import decode_path

NAMES = st.binary(min_size=1, max_size=30).filter(
    lambda name: b"\0" not in name and {b"", b".", b".."}.isdisjoint(name.split(b"/"))
)
KINDS = {"f": "file", "d": "directory", "l": "symlink", "p": "other", "s": "other"}
END = b"= 0 \0"


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(list(KINDS)), st.integers(0, 2**62))))
def test_records_of_any_name(files: dict[bytes, tuple[str, int]]) -> None:
    raw = b"".join(
        f"{kind} {size} ".encode() + name + b"\0" for name, (kind, size) in files.items()
    )
    entries, truncated = parse_listing(gzip.compress(raw + END), "dir")
    assert not truncated
    assert {entry.path: (entry.kind, entry.size) for entry in entries} == {
        f"dir/{decode_path(name)}": (KINDS[kind], size) for name, (kind, size) in files.items()
    }
    assert [entry.path for entry in entries] == sorted(entry.path for entry in entries)


@pytest.mark.parametrize(
    ("raw", "count", "truncated"),
    [
        (END, 0, False),
        (b"", 0, True),
        (b"f 1 a\0", 1, True),
        (b"f 1 a\0f 2 cut o", 1, True),
        (b"f 1 a\0= 1 \0", 1, True),
        (b"f 1 a\0= 0 \0", 1, False),
    ],
)
def test_what_is_missing_is_said(raw: bytes, count: int, truncated: bool) -> None:
    entries, cut = parse_listing(gzip.compress(raw), "")
    assert (len(entries), cut) == (count, truncated)


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\0",
        b"f one a\0",
        b"f\0",
        b"\0",
        b"f 1 ../../etc/passwd\0",
        b"f 1 /etc/passwd\0",
        b"f 1 a/./b\0",
        b"f 1 \0",
    ],
)
def test_nonsense_is_an_error(raw: bytes) -> None:
    with pytest.raises(RuntimeUnavailable):
        parse_listing(gzip.compress(raw), "")
    with pytest.raises(RuntimeUnavailable):
        parse_listing(raw, "")


def test_a_bomb_does_not_go_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LISTING_BYTES", 1000)
    entries, truncated = parse_listing(gzip.compress(b"f 1 abc\0" * 10_000), "")
    assert (len(entries), truncated) == (125, True)


def test_a_list_is_a_sequence() -> None:
    files = FileList((FileEntry("a/b", FileKind.FILE, 1), FileEntry("c", FileKind.SYMLINK, 2)))
    assert [entry.name for entry in files] == ["b", "c"]
    assert (len(files), files[1].path, [*files[:1]]) == (2, "c", [files[0]])
