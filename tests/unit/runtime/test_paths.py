"""No path leaves the workspace, and every name survives the way there and back."""

import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.core.errors import FileError, InvalidRequest
from conversations.runtime.paths import (
    absolute_path,
    decode_path,
    encode_path,
    is_sendable,
    normalize_root,
    relative_path,
    upload_path,
)

ROOT = "/workspace/project"
PARTS = st.sampled_from(["..", ".", "", "a", "b c", "-", "workspace", "project", "projectx", "\n"])
PATHS = st.builds(
    lambda parts, absolute: ("/" if absolute else "") + "/".join(parts),
    st.lists(PARTS, max_size=8),
    st.booleans(),
)


@given(PATHS | st.text(max_size=40))
def test_a_path_is_inside_or_refused(path: str) -> None:
    try:
        absolute = absolute_path(ROOT, path)
    except (FileError, InvalidRequest):
        return
    assert absolute == ROOT or absolute.startswith(ROOT + "/")
    assert ".." not in absolute.split("/")
    assert posixpath.normpath(posixpath.join(ROOT, path)) == absolute
    assert absolute_path(ROOT, relative_path(ROOT, absolute)) == absolute


@given(PATHS)
def test_an_upload_path_names_a_file(path: str) -> None:
    try:
        absolute = upload_path(ROOT, path)
    except (FileError, InvalidRequest):
        return
    assert absolute.startswith(ROOT + "/")
    assert ".." not in path.split("/") and not path.endswith("/")


@given(st.binary(max_size=200).filter(lambda name: b"\0" not in name))
def test_any_bytes_make_a_round_trip(name: bytes) -> None:
    assert encode_path(decode_path(name)) == name
    assert decode_path(name) == os.fsdecode(name)


def test_only_utf8_goes_into_urls() -> None:
    assert is_sendable("ünï 😀\n")
    assert not is_sendable(decode_path(b"\xff"))


@pytest.mark.parametrize("path", ["nul\0", "\ud800", "x" * 5000])
def test_what_no_file_can_be_called(path: str) -> None:
    with pytest.raises(InvalidRequest):
        absolute_path(ROOT, path)


@pytest.mark.parametrize("path", ["", ".", "a/", "a/.", "../a", "a/../b", "n" * 256, "é" * 128])
def test_what_no_upload_can_be_called(path: str) -> None:
    with pytest.raises(InvalidRequest):
        upload_path(ROOT, path)


def test_names_of_uploads_under_way_are_kept() -> None:
    with pytest.raises(InvalidRequest, match="kept for uploads"):
        upload_path(ROOT, "a/.conversation-upload-1/b")


@pytest.mark.parametrize("root", ["", "/", "//", "relative", ".", "/a/.."])
def test_what_is_no_workspace(root: str) -> None:
    with pytest.raises(InvalidRequest):
        normalize_root(root)


def test_a_workspace_is_normalized() -> None:
    assert normalize_root("/workspace//project/") == ROOT
