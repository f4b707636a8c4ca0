"""Answers of a pod as errors of ours."""

import json

import httpx
import pytest

from conversations.core.errors import (
    FileError,
    FileMissing,
    NotAFile,
    RuntimeUnavailable,
    Unauthorized,
)
from conversations.runtime.translation import refusal, translated


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (401, "Unauthorized", Unauthorized),
        (404, "File not found", FileMissing),
        (404, "Not Found", RuntimeUnavailable),
        (400, "Path is not a file", NotAFile),
        (400, "Path is a directory", NotAFile),
        (400, "something else", FileError),
        (422, [{"loc": ["query", "path"]}], FileError),
        (500, "Failed to upload file: [Errno 28] No space left on device", FileError),
        (500, "Internal Server Error", RuntimeUnavailable),
        (503, None, RuntimeUnavailable),
        (302, None, RuntimeUnavailable),
        (429, None, RuntimeUnavailable),
    ],
)
def test_refusals(status: int, detail: object, kind: type[Exception]) -> None:
    error = refusal(status, json.dumps({"detail": detail}).encode(), "read of 'x'")
    assert type(error) is kind
    assert str(error).startswith("read of 'x': ")


def test_a_body_that_is_no_json() -> None:
    assert type(refusal(502, b"<html>", "read")) is RuntimeUnavailable
    assert len(str(refusal(500, json.dumps({"detail": "x" * 10_000}).encode(), "read"))) < 500


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("All connection attempts failed"),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("peer closed connection"),
        httpx.WriteError("broken pipe"),
    ],
)
def test_silences(error: httpx.HTTPError) -> None:
    with pytest.raises(RuntimeUnavailable, match="^read: ") as caught, translated("read"):
        raise error
    assert caught.value.__cause__ is None
