"""The body is what a parser of multipart expects, whatever the chunks."""

from collections.abc import AsyncIterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.core.errors import InvalidRequest
from conversations.runtime.multipart import Multipart, Source, open_source


async def chunks_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def body_of(form: Multipart) -> bytes:
    return b"".join([part async for part in form.body()])


def parse(form: Multipart, body: bytes) -> bytes:
    head = f"Content-Type: {form.headers['Content-Type']}\r\n\r\n".encode()
    [part] = BytesParser(policy=HTTP).parsebytes(head + body).get_payload()
    assert part.get_param("name", header="content-disposition") == "file"
    _, _, content = body.partition(b"\r\n\r\n")
    return content[: content.rindex(b"\r\n--")]


@given(st.lists(st.binary(max_size=50), max_size=5))
async def test_known_and_unknown_lengths(chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    for size in (len(content), None):
        form = Multipart(Source(chunks_of(*chunks), size))
        body = await body_of(form)
        assert parse(form, body) == content
        assert form.sent == len(content)
        assert form.headers.get("Content-Length") == (None if size is None else str(len(body)))


@pytest.mark.parametrize("promised", [2, 4])
async def test_a_source_of_another_length_fails(promised: int) -> None:
    form = Multipart(Source(chunks_of(b"ab", b"c"), promised))
    with pytest.raises(InvalidRequest, match="changed its size"):
        await body_of(form)


async def test_boundaries_are_never_the_same() -> None:
    forms = [Multipart(Source(chunks_of(), 0)) for _ in range(2)]
    assert forms[0].headers != forms[1].headers


async def test_what_can_be_uploaded() -> None:
    for content in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        source = await open_source(content)
        assert source.size == 3
        assert [chunk async for chunk in source.chunks] == [b"abc"]
    assert (await open_source(chunks_of(b"x"))).size is None
    for wrong in ("text", 7, [b"x"], None):
        with pytest.raises(InvalidRequest, match="cannot upload"):
            await open_source(wrong)  # type: ignore[arg-type]


async def test_local_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await open_source(tmp_path / "missing")
    with pytest.raises(InvalidRequest, match="not a regular file"):
        await open_source(tmp_path)
